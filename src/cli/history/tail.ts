import { Command, Option } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ApiClient, ApiRefusal, heldPause } from "../api/api-client.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { FORMATS, type OutputFlags, withOutput } from "../api/list-flags.ts";
import { pagesOf, printExact, tableSetting } from "../api/listing.ts";
import type { ExactJson } from "../api/exact-json.ts";
import { rfc3339 } from "../api/moment.ts";
import type { AttemptRow } from "../api/rows.ts";
import { Table } from "../api/table.ts";
import { duration } from "../option-values.ts";
import type { ProcessSignals } from "../process-signals.ts";
import { CommandFailure, EXIT_INTERRUPTED } from "../program.ts";
import { complain, readerGone, shown, tell } from "../terminal.ts";
import { ATTEMPTS } from "./kinds.ts";
import { pathOf, withClient } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # what goes out now, and what comes back
  postrider tail -n shop

  # only what fails for crm, one JSON object a line
  postrider tail -n shop -s crm --failed -o jsonl

It asks once a second for attempts of events that were accepted within --window:
retries of older ones are not shown. While the operator does not answer it asks
again, and what was missed within the window is shown then.
Exit code: 130 after ^C, 0 when its reader has left, 1 refused, 2 wrong usage.`;

const POLL_MS = 1_000;
const WINDOW_DEFAULT_MS = 900_000;
const WINDOW_MAX_MS = 86_400_000;
/** Attempts that one look reads, at most: more would be a load of its own, and nobody could read them. */
const LOOK_MAX = 2_000;

interface TailFlags extends ConnectionFlags, OutputFlags {
  readonly subscription?: string;
  readonly type?: string;
  readonly failed?: boolean;
  readonly window: number;
}

/** `postrider tail`: attempts as they come. */
export function tailCommand(clock: Clock, signals: ProcessSignals): Command {
  const command = new Command("tail").description("show attempts as they come, until ^C");
  return withOutput(
    withConnection(command)
      .option("-s, --subscription <name>", "of this subscription, by name or uid")
      .option("--type <type>", "event type")
      .option("--failed", "only those that failed")
      .addOption(
        new Option("--window <duration>", "of events accepted within this time")
          .argParser(duration(WINDOW_MAX_MS, "24h"))
          .default(WINDOW_DEFAULT_MS, "15m"),
      ),
  )
    .addHelpText("after", EXAMPLES)
    .action(async (flags: TailFlags, self: Command) => {
      const namespace = namespaceOf(flags, self);
      if (!["table", "wide", "jsonl"].includes(flags.output))
        self.error(`error: -o ${flags.output} has an end, and this has none; of ${FORMATS.join(", ")} use table, wide or jsonl`, {
          exitCode: 2,
        });
      await withClient(openClient(flags, clock), async (client) => {
        const tail = new Tail({ client, clock, namespace, flags });
        signals.onStop(() => tail.stop());
        process.exitCode = await tail.run();
      });
    });
}

interface TailParts {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly namespace: string;
  readonly flags: TailFlags;
}

interface Seen {
  readonly row: AttemptRow;
  readonly exact: ExactJson;
}

/** Looks at the newest attempts once a second, and shows those that it has not seen. It remembers as many as a look may have. */
class Tail {
  readonly #parts: TailParts;
  readonly #table: Table<AttemptRow>;
  /** Those of the look before: what is not among the newest any more cannot come back. */
  #seen: ReadonlySet<string> | undefined;
  #away = false;
  #crowded = false;
  #stopped = false;

  constructor(parts: TailParts) {
    this.#parts = parts;
    this.#table = new Table(ATTEMPTS.columns(parts.flags.utc === true), tableSetting(parts.flags));
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<number> {
    while (!this.#stopped && !readerGone()) {
      const found = await this.#look();
      if (found !== undefined) this.#show(found);
      if (!this.#stopped) await heldPause(POLL_MS);
    }
    return this.#stopped ? EXIT_INTERRUPTED : 0;
  }

  /** Undefined while the operator does not answer. @throws ApiRefusal where asking again would not help */
  async #look(): Promise<Map<string, Seen> | undefined> {
    const { client, clock, namespace, flags } = this.#parts;
    const { subscription, type, window } = flags;
    const parameters = { subscription, type, since: rfc3339(clock.trueMs() + (client.skew?.operatorAheadMs ?? 0) - window) };
    const found = new Map<string, Seen>();
    let isMore = false;
    try {
      const query = { client, path: pathOf(namespace, "attempts"), parameters, optional: { bodies: "none" } };
      for await (const { items, exact, nextCursor } of pagesOf<AttemptRow>(query, LOOK_MAX)) {
        for (const [at, row] of items.entries()) found.set(ATTEMPTS.idOf(row), { row, exact: exact[at] ?? null });
        isMore = nextCursor !== null;
      }
    } catch (error) {
      if (!(error instanceof CommandFailure) || (error instanceof ApiRefusal && error.status < 500)) throw error;
      if (!this.#away) complain(shown`${error.message} Asking again until it answers.`);
      this.#away = true;
      return undefined;
    }
    if (this.#away) complain(shown`The operator answers again.`);
    this.#away = false;
    if (isMore && !this.#crowded)
      complain(
        shown`More than ${LOOK_MAX} attempts within the window: some are not shown. Narrow it: -s NAME, --type TYPE or --window 1m.`,
      );
    this.#crowded = isMore;
    return found;
  }

  #show(found: ReadonlyMap<string, Seen>): void {
    const before = this.#seen;
    this.#seen = new Set(found.keys());
    const isWanted = ({ row }: Seen): boolean => this.#parts.flags.failed !== true || row.outcome !== "Success";
    // The first look only learns what has been.
    const fresh = before === undefined ? [] : [...found].filter(([id, one]) => !before.has(id) && isWanted(one)).map(([, one]) => one);
    fresh.sort((a, b) => (a.row.time ?? "").localeCompare(b.row.time ?? ""));
    if (this.#parts.flags.output === "jsonl") for (const { exact } of fresh) printExact(exact, "jsonl");
    else if (fresh.length > 0) for (const line of this.#table.page(fresh.map(({ row }) => row))) tell(line);
    if (before === undefined) complain(shown`Following attempts of namespace ${this.#parts.namespace}; ^C ends it.`);
  }
}
