import type { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ListFlags, withListFlags } from "../api/list-flags.ts";
import { type Page, pageOf, printExact, tableSetting } from "../api/listing.ts";
import { timeText } from "../api/moment.ts";
import type { AttemptRow, Body } from "../api/rows.ts";
import { Table } from "../api/table.ts";
import { linesOf, shown, type Shown, tell } from "../terminal.ts";
import { ATTEMPTS } from "./kinds.ts";
import { historyQuery, listCommand, type OneOrder, pathOf } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # the log: what was tried in the last half hour and did not work
  postrider attempts -n shop --since 30m --status 5xx

  # every attempt of one delivery, with both bodies
  postrider attempts -n shop 8f14e45fceea167a5a36dedd4bea2543 --bodies

  # for a program: one JSON object a line
  postrider attempts -n shop --since 2h --all -o jsonl --bodies

--since, --until, --state and --status choose deliveries; all of their attempts
are listed.
Exit code: 0 also where nothing fits, 1 refused or unreachable, 2 wrong usage.`;

interface AttemptFlags extends ListFlags {
  readonly bodies?: boolean;
}

/** `postrider attempts`: the log, one row per request. */
export function attemptsCommand(clock: Clock): Command {
  return listCommand<AttemptRow, AttemptFlags>({
    kind: ATTEMPTS,
    description: "list attempts with what came back, or those of one delivery",
    examples: EXAMPLES,
    clock,
    flags: (command) => withListFlags(command, clock).option("--bodies", "with headers and bodies of request and answer"),
    one: { argument: "delivery-id", show: showAttempts },
    query: ({ client, namespace, flags }) => ({
      ...historyQuery(client, pathOf(namespace, "attempts"), flags),
      optional: flags.bodies === true ? {} : { bodies: "none" },
    }),
  });
}

async function showAttempts({ client, namespace, id, flags }: OneOrder<AttemptFlags>): Promise<void> {
  const [deliveryId = "", number] = id.split("/");
  const page = pageOf<AttemptRow>(await client.get(pathOf(namespace, "deliveries", deliveryId, "attempts")));
  const chosen = number === undefined ? page : only(page, Number(number));
  const { output, utc = false } = flags;
  if (output === "json" || output === "yaml") return printExact({ items: chosen.exact, nextCursor: null }, output);
  if (output === "jsonl") return chosen.exact.forEach((item) => printExact(item, "jsonl"));
  if (output === "name") return chosen.items.forEach((item) => tell(shown`attempt/${ATTEMPTS.idOf(item)}`));
  if (flags.bodies === true) return chosen.items.forEach((item) => tell(attemptText(item, utc)));
  return new Table(ATTEMPTS.columns(utc), tableSetting(flags)).page(chosen.items).forEach((line) => tell(line));
}

function only(page: Page<AttemptRow>, number: number): Page<AttemptRow> {
  const at = page.items.findIndex(({ attempt }) => attempt === number);
  return at < 0 ? { ...page, exact: [], items: [] } : { ...page, exact: page.exact.slice(at, at + 1), items: page.items.slice(at, at + 1) };
}

/** One attempt as it was on the wire, as far as it is kept. */
function attemptText(row: AttemptRow, utc: boolean): Shown {
  const { request, response, statusCode } = row;
  return linesOf([
    shown`attempt ${row.attempt} at ${timeText(row.time, utc)}, ${row.durationMs} ms: ${row.message}`,
    shown`> POST ${row.url}`,
    ...(request?.headers ?? []).map(({ name, value }) => shown`> ${name}: ${value}`),
    ...bodyLines(request?.body),
    shown`< ${statusCode === null ? `no answer (${row.connectionStatus}, TLS ${row.tlsStatus})` : `HTTP ${statusCode}`}`,
    ...(response?.headers ?? []).map(({ name, value }) => shown`< ${name}: ${value}`),
    ...(statusCode === null ? [] : bodyLines(response?.body)),
    shown``,
  ]);
}

/** The bytes as they are, each line indented, so that none of theirs passes for one of ours. */
export function bodyLines(body: Body | null | undefined): Shown[] {
  if (body === null || body === undefined) return [shown`    (no body is kept)`];
  if ("base64" in body) return [shown`    (base64) ${body.base64}`];
  return body.text === "" ? [shown`    (empty)`] : body.text.split("\n").map((line) => shown`    ${line}`);
}
