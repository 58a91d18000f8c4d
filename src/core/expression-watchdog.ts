import { Script, createContext } from "node:vm";

export type Watched<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

const holder: { run: () => unknown } = { run: () => undefined };
const context = createContext({ holder });
const script = new Script("holder.run()");

/**
 * Runs `work` on this thread but cut off after `limitMs`, even in the middle of a loop: V8's own watchdog (costs a thread start, so only
 * what can run long comes here). A thrown error is a value too.
 */
export function withinMs<T>(limitMs: number, work: () => T): Watched<T> {
  const previous = holder.run;
  holder.run = work;
  try {
    return { ok: true, value: script.runInContext(context, { timeout: limitMs }) as T };
  } catch (error) {
    // The watchdog's error comes from the other context: it is no instance of this one's Error.
    if (typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      return { ok: false, message: `the expression ran longer than ${limitMs} ms` };
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
