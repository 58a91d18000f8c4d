import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import { atMost, type Supervisor } from "./supervise.ts";

/**
 * Events are taken in for at least so long, ms: whoever has a connection is told by `Connection: close` to come back through a new one, and a
 * Service that has not heard yet that the Pod is going still finds it.
 */
const LAME_DUCK_MS = 300;
/** The ingest closes so long before the deadline at the latest, ms: what is on its way there must be answered by then. */
const CLOSING_MS = 2_000;
/** The last things to end may take so long each after the deadline, ms; an engine needs most, for attempts that are cut off. */
const ENGINE_LATE_MS = 3_200;
const LATE_MS = 500;
const STORE_LATE_MS = 1_500;

/** An exit that is not clean: something was given up. */
const EXIT_GIVEN_UP = 1;

interface Closable {
  close(): Promise<void>;
}

export interface Stoppable {
  readonly engine: Service & { drain(withinMs: number): Promise<void> };
  readonly ingest: Service & { drain(): void };
  readonly api: Service;
  /** What the cluster or the folder tells, and what is told there. */
  readonly desks: readonly Service[];
  readonly attempter: Closable;
  readonly authenticators: Closable;
  readonly store: Closable;
}

export interface ShutDownParts {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly log: Log;
  /** From now on, for attempts under way. */
  readonly drainMs: number;
  /** Ends the process at once: a thread that hangs in the disk would hold up an ordinary exit for as long as the disk does. */
  readonly kill: () => void;
}

/**
 * One deadline for everything, from the signal on:
 *   at once          no attempt is begun any more; the API closes. The ingest goes on, for what is accepted is stored, and the next process delivers it.
 *   last attempt over, or CLOSING_MS before the deadline: the ingest closes; the desks stop, whatever the API server does.
 *   the deadline     attempts still under way are cut off and will be made again; the engine hands back what it has, the store closes.
 * Whoever does not end in time is left behind, and named. Answers the exit code: 0 unless something that must be durable was given up.
 */
export async function shutDown(rooms: Stoppable, parts: ShutDownParts): Promise<number> {
  const { supervisor, clock, log, drainMs, kill } = parts;
  const untilMs = clock.monotonicMs() + drainMs;
  const leftMs = (): number => Math.max(0, untilMs - clock.monotonicMs());
  log.info({ event: "stopping", drainMs }, "stopping: no new attempts; those in flight may finish");
  const idle = rooms.engine.drain(drainMs);
  rooms.ingest.drain();
  const late: string[] = [];
  const apiClosed = supervisor.stop(leftMs(), [rooms.api]);
  await Promise.all([atMost(clock, Math.max(0, leftMs() - CLOSING_MS), idle), rested(clock, Math.min(LAME_DUCK_MS, drainMs))]);
  late.push(...(await supervisor.stop(CLOSING_MS, [rooms.ingest, ...rooms.desks])));
  const engineLate = await supervisor.stop(leftMs() + ENGINE_LATE_MS, [rooms.engine]);
  late.push(...engineLate, ...(await apiClosed), ...(await supervisor.stop(LATE_MS)));
  const closed = async (name: "attempter" | "authenticators" | "store", withinMs: number): Promise<boolean> => {
    const closing = rooms[name].close().catch((error: unknown) => log.warn({ err: error }, `stopping: ${name} did not close cleanly`));
    const isClosed = await atMost(clock, withinMs, closing);
    if (!isClosed) late.push(name);
    return isClosed;
  };
  await closed("attempter", LATE_MS);
  await closed("authenticators", LATE_MS);
  const isStoreClosed = await closed("store", STORE_LATE_MS);
  if (late.length > 0)
    log.warn({ event: "stopped.late", late }, `these services did not stop in time and were abandoned: ${late.join(", ")}`);
  if (!isStoreClosed) {
    log.error(
      { event: "stopped.killed" },
      "the store does not close because its disk hangs: the process kills itself; unanswered writes may or may not be stored",
    );
    kill();
  }
  log.info({ event: "stopped" }, "stopped");
  return isStoreClosed && engineLate.length === 0 ? 0 : EXIT_GIVEN_UP;
}

function rested(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
