import { Command, Option } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ApiClient, ApiRefusal, heldPause } from "../api/api-client.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import type { DeliveryRow } from "../api/rows.ts";
import { duration, outputFormat } from "../option-values.ts";
import type { ProcessSignals } from "../process-signals.ts";
import { CommandFailure, EXIT_FAILED, EXIT_INTERRUPTED } from "../program.ts";
import { jsonObject } from "../publish-answer.ts";
import { complain, shown, shownJson, tell } from "../terminal.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";
import { deliverySentence } from "./sentences.ts";
import { readStdin } from "../stdin.ts";

const EXAMPLES = `
Examples:
  # once more, and say what the receiver answered
  postrider resend -n shop 8f14e45fceea167a5a36dedd4bea2543 --wait 30s

  # everything that failed for crm since two o'clock
  postrider deliveries -n shop -s crm --state failed --since 02:00 --all \\
    -o name | postrider resend -n shop -

Each is one extra attempt with the same webhook-id, beyond all limits of
retries; pauses of its subscription still apply. - reads ids from stdin, one a
line: as -o name or -o jsonl writes them. An id that appears twice is sent once.
Exit code: 0 all are resent (with --wait: delivered), 1 some are not, 2 wrong
usage, 130 after ^C.`;

const WAIT_MAX_MS = 3_600_000;
const POLL_MS = 500;
/** Of one command: each is a call and a line. */
const IDS_MAX = 1_000_000;
/** About this one delivery; with every other refusal the next one would be refused too. */
const OF_THIS_ONE: ReadonlySet<number> = new Set([400, 404, 409, 410]);

interface ResendFlags extends ConnectionFlags {
  readonly wait?: number;
  readonly output: "text" | "json";
  readonly utc?: boolean;
}

/** `postrider resend`: one extra attempt for each delivery. */
export function resendCommand(clock: Clock, signals: ProcessSignals): Command {
  const command = new Command("resend")
    .description("send deliveries again, each once")
    .argument("<id...>", "ids of deliveries, or - for stdin");
  return withConnection(command)
    .addOption(
      new Option("--wait <duration>", "wait for the answers, all together at most this long").argParser(duration(WAIT_MAX_MS, "1h")),
    )
    .addOption(new Option("-o, --output <format>", "text, or json: one object a line").argParser(outputFormat).default("text"))
    .option("--utc", "times in UTC; otherwise in this machine's zone")
    .addHelpText("after", EXAMPLES)
    .action(async (given: readonly string[], flags: ResendFlags, self: Command) => {
      const namespace = namespaceOf(flags, self);
      const ids = idsOf(given);
      await withClient(openClient(flags, clock), async (client) => {
        const resending = new Resending({ client, clock, namespace, flags });
        signals.onStop(() => resending.stop());
        process.exitCode = await resending.run(ids);
      });
    });
}

/** @throws CommandFailure */
export function idsOf(given: readonly string[]): string[] {
  const words = given.flatMap((word) => (word === "-" ? readStdin().toString("utf8").split("\n") : [word]));
  const ids = new Set<string>();
  for (const [at, word] of words.entries()) {
    const text = word.trim();
    if (text === "") continue;
    const id = text.startsWith("{") ? idIn(text) : bareId(text).split("/")[0];
    if (id === undefined || !/^[0-9a-zA-Z]{1,64}$/.test(id))
      throw new CommandFailure(
        `'${text.slice(0, 64)}' (number ${at + 1}) is not the id of a delivery: nothing was resent. -o name writes them`,
      );
    ids.add(id);
    if (ids.size > IDS_MAX) throw new CommandFailure(`more than ${IDS_MAX} ids: nothing was resent; split them`);
  }
  return [...ids];
}

/** A row of deliveries, or of attempts. */
function idIn(line: string): string | undefined {
  const row = jsonObject(line);
  const id = row?.["deliveryID"] ?? row?.["id"];
  return typeof id === "string" ? id : undefined;
}

interface ResendingParts {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly namespace: string;
  readonly flags: ResendFlags;
}

/** One after the other: the operator has the last word on pace. A stop ends it between two of them, and says how many were resent. */
class Resending {
  readonly #parts: ResendingParts;
  #stopped = false;
  #failed = 0;

  constructor(parts: ResendingParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(ids: readonly string[]): Promise<number> {
    const before = new Map<string, number>();
    let done = 0;
    for (const id of ids) {
      if (this.#stopped) break;
      await this.#resend(id, before, done);
      done += 1;
    }
    const left = this.#parts.flags.wait === undefined ? 0 : await this.#watch(before);
    if (ids.length > 1) complain(shown`${before.size} of ${ids.length} resent${this.#failed > 0 ? `, ${this.#failed} not` : ""}`);
    if (this.#stopped) return EXIT_INTERRUPTED;
    return this.#failed > 0 || left > 0 ? EXIT_FAILED : 0;
  }

  /** @throws CommandFailure where no further one would fare better */
  async #resend(id: string, before: Map<string, number>, done: number): Promise<void> {
    const { client, namespace, flags } = this.#parts;
    try {
      const attempts = flags.wait === undefined ? 0 : (await this.#row(id)).attempts;
      await client.post(pathOf(namespace, "deliveries", id, "resend"));
      before.set(id, attempts);
      if (flags.wait === undefined) tell(flags.output === "json" ? shownJson({ id, resent: true }) : shown`${id} resent`);
    } catch (error) {
      if (error instanceof ApiRefusal && OF_THIS_ONE.has(error.status)) {
        this.#failed += 1;
        if (flags.output === "json") tell(shownJson({ id, resent: false, code: error.problem, detail: error.detail }));
        complain(shown`${id}: ${error.message}`);
        return;
      }
      const text = error instanceof Error ? error.message : String(error);
      throw new CommandFailure(done === 0 ? text : `${text} ${before.size} were resent before; the first that was not is ${id}`);
    }
  }

  /** Looks at each until it has one more attempt and has ended, or the time is over. @returns how many did not end in time */
  async #watch(before: Map<string, number>): Promise<number> {
    const { clock, flags } = this.#parts;
    const endMs = clock.monotonicMs() + (flags.wait ?? 0);
    const open = new Map(before);
    while (open.size > 0 && !this.#stopped) {
      const isLast = clock.monotonicMs() >= endMs;
      for (const [id, attempts] of open) {
        const row = await this.#row(id);
        const hasEnded = row.attempts > attempts && row.endedTime !== null;
        if (hasEnded) open.delete(id);
        if (hasEnded || isLast) this.#tell(row, hasEnded);
        if (hasEnded && row.state !== "Delivered") this.#failed += 1;
        if (this.#stopped) break;
      }
      if (isLast) break;
      if (open.size > 0) await heldPause(POLL_MS);
    }
    return open.size;
  }

  #tell(row: DeliveryRow, hasEnded: boolean): void {
    const { clock, namespace, flags } = this.#parts;
    if (flags.output === "json")
      return tell(
        shownJson({ id: row.id, resent: true, ended: hasEnded, state: row.state, statusCode: row.lastAttempt?.statusCode ?? null }),
      );
    const reading = { nowMs: clock.trueMs(), utc: flags.utc === true, namespace };
    return tell(shown`${row.id} ${hasEnded ? "" : "still "}${deliverySentence(row, reading)}`);
  }

  async #row(id: string): Promise<DeliveryRow> {
    const { client, namespace } = this.#parts;
    return JSON.parse(await client.get(pathOf(namespace, "deliveries", id))) as DeliveryRow;
  }
}
