import { parentPort, workerData } from "node:worker_threads";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { DnsResolver } from "../../../src/attempt/connect/resolver.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute, LOOPBACK_EGRESS } from "../delivery/attempt-input.ts";
import type { AttemptOrder, StallingOptions, StallOrder } from "./stalling-attempter.ts";

const { ca, servers, dnsTimeoutMs } = workerData as StallingOptions;
const clock = new SystemClock();
const resolver = new DnsResolver({ clock, servers, timeoutMs: dnsTimeoutMs ?? 300 });
const attempter = new HttpAttempter({ clock, version: "1", resolver, ...(ca === undefined ? {} : { ca }) });
const never = new Int32Array(new SharedArrayBuffer(4));

function attempt({ id, url, policy, hosts }: AttemptOrder & { readonly id: number }): void {
  const egress = { ...LOOPBACK_EGRESS, allowedHosts: [...(hosts ?? [])] };
  const route = aRoute({ url, egress, ...(policy === undefined ? {} : { policy }) });
  void attempter.attempt({ route, event: anEvent(), attempt: 1 }).then(({ outcome }) => parentPort?.postMessage({ id, outcome }));
}

/** The loop does not turn for so long: nothing is read, no timer fires. */
function stall(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}

parentPort?.on("message", ({ orders, stalls }: { orders: (AttemptOrder & { id: number })[]; stalls: StallOrder[] }) => {
  for (const order of orders) {
    if (order.afterMs === undefined) attempt(order);
    else setTimeout(() => attempt(order), order.afterMs);
  }
  for (const { afterMs, forMs } of stalls) {
    if (afterMs === 0) setImmediate(() => setImmediate(() => stall(forMs)));
    // Not within a timer: as after a freeze, timers must be the first that the loop looks at when it goes on.
    else setTimeout(() => setImmediate(() => stall(forMs)), afterMs);
  }
});
