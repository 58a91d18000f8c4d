import { type Command, InvalidArgumentError, Option } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { withConnection } from "../api/connection-flags.ts";
import { type RangeFlags, rangeParameters, withRange } from "../api/list-flags.ts";
import { parsedAnswer, printExact } from "../api/listing.ts";
import { timeText } from "../api/moment.ts";
import type { EventDetail, EventRow } from "../api/rows.ts";
import { pairsText } from "../api/table.ts";
import { shown, tell } from "../terminal.ts";
import { bodyLines } from "./attempts.ts";
import { EVENTS } from "./kinds.ts";
import { listCommand, type OneOrder, pathOf } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # what came in the last hour that no subscription wanted
  postrider events -n shop --since 1h --matched false

  # the event that the producer calls 4711
  postrider events -n shop --source-id 4711

  # one of them as it was accepted, with its data
  postrider events -n shop 019b76da-a800-7000-8a3f-0c9d5e1b2f44

Exit code: 0 also where nothing fits, 1 refused or unreachable, 2 wrong usage.`;

interface EventFlags extends RangeFlags {
  readonly sourceId?: string;
  readonly matched?: string;
}

/** `postrider events`: what was accepted, also what no subscription wanted. */
export function eventsCommand(clock: Clock): Command {
  return listCommand<EventRow, EventFlags>({
    kind: EVENTS,
    description: "list events, also those that no subscription wanted, or show one",
    examples: EXAMPLES,
    clock,
    flags: (command) =>
      withRange(
        withConnection(command)
          .option("--source-id <id>", "the producer's id of the event (CloudEvents id)")
          .addOption(new Option("--matched <true|false>", "false: only what no subscription wanted").argParser(trueOrFalse)),
        clock,
      ),
    one: { argument: "event-id", show: showEvent },
    query: ({ client, namespace, flags }) => ({
      client,
      path: pathOf(namespace, "events"),
      parameters: { ...rangeParameters(flags), sourceID: flags.sourceId, matched: flags.matched },
    }),
  });
}

function trueOrFalse(text: string): string {
  if (text === "true" || text === "false") return text;
  throw new InvalidArgumentError("expected true or false.");
}

async function showEvent({ client, namespace, id, flags }: OneOrder<EventFlags>): Promise<void> {
  const text = await client.get(pathOf(namespace, "events", id));
  const exact = parsedAnswer(text);
  const event = JSON.parse(text) as EventDetail;
  if (flags.output === "name") return tell(shown`event/${event.id}`);
  if (flags.output !== "table" && flags.output !== "wide") return printExact(exact, flags.output);
  tell(
    pairsText([
      ["Event", event.id],
      ["Type", event.type],
      ["Source", event.source],
      ["Source id", event.sourceID],
      ["Subject", event.subject ?? ""],
      ["Time", event.time ?? ""],
      ["Received", timeText(event.receivedTime, flags.utc === true)],
      ["Content type", event.dataContentType ?? ""],
      ...Object.entries(event.extensions),
    ]),
  );
  tell(shown``);
  if (!event.dataKept) return tell(shown`    (no subscription wanted it: its data is not kept)`);
  return bodyLines(event.data).forEach((line) => tell(line));
}
