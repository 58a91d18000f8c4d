import { getHeapSpaceStatistics } from "node:v8";
import { isMainThread, Worker } from "node:worker_threads";
import { YOUNG_MAX_MIB } from "../../../src/store/sqlite/sqlite-threads.ts";

/**
 * A program: prints how large the space of new objects gets, in MiB, on the main thread and in a thread with the writer's limit and one with that
 * of the others. It depends on the flags that Node is started with.
 */
const OBJECTS = 600_000;
/** So many of them are alive at once: enough survive that V8 would like more room. */
const ALIVE = 40_000;

function newSpaceMiB(): number {
  const alive: unknown[] = [];
  for (let i = 0; i < OBJECTS; i++) alive[i % ALIVE] = { number: i, list: [i], text: `x${i}` };
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  return Math.round((space?.space_size ?? 0) / 1_048_576);
}

if (isMainThread) {
  console.log(newSpaceMiB());
  for (const maxYoungGenerationSizeMb of Object.values(YOUNG_MAX_MIB)) {
    const worker = new Worker(new URL(import.meta.url), { execArgv: [], resourceLimits: { maxYoungGenerationSizeMb } });
    await new Promise((resolve) => worker.once("exit", resolve));
  }
} else {
  console.log(newSpaceMiB());
}
