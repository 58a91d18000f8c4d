import { getPriority } from "node:os";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";

it.runIf(process.platform === "linux")("lowers the thread that asks, and no other", async () => {
  const path = new URL("../../../src/lib/thread-priority.ts", import.meta.url).href;
  const own = getPriority();
  const code = `import { parentPort } from "node:worker_threads";
    import { readFileSync } from "node:fs";
    import { lowerThreadPriority } from ${JSON.stringify(path)};
    const niceOf = () => Number(readFileSync("/proc/thread-self/stat", "utf8").split(") ")[1].split(" ")[16]);
    parentPort.postMessage([niceOf(), lowerThreadPriority(10), niceOf()]);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { execArgv: [] });
  const told = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  expect(told).toEqual([own, true, 10]);
  expect(getPriority()).toBe(own);
});
