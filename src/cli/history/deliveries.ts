import type { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { ApiRefusal } from "../api/api-client.ts";
import { type ListFlags, withListFlags } from "../api/list-flags.ts";
import { pageOf, parsedAnswer, printExact, tableSetting } from "../api/listing.ts";
import { timeText } from "../api/moment.ts";
import type { AttemptRow, DeliveryRow } from "../api/rows.ts";
import { pairsText, Table } from "../api/table.ts";
import { complain, shown, tell } from "../terminal.ts";
import { ATTEMPTS, DELIVERIES, whyOf } from "./kinds.ts";
import { historyQuery, listCommand, type OneOrder, pathOf } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # what failed since two o'clock, for one customer
  postrider deliveries -n shop -s crm --state failed --since 02:00

  # everything about order 4711
  postrider deliveries -n shop --record 4711

  # one of them: why, what next, every attempt
  postrider deliveries -n shop 8f14e45fceea167a5a36dedd4bea2543

  # send all of it again
  postrider deliveries -n shop --state failed --since 2h --all -o name |
    postrider resend -n shop -

On a terminal long cells are shortened; -o wide never shortens.
Exit code: 0 also where nothing fits, 1 refused or unreachable, 2 wrong usage.`;

/** `postrider deliveries`: the schedule, one row per event and subscription. */
export function deliveriesCommand(clock: Clock): Command {
  return listCommand<DeliveryRow, ListFlags>({
    kind: DELIVERIES,
    description: "list deliveries, newest first, or show one",
    examples: EXAMPLES,
    clock,
    flags: (command) => withListFlags(command, clock),
    one: { argument: "id", show: showDelivery },
    query: ({ client, namespace, flags }) => historyQuery(client, pathOf(namespace, "deliveries"), flags),
  });
}

async function showDelivery({ client, namespace, id, flags }: OneOrder<ListFlags>): Promise<void> {
  const text = await client.get(pathOf(namespace, "deliveries", id));
  const exact = parsedAnswer(text);
  const row = JSON.parse(text) as DeliveryRow;
  if (flags.output === "name") return tell(shown`delivery/${row.id}`);
  if (flags.output !== "table" && flags.output !== "wide") return printExact(exact, flags.output);
  tell(deliveryText(row, flags.utc === true));
  const attempts = await attemptsOf({ client, namespace, id, flags });
  if (attempts === undefined || attempts.length === 0) return undefined;
  tell(shown``);
  for (const line of new Table(attemptColumns(flags.utc === true), { ...tableSetting(flags), columns: undefined }).page(attempts))
    tell(line);
  return undefined;
}

/** Everything that the row above the attempts has said already is left out. */
function attemptColumns(utc: boolean): ReturnType<typeof ATTEMPTS.columns> {
  const titles = new Set(["TIME", "NO", "ANSWER", "MS", "MESSAGE"]);
  return ATTEMPTS.columns(utc)
    .filter(({ title }) => titles.has(title))
    .map(({ title, text, right = false }) => ({ title, text, right }));
}

/** Attempts need a permission of their own; a delivery can be shown without. */
async function attemptsOf({ client, namespace, id }: OneOrder<ListFlags>): Promise<readonly AttemptRow[] | undefined> {
  try {
    return pageOf<AttemptRow>(await client.get(pathOf(namespace, "deliveries", id, "attempts"))).items;
  } catch (error) {
    if (!(error instanceof ApiRefusal) || error.status !== 403) throw error;
    complain(shown`The attempts are not shown: ${error.detail}`);
    return undefined;
  }
}

export function deliveryText(row: DeliveryRow, utc: boolean): ReturnType<typeof pairsText> {
  const { lastAttempt, waitingFor } = row;
  const why = whyOf(row);
  const until = waitingFor?.untilTime ? ` until ${timeText(waitingFor.untilTime, utc)}` : "";
  return pairsText([
    ["Delivery", row.id],
    ["State", `${row.state}${why === "" ? "" : ` (${why}${until})`}`],
    ["Record", row.recordID ?? ""],
    ["Event", `${row.eventID} (${row.eventType})`],
    ["Subscription", `${row.subscription ?? "(deleted)"}${row.deadLetter === true ? ", as a dead letter" : ""}`],
    ["URL", row.url ?? ""],
    ["Accepted", timeText(row.acceptedTime, utc)],
    ["Attempts", String(row.attempts)],
    ["Last attempt", lastAttempt ? `${timeText(lastAttempt.time, utc)}: ${lastAttempt.message}` : ""],
    ["Next attempt", timeText(row.nextAttemptTime, utc)],
    ["Ended", timeText(row.endedTime, utc)],
  ]);
}
