import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { REFLECTOR_LIMITS } from "../../../src/kube/reflector.ts";
import { RETRIES_PER_SECOND, RETURNS_PER_SECOND, SharedRetryPace } from "../../../src/kube/retry-pace.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";
import { COLLECTION, subscription, WatchedCollection } from "../../support/kube/watched-collection.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

let server: FaultyApiServer;
const started: WatchedCollection[] = [];

beforeEach(async () => {
  server = await FaultyApiServer.start();
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((one) => one.end()));
  await server.stop();
});

function watch(options: ConstructorParameters<typeof WatchedCollection>[1] = {}): WatchedCollection {
  const watched = new WatchedCollection(server, options).run();
  started.push(watched);
  return watched;
}

async function watching(options: ConstructorParameters<typeof WatchedCollection>[1] = {}): Promise<WatchedCollection> {
  const watched = watch(options);
  await server.until(({ openWatches }) => openWatches === 1);
  return watched;
}

const requests = (kind: string) => server.requests.filter((request) => request.kind === kind);

describe("a reflector", () => {
  it("reads the list in pages, each object once, and watches on from there", async () => {
    for (const name of ["a", "b", "c", "d", "e"]) server.put(COLLECTION, subscription(name));
    const watched = await watching();
    expect(watched.replaced).toEqual([5]);
    expect(requests("list").map(({ query }) => query["limit"])).toEqual(["2", "2", "2"]);
    expect(requests("watch")[0]?.query).toMatchObject({
      watch: "1",
      allowWatchBookmarks: "true",
      resourceVersion: String(server.objects.version),
      timeoutSeconds: String(REFLECTOR_LIMITS.watchSeconds),
    });
    server.delete(COLLECTION, "b", "shop");
    await watched.until(() => !watched.objects.has("b"));
    expect([...watched.objects.keys()]).toEqual(["a", "c", "d", "e"]);
  });

  it.each(["HTTP 410", "an ERROR event"])("lists anew on %s, and forgets what went meanwhile", async (how) => {
    server.put(COLLECTION, subscription("goes"));
    server.put(COLLECTION, subscription("stays"));
    const watched = await watching();
    server.silence();
    server.delete(COLLECTION, "goes", "shop");
    server.silence(false);
    if (how === "HTTP 410") {
      server.endWatches();
      server.objects.compact();
      await server.until(({ openWatches }) => openWatches === 0);
      await settle();
      await watched.until(() => watched.clock.nextAtMs() !== undefined);
      await watched.endPause();
    } else {
      server.dropConnections();
      await watched.paused(1);
      await watched.endPause();
      await server.until(({ openWatches }) => openWatches === 1);
      server.expire();
    }
    await watched.until(() => watched.restarts.at(-1)?.reason === "expired");
    await settle();
    await watched.endPause();
    await watched.until(() => watched.replaced.length === 2);
    expect([...watched.objects.keys()]).toEqual(["stays"]);
  });

  it("notices a watch that has gone silent, and goes on from its place without a new list", async () => {
    const watched = await watching();
    await watched.clock.advance(60_000);
    server.put(COLLECTION, subscription("heard"));
    await watched.until(() => watched.objects.has("heard"));
    await watched.clock.advance(REFLECTOR_LIMITS.silenceMaxMs - 1);
    expect(watched.restarts).toEqual([]);
    server.silence();
    server.put(COLLECTION, subscription("unheard"));
    server.silence(false);
    await watched.clock.advance(1);
    await watched.paused(1);
    expect(watched.restarts[0]).toMatchObject({ reason: "silent", message: "nothing arrived for 90000 ms" });
    await watched.endPause();
    await watched.until(() => watched.objects.has("unheard"));
    expect(requests("list")).toHaveLength(1);
  });

  it("takes its place from bookmarks", async () => {
    const watched = await watching();
    server.put("/api/v1/pods", subscription("elsewhere"));
    server.bookmark();
    server.endWatches();
    await server.until(({ openWatches }) => openWatches === 0);
    while (watched.clock.nextAtMs() !== watched.clock.nowMs() + REFLECTOR_LIMITS.backoffMinMs / 2) await settle();
    await watched.endPause();
    await server.until(({ openWatches }) => openWatches === 1);
    expect(requests("watch").at(-1)?.query["resourceVersion"]).toBe(String(server.objects.version));
    expect(watched.restarts).toEqual([]);
  });

  it.each([
    ["a 500", { status: 500 }, "refused"],
    ["a 403", { status: 403 }, "forbidden"],
    ["a 401", { status: 401 }, "unauthorized"],
    ["a 404", { status: 404 }, "not_found"],
    ["a 429", { status: 429 }, "throttled"],
    ["a reset", { broken: "reset" }, "network"],
    ["nonsense", { broken: "malformed" }, "malformed"],
  ] as const)("survives %s when it lists", async (_name, fault, reason) => {
    server.put(COLLECTION, subscription("a"));
    const heal = server.fail(fault);
    const watched = watch();
    for (let n = 1; n <= 3; n++) {
      await watched.paused(n);
      if (n === 3) heal();
      await watched.endPause();
    }
    await watched.until(() => watched.objects.has("a"));
    expect(watched.restarts.map((restart) => restart.reason)).toEqual([reason, reason, reason]);
  });

  it("survives a line that is not JSON, half a line, and a reset in the middle of a line", async () => {
    const watched = await watching();
    const faults = [
      () => server.babble("{]\n"),
      () => server.babble('{"type":"ADDED"}\n'),
      () => server.babble('{"type":'),
      () => undefined,
    ];
    for (const [index, fault] of faults.entries()) {
      fault();
      if (index >= 2) server.dropConnections();
      await watched.paused(index + 1);
      await watched.endPause();
      await server.until(({ openWatches }) => openWatches === 1);
    }
    server.put(COLLECTION, subscription("after"));
    await watched.until(() => watched.objects.has("after"));
    expect(watched.restarts.map(({ reason }) => reason)).toEqual(["malformed", "malformed", "network", "network"]);
  });

  it("waits as long as Retry-After says, up to a minute", async () => {
    server.fail({ status: 429, retryAfterSeconds: 7 }, { times: 1 });
    server.fail({ status: 429, retryAfterSeconds: 86_400 }, { times: 1 });
    const watched = watch();
    await watched.paused(1);
    expect(await watched.endPause()).toBe(7_000);
    await watched.paused(2);
    expect(await watched.endPause()).toBe(60_000);
    await watched.until(() => watched.replaced.length === 1);
  });

  it.each([0, 0.999_999])("backs off with bounded jitter (chance %d), asking at most 5 times in any second", async (random) => {
    server.fail({ status: 500 });
    const watched = watch({ random });
    const pauses: number[] = [];
    for (let n = 1; n <= 20; n++) {
      await watched.paused(n);
      pauses.push(await watched.endPause());
    }
    const whole = Array.from({ length: 20 }, (_, index) =>
      Math.min(REFLECTOR_LIMITS.backoffMaxMs, REFLECTOR_LIMITS.backoffMinMs * 2 ** index),
    );
    expect(pauses.map(Math.round)).toEqual(whole.map((ms) => Math.round(ms * (0.5 + random / 2))));
    expect(mostInOneSecond(watched.restarts.map(({ atMs }) => atMs))).toBeLessThanOrEqual(5);
  });

  it("does not loop fast when lists succeed and every watch ends at once", async () => {
    server.fail({ status: 410 }, { matching: ({ kind }) => kind === "watch" });
    const watched = watch();
    for (let n = 1; n <= 12; n++) {
      await watched.paused(n);
      await watched.endPause();
    }
    expect(mostInOneSecond(watched.restarts.map(({ atMs }) => atMs))).toBeLessThanOrEqual(5);
    expect(watched.restarts.at(-1)!.atMs - watched.restarts.at(-2)!.atMs).toBe(REFLECTOR_LIMITS.backoffMaxMs / 2);
  });

  it("asks quickly again after a watch that was a good one", async () => {
    const watched = watch();
    server.fail({ status: 500 }, { times: 6 });
    for (let n = 1; n <= 6; n++) {
      await watched.paused(n);
      await watched.endPause();
    }
    await server.until(({ openWatches }) => openWatches === 1);
    await watched.clock.advance(REFLECTOR_LIMITS.healthyAfterMs);
    server.dropConnections();
    await watched.paused(7);
    expect(watched.pauseMs).toBe(REFLECTOR_LIMITS.backoffMinMs / 2);
  });

  it("shares one pace with all others", async () => {
    server.fail({ status: 500 });
    const clock = new ManualClock();
    const pace = new SharedRetryPace(clock);
    const all = Array.from({ length: 20 }, () => watch({ clock, pace }));
    const restarts = () => all.flatMap((watched) => watched.restarts.map(({ atMs }) => atMs));
    for (let turn = 0; turn < 100; turn++) {
      for (const watched of all) {
        const asked = () => watched.restarts.length;
        await watched.until(() => asked() > 0);
      }
      while (restarts().length < server.requests.length || clock.nextAtMs() === undefined) await settle();
      await clock.advance((clock.nextAtMs() ?? 0) - clock.nowMs());
      // Whose turn it is must have asked before time passes on: what is counted is when a request was answered.
      for (let turns = 0; turns < 6; turns++) await settle();
    }
    const retries = restarts().filter((atMs) => atMs > Date.UTC(2026, 0, 1));
    expect(retries.length).toBeGreaterThan(50);
    expect(mostInOneSecond(retries)).toBeLessThanOrEqual(RETRIES_PER_SECOND);
  });

  it("comes back at a faster pace once the API server answers again, in the order of the line", async () => {
    const heal = server.fail({ status: 500 });
    const clock = new ManualClock();
    const pace = new SharedRetryPace(clock);
    const all = Array.from({ length: 200 }, () => watch({ clock, pace }));
    for (let second = 0; second < 15; second++) {
      await clock.advance(1_000);
      await settle();
    }
    heal();
    const fromMs = clock.nowMs();
    while (all.some(({ replaced }) => replaced.length === 0)) {
      await clock.advance(100);
      for (let turns = 0; turns < 4; turns++) await settle();
    }
    expect(clock.nowMs() - fromMs).toBeLessThanOrEqual(REFLECTOR_LIMITS.backoffMaxMs + (200 / RETURNS_PER_SECOND) * 1_000 + 1_000);
  });

  it("begins to wait anew when the trouble is another one: an outage's long waits do not delay what follows it", async () => {
    const heal = server.fail({ broken: "reset" });
    const watched = watch();
    for (let n = 1; n <= 8; n++) {
      await watched.paused(n);
      await watched.endPause();
    }
    await watched.paused(9);
    heal();
    server.fail({ status: 403 }, { times: 1 });
    expect(await watched.endPause()).toBe(REFLECTOR_LIMITS.backoffMaxMs / 2);
    await watched.paused(10);
    expect(watched.restarts.at(-1)?.reason).toBe("forbidden");
    expect(await watched.endPause()).toBe(REFLECTOR_LIMITS.backoffMinMs / 2);
    await watched.until(() => watched.replaced.length === 1);
  });

  it("is not ended by a handler that throws", async () => {
    const watched = await watching();
    watched.onChanged = ({ metadata }) => {
      if (metadata.name === "bad") throw new Error("no");
    };
    server.put(COLLECTION, subscription("bad"));
    server.put(COLLECTION, subscription("good"));
    await watched.until(() => watched.objects.has("good"));
    expect(watched.failures).toEqual([new Error("no")]);
    expect(watched.restarts).toEqual([]);
  });

  it.each(["listing", "watching", "waiting"])("stops at once while it is %s, and leaves no timer and no connection", async (doing) => {
    if (doing === "listing") server.fail({ broken: "hang" });
    if (doing === "waiting") server.fail({ status: 500 });
    const watched = watch();
    if (doing === "listing") await server.until((one) => one.requests.length === 1);
    else if (doing === "watching") await server.until(({ openWatches }) => openWatches === 1);
    else await watched.paused(1);
    await watched.stop();
    expect(watched.clock.nextAtMs()).toBeUndefined();
    await watched.transport.close();
    await server.until(({ openConnections }) => openConnections === 0);
    expect(watched.replaced).toHaveLength(doing === "watching" ? 1 : 0);
  });
});

/** Requests in the fullest second. */
function mostInOneSecond(timesMs: readonly number[]): number {
  return Math.max(...timesMs.map((from) => timesMs.filter((atMs) => atMs >= from && atMs < from + 1_000).length));
}
