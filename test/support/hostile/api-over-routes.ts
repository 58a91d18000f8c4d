import { ApiServer } from "../../../src/admin/api-server.ts";
import { apiOpenToAll } from "../../../src/admin/authenticator.ts";
import type { KnownSubscription } from "../../../src/admin/directory.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { Route } from "../../../src/core/route-table.ts";
import type { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { Engine } from "../../../src/delivery/engine.ts";
import { TestSender } from "../../../src/delivery/test-sender.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { BusinessEvents } from "../../../src/observe/events.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { anEvent } from "../delivery/attempt-input.ts";
import { testDeliveryNames } from "../delivery/test-delivery-names.ts";
import { untilGiven } from "../until.ts";
import { silentLog } from "../silent-log.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- any JSON
type Json = any;

const WAIT_MS = 20_000;

/** The API in front of an engine with these routes, the attempter real; one event has been accepted for each route. */
export class ApiOverRoutes {
  readonly #url: string;
  readonly #stop: () => Promise<unknown>;

  private constructor(url: string, stop: () => Promise<unknown>) {
    this.#url = url;
    this.#stop = stop;
  }

  static async start(routes: readonly Route[], attempter: HttpAttempter): Promise<ApiOverRoutes> {
    const [clock, log, store] = [new SystemClock(), silentLog, new MemoryStore()];
    const metrics = new Metrics({ version: "test", defaults: false });
    const events = new BusinessEvents(metrics, log, testDeliveryNames);
    const parts = {
      store,
      attempter,
      asker: attempter,
      clock,
      random: systemRandom,
      events,
      metrics,
      log,
      owner: "test",
      slotsMax: 64,
      deliveryNames: testDeliveryNames,
    };
    const engine = new Engine(parts);
    const table = RouteTable.build(routes, RouteTable.empty);
    await store.open({ owner: "test", nowMs: clock.nowMs(), idempotencyTtlMs: 1_000 });
    engine.publish(table);
    const laneOf = (uid: string) => engine.laneOf(uid);
    const tests = new TestSender({ clock, attempter, table: () => table, recover: (uid) => engine.recover(uid), events, laneOf });
    const known = routes.map(({ subscription: { uid, namespace, name } }): KnownSubscription => ({
      uid,
      namespace,
      name,
      generation: 1,
      spec: null,
      status: null,
    }));
    const api = new ApiServer({
      listen: { host: "127.0.0.1", port: 0 },
      authenticator: apiOpenToAll,
      log,
      watch: { open: () => undefined, closed: () => undefined, shaken: () => undefined },
      store,
      clock,
      deliveryNames: testDeliveryNames,
      directory: {
        list: () => known,
        get: (_namespace, name) => known.find((one) => one.name === name),
        nameOf: (uid) => known.find((one) => one.uid === uid)?.name,
        uidsOf: (_namespace, name) => known.filter((one) => one.name === name).map(({ uid }) => uid),
      },
      acts: {
        storageFull: () => undefined,
        resend: (id) => engine.resend(id),
        test: (order, signal) => tests.send(order, signal),
        pause: (uid, message) => engine.pause(uid, message),
        resume: (uid) => engine.resume(uid),
        heldBack: (queue) => engine.heldBack(queue),
        bodyOf: () => undefined,
      },
    });
    const url = await api.open();
    const abort = new AbortController();
    const running = Promise.all([engine.run(abort.signal), api.run(abort.signal)]);
    const event = anEvent({ receivedAtMs: clock.nowMs() });
    const deliveries = engine.admit(event, [...table.routes()], event.receivedAtMs);
    const item = {
      event,
      idempotencyKey: undefined,
      contentHash: new Uint8Array(32),
      deliveries,
      bodyRetentionMs: 1e9,
      historyRetentionMs: 1e9,
    };
    const result = await store.accept({ namespace: event.namespace, items: [item], nowMs: event.receivedAtMs });
    if (!result.ok) throw new Error("not accepted");
    engine.committed(event, deliveries, result.items[0]?.deliveryIds ?? []);
    return new ApiOverRoutes(url, () => {
      abort.abort();
      return running;
    });
  }

  /** Where its own calls go, `host:port`. */
  get place(): string {
    return new URL(this.#url).host;
  }

  async call(method: "GET" | "POST", path: string): Promise<{ readonly status: number; readonly body: Json }> {
    for (;;) {
      const response = await fetch(`${this.#url}/v1/namespaces/shop/${path}`, { method });
      const body: Json = await response.json();
      // So many tests in a row are more than a namespace has a second: asked again, as a caller would.
      if (body?.code !== "tests_too_fast") return { status: response.status, body };
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** All deliveries, once each has ended after so many attempts. */
  async ended(count: number, attempts: number): Promise<readonly Json[]> {
    let items: readonly Json[] = [];
    let done: readonly Json[] = [];
    const look = async (): Promise<readonly Json[] | undefined> => {
      ({ items } = (await this.call("GET", "deliveries?limit=500")).body);
      done = items.filter((row) => row.attempts >= attempts && row.state !== "ready" && row.state !== "claimed");
      return done.length === count ? done : undefined;
    };
    return untilGiven(look, { withinMs: WAIT_MS, seen: () => `${done.length} of ${count} ended: ${JSON.stringify(items[0])}` });
  }

  stop(): Promise<unknown> {
    return this.#stop();
  }
}
