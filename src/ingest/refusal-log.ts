import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import { redactText } from "../observe/redact.ts";
import type { Refusal } from "./refusal.ts";

/** Refusals that are alike are told at once, and again after this with their number, ms. */
const TELL_EVERY_MS = 60_000;
/** Kinds of refusal that have a line of their own in a minute; the rest share one. Callers may come from any number of addresses. */
const KINDS_MAX = 200;
const DETAIL_CHARS_MAX = 300;

/** Who was refused; the namespace is the one that he asked for. */
export interface Refused {
  readonly namespace: string | undefined;
  /** The address that the connection comes from. */
  readonly from: string;
  readonly refusal: Pick<Refusal, "code" | "status" | "detail">;
}

interface Kind extends Refused {
  /** Since the last line. */
  count: number;
}

/**
 * One line for the first refusal of a namespace, code and caller, and one each minute with the number of those that followed: a producer that is
 * locked out is found, and one that never stops fills no disk. A crash loses the numbers of the last minute.
 */
export class RefusalLog {
  readonly #log: Log;
  readonly #clock: Pick<Clock, "after">;
  #kinds = new Map<string, Kind>();
  #others = 0;
  #cancel: (() => void) | undefined;

  constructor(log: Log, clock: Pick<Clock, "after">) {
    this.#log = log;
    this.#clock = clock;
  }

  note(refused: Refused): void {
    const key = `${refused.namespace ?? ""} ${refused.refusal.code} ${refused.from}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.#kinds.size >= KINDS_MAX) this.#others += 1;
    else {
      this.#kinds.set(key, { ...refused, count: 0 });
      this.#tell(refused, 1);
    }
    this.#cancel ??= this.#clock.after(TELL_EVERY_MS, () => this.#minuteOver());
  }

  /** Tells what has not been told. */
  flush(): void {
    this.#cancel?.();
    this.#minuteOver();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #minuteOver(): void {
    this.#cancel = undefined;
    const kinds = this.#kinds;
    this.#kinds = new Map();
    for (const [key, kind] of kinds) {
      if (kind.count === 0) continue;
      this.#tell(kind, kind.count);
      // It goes on: its next line comes in a minute, not at once.
      this.#kinds.set(key, { ...kind, count: 0 });
    }
    if (this.#others > 0) {
      const msg = `${this.#others} more requests were refused; only ${KINDS_MAX} kinds (namespace, code, address) have a line of their own in a minute`;
      this.#log.warn({ event: "ingest.refused", count: this.#others }, msg);
    }
    this.#others = 0;
    if (this.#kinds.size > 0) this.#cancel = this.#clock.after(TELL_EVERY_MS, () => this.#minuteOver());
  }

  #tell({ namespace, from, refusal }: Refused, count: number): void {
    const { code, status: statusCode, detail } = refusal;
    this.#log.warn(
      { event: "ingest.refused", namespace, code, statusCode, from, count },
      `refused: ${redactText(detail, DETAIL_CHARS_MAX)}`,
    );
  }
}
