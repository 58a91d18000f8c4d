/** What `work` below takes on the machine that the bounds were measured on when nothing else runs there, ms of processor time. */
const REFERENCE_MS = 8;
const TRIES = 3;

/** Processor time of this thread, ms: what a busy machine adds is not the expression's. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** How many times slower a processor is at this moment than the one the bounds are for; at least 1. Neighbours share its caches and its threads. */
export function slowness(): number {
  const startedMs = cpuMs();
  for (let i = 0; i < TRIES; i++) work();
  return Math.max(1, (cpuMs() - startedMs) / TRIES / REFERENCE_MS);
}

/** Objects, maps and calls, as evaluating makes them. */
function work(): number {
  let sum = 0;
  for (let i = 0; i < 40_000; i++) {
    const map = new Map<string, unknown>([["a", { i }]]);
    sum += [i, ...map.values()].map((value) => typeof value).length;
  }
  return sum;
}
