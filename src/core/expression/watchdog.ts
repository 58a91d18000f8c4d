import { Script, createContext } from "node:vm";
import { threadCpuMs } from "../../lib/cpu-time.ts";

export type Watched<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string; readonly late?: true };

const holder: { run: () => unknown } = { run: () => undefined };
const context = createContext({ holder });
const script = new Script("holder.run()");
/** A machine that is so busy that a thread gets less than its limit in this time is no reason to cut anything off. */
const WAITS_AT_MOST = 8;

/**
 * Runs `work` on this thread but cut off after `limitMs` of its processor time, even in the middle of a loop (not of one of V8's own functions: those that
 * expressions reach are linear): V8's own watchdog. It goes by the wall, so work that was cut off before it had its time is run once more, with a
 * longer one. Costs a thread: 0.2 ms. A thrown error is a value too.
 */
export function withinMs<T>(limitMs: number, work: () => T): Watched<T> {
  const startedMs = threadCpuMs();
  const first = watched(limitMs, limitMs, work);
  if (first.ok || first.late !== true || threadCpuMs() - startedMs >= limitMs / 2) return first;
  return watched(limitMs, limitMs * WAITS_AT_MOST, work);
}

function watched<T>(limitMs: number, wallMs: number, work: () => T): Watched<T> {
  const previous = holder.run;
  holder.run = work;
  try {
    return { ok: true, value: script.runInContext(context, { timeout: wallMs }) as T };
  } catch (error) {
    // The watchdog's error comes from the other context: it is no instance of this one's Error.
    if (typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      return { ok: false, message: `the expression ran longer than ${limitMs} ms`, late: true };
    }
    return failed(error);
  } finally {
    holder.run = previous;
  }
}

/** A thrown error as a value. */
export function failed(error: unknown): { readonly ok: false; readonly message: string } {
  if (error instanceof RangeError && error.message.includes("call stack"))
    return { ok: false, message: "the expression is nested too deeply" };
  return { ok: false, message: error instanceof Error ? error.message : "the expression failed" };
}
