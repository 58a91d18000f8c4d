import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { metricsComplaint, PROMTOOL } from "../../support/observe/rule-tests.ts";
import { HealthServer, LOOP_STALL_MAX_MS, type HealthCheck } from "../../../src/observe/health-server.ts";
import { reviewedScrapes, type ScrapeAccess } from "../../../src/observe/scrape-access.ts";
import { BusinessEvents } from "../../../src/observe/events.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { silentLog } from "../../support/silent-log.ts";

const abort: AbortController[] = [];
const running: Promise<void>[] = [];
afterEach(async () => {
  for (const controller of abort.splice(0)) controller.abort();
  await Promise.all(running.splice(0));
});

async function start(state: { store?: string; routes?: string }, authorize?: ScrapeAccess) {
  const clock = new ManualClock();
  const metrics = new Metrics({ version: "1.2.3" });
  const check = (name: "store" | "routes"): HealthCheck => ({ name, reason: () => state[name] });
  const checks = [check("store"), check("routes")];
  const { log, lines } = recordingLog();
  const server = new HealthServer({
    listen: { host: "127.0.0.1", port: 0 },
    metrics,
    clock,
    log,
    authorize,
    ready: checks,
    started: checks,
  });
  const url = await server.open();
  const controller = new AbortController();
  abort.push(controller);
  running.push(server.run(controller.signal));
  const get = async (path: string, method = "GET") => {
    const response = await fetch(url + path, { method });
    return { status: response.status, text: await response.text(), type: response.headers.get("content-type") };
  };
  return { clock, metrics, get, url, lines };
}

describe("health", () => {
  it("readyz names each check and why it fails", async () => {
    const state: { store?: string; routes?: string } = { routes: "subscriptions have not been listed" };
    const { get } = await start(state);
    expect(await get("/readyz")).toMatchObject({
      status: 503,
      text: "[+] store ok\n[-] routes failed: subscriptions have not been listed\nnot ok: 1 of 2 checks failed\n",
    });
    delete state.routes;
    expect(await get("/readyz?verbose")).toMatchObject({ status: 200, text: "[+] store ok\n[+] routes ok\nok\n" });
  });

  it("startupz stays fine once it was", async () => {
    const state: { store?: string; routes?: string } = { store: "opening" };
    const { get } = await start(state);
    expect((await get("/startupz")).status).toBe(503);
    delete state.store;
    expect((await get("/startupz")).status).toBe(200);
    state.store = "gone";
    expect((await get("/startupz")).status).toBe(200);
    expect((await get("/readyz")).status).toBe(503);
  });

  it("livez fails when the loop's beat stops", async () => {
    const { get, clock } = await start({});
    await clock.advance(60_000);
    expect(await get("/livez")).toMatchObject({ status: 200, text: "[+] event-loop ok\nok\n" });
    const nowMs = clock.monotonicMs();
    clock.monotonicMs = () => nowMs + LOOP_STALL_MAX_MS + 1;
    expect((await get("/livez")).status).toBe(503);
  });

  it("tells other paths and methods apart", async () => {
    const { get } = await start({});
    expect((await get("/")).status).toBe(404);
    expect((await get("/metrics", "POST")).status).toBe(405);
  });
});

describe("stalls of the loop", () => {
  const shown = async (get: (path: string) => Promise<{ text: string }>) => {
    const { text } = await get("/metrics");
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
    return {
      count: value("postrider_loop_stalls_total"),
      total: value("postrider_loop_stalled_seconds_total"),
      longest: value("postrider_loop_stall_max_seconds"),
    };
  };

  it("are counted from a quarter of a second on, and the longest is shown for 5 to 10 minutes", async () => {
    const { get, clock, lines } = await start({});
    await clock.advance(10_000);
    for (const ms of [100, 240]) await clock.stall(ms);
    expect(await shown(get)).toEqual({ count: 0, total: 0, longest: 0 });
    await clock.advance(1_000);
    await clock.stall(3_000);
    await clock.advance(1_000);
    await clock.stall(600);
    const { count, total, longest } = await shown(get);
    expect(count).toBe(2);
    expect(total).toBeGreaterThan(3.1);
    expect(total).toBeLessThanOrEqual(3.6);
    expect(lines).toMatchObject([{ level: "warn", event: "loop.stalled", msg: expect.stringMatching(/stood still for (2\.[89]|3\.0) s/) }]);
    expect(longest).toBeGreaterThan(2.7);
    expect(longest).toBeLessThanOrEqual(3);
    await clock.advance(240_000);
    expect((await shown(get)).longest).toBe(longest);
    await clock.advance(600_000);
    expect(await shown(get)).toEqual({ count: 2, total, longest: 0 });
  });
});

describe("metrics", () => {
  async function exposition(): Promise<string> {
    const { get, metrics } = await start({});
    const events = new BusinessEvents(metrics, silentLog, testDeliveryNames);
    events.ingestAnswered(202, 0.002);
    events.eventAccepted("shop", 0);
    events.filterFailed({ namespace: "shop", name: "a", spec: { filter: "event.data.a" } }, "no such key");
    const scraped = await get("/metrics");
    expect(scraped.type).toContain("text/plain; version=0.0.4");
    return scraped.text;
  }

  it("follow Prometheus' naming: help, prefix, units, _total on counters only", async () => {
    const text = await exposition();
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => [match[1] ?? "", match[2] ?? ""]));
    const helps = new Map([...text.matchAll(/^# HELP (\S+) (.+)$/gm)].map((match) => [match[1] ?? "", match[2] ?? ""]));
    expect(types.size).toBeGreaterThan(30);
    for (const [name, type] of types) {
      expect(name).toMatch(/^(postrider|process|nodejs)_[a-z0-9_]+$/);
      expect(helps.get(name) ?? "", name).toMatch(/\w{3}/);
      if (!name.startsWith("postrider_")) continue;
      expect(name.endsWith("_total"), name).toBe(type === "counter");
      if (type === "histogram") expect(name).toMatch(/_(seconds|bytes)$/);
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|minutes)(_|$)/);
    }
    expect(text).toContain('postrider_build_info{version="1.2.3"');
  });

  it.skipIf(PROMTOOL === undefined)("pass promtool check metrics", async () => {
    // Node's own metrics (prom-client's defaults) have names that promtool's linter dislikes; they are not ours to name.
    const own = (await exposition()).split(/(?=^# HELP )/m).filter((family) => family.startsWith("# HELP postrider_"));
    expect(metricsComplaint(own.join(""))).toBeUndefined();
  });
});

describe("metrics with authentication", () => {
  const asked: [string, object][] = [];
  const verdicts: Readonly<Record<string, "allowed" | "forbidden" | "unavailable">> = {
    good: "allowed",
    weak: "forbidden",
    late: "unavailable",
  };
  const authorize = reviewedScrapes({
    review: async (token, access) => {
      asked.push([token, access]);
      return verdicts[token] ?? "unauthenticated";
    },
  });
  /** With these Authorization headers, each of its own. */
  const scrape = (
    url: string,
    path: string,
    authorization: string[],
  ): Promise<{ status: number; text: string; challenge: string | undefined }> =>
    new Promise((resolve, reject) => {
      const call = request(
        `${url}${path}`,
        { headers: ["Host", "x", ...authorization.flatMap((value) => ["Authorization", value])] },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text, challenge: response.headers["www-authenticate"] }));
        },
      );
      call.on("error", reject).end();
    });

  it("shows them to whoever may get the path /metrics", async () => {
    const { url } = await start({}, authorize);
    expect(await scrape(url, "/metrics", ["Bearer good"])).toMatchObject({
      status: 200,
      text: expect.stringContaining("postrider_build_info"),
    });
    expect(asked.at(-1)).toEqual(["good", { path: "/metrics", verb: "get" }]);
  });

  it.each([
    ["no token", [], 401],
    ["a wrong one", ["Bearer wrong"], 401],
    ["another kind of credentials", ["Basic Z29vZDo="], 401],
    ["two of them", ["Bearer good", "Bearer good"], 401],
    ["one that is too long", [`Bearer ${"a".repeat(8_193)}`], 401],
    ["one whose owner may not", ["Bearer weak"], 403],
    ["one that nobody can be asked about", ["Bearer late"], 503],
  ])("shows nothing to %s", async (_what, authorization, status) => {
    const { url } = await start({}, authorize);
    for (const path of ["/metrics", "/metrics?x=1"]) {
      const told = await scrape(url, path, authorization);
      expect([told.status, told.challenge]).toEqual([status, status === 401 ? 'Bearer realm="postrider"' : undefined]);
      expect(told.text).not.toContain("postrider_");
    }
  });

  it("asks nobody who probes", async () => {
    const { get } = await start({}, authorize);
    const before = asked.length;
    for (const path of ["/livez", "/readyz", "/startupz"]) expect((await get(path)).status).toBe(200);
    expect(asked).toHaveLength(before);
  });
});
