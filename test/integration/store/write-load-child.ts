/**
 * A process that is killed: accepts events with four deliveries each, two of them claimed, completes some, and prints every acknowledgement only
 * after the store has answered. Arguments: directory, how many callers, how often each.
 */
import { writeSync } from "node:fs";
import { StoreError } from "../../../src/store/store.ts";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { AHEAD, completion, delivery, item, NAMESPACE, START_MS } from "../../conformance/store/fixture.ts";

const STDOUT = 1;
const [directory = "", callers = "8", rounds = "1000000", pageCountMax] = process.argv.slice(2);
const store = new SqliteStore({
  directory,
  reserveBytes: 0,
  freeBytesMin: 0,
  ...(pageCountMax === undefined ? {} : { pageCountMax: Number(pageCountMax) }),
});

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Synchronous: what was said before a kill has been said. A worker thread makes stdout non-blocking, so a slow reader is waited for here. */
function say(line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(STDOUT, rest));
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

const FAN_OUT = [
  delivery({ as: "claimed" }),
  delivery({ subscription: "sub-b" }),
  delivery({ subscription: "sub-c", as: "fresh" }),
  // Its claim is durable; a slot, and so a socket, comes for every other one, later.
  delivery({ subscription: AHEAD, as: "ahead" }),
];

async function call(): Promise<void> {
  for (let round = 0; round < Number(rounds); round++) {
    const one = item({ deliveries: FAN_OUT });
    const result = await store.accept({ namespace: NAMESPACE, nowMs: START_MS, items: [one] });
    if (!result.ok) throw new Error("conflict");
    say(`accepted ${one.event.id}`);
    const id = result.items[0]?.deliveryIds[0] ?? 0;
    const [done] = await store.complete([completion(id)]);
    if (done === true) say(`delivered ${id}`);
    const ahead = result.items[0]?.deliveryIds[3] ?? 0;
    if (round % 2 === 1 && (await store.complete([completion(ahead)]))[0] === true) say(`delivered ${ahead}`);
  }
}

const died = (error: Error): void => {
  say(`fatal ${error.message}`);
  process.exitCode = 70;
};
try {
  await store.open({ owner: "child", nowMs: START_MS, idempotencyTtlMs: 1_000, onFatal: died });
  say("open");
  await Promise.all(Array.from({ length: Number(callers) }, call));
  await store.close();
  say("closed");
} catch (error) {
  say(`error ${error instanceof StoreError ? error.code : "other"} ${String(error)}`);
  process.exit(70);
}
