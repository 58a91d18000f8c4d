import type { EventNote } from "../objects.ts";
import type { Departure, Ended } from "./departures.ts";

/** Of the reason this much: an Event's note has 1,024 characters, and the query must be among them. Names have 253 and 63. */
const WHY_CHARS_MAX = 400;

/** What people are told of deliveries that a subscription still owed when it was deleted or handed over, and how they find them: by its name. */
export function deletedNote(
  { namespace = "", name }: { readonly namespace?: string; readonly name: string },
  { how, to }: Pick<Departure, "how" | "to">,
  { ended, underWay, why }: Ended,
): EventNote {
  const isDiscard = how === "discard";
  const [fate, state] = isDiscard ? ["were discarded", "Discarded"] : ["went to the dead-letter store", "Failed"];
  const because = why === undefined ? "" : `, because ${cut(why)}`;
  const more = underWay === 0 ? "" : ` ${underWay} attempts were in flight: what they do not deliver ends the same way.`;
  const query = `/v1/namespaces/${namespace}/deliveries?subscription=${name}&state=${state}`;
  const what = to === undefined ? "Deleted" : `Handed over to class ${to}`;
  const message = `${what}: ${ended} deliveries that had not ended ${fate}${because}.${more} List them on the API port with: GET ${query}`;
  return { type: "Warning", reason: isDiscard ? "Discarded" : "DeadLettered", message };
}

function cut(why: string): string {
  return why.length <= WHY_CHARS_MAX ? why : `${why.slice(0, WHY_CHARS_MAX - 1)}…`;
}
