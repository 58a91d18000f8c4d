import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Outcome } from "../../../src/core/outcome.ts";
import { BUILT_IN_EGRESS } from "../../../src/core/policy.ts";
import type { EgressPolicy } from "../../../src/core/policy.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { DnsResolver } from "../../../src/attempt/connect/resolver.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";
import { startNameServer } from "../../support/delivery/name-server.ts";
import type { NameServer, Zone, ZoneAnswer } from "../../support/delivery/name-server.ts";
import { countOf } from "../../support/full-run.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

/** One loopback address stands for the public ones; every other address is forbidden. */
const ALLOWED = "127.0.0.1";
const FORBIDDEN = "127.0.0.2";
const EGRESS: EgressPolicy = { ...BUILT_IN_EGRESS, allowedCidrs: [`${ALLOWED}/32`], allowPlainHttp: true };

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function nameServer(zone: Zone, ttlSec = 0): Promise<NameServer> {
  const server = await startNameServer(zone, ttlSec);
  endings.push(server.close);
  return server;
}

function attempterAsking(servers: readonly NameServer[]): HttpAttempter {
  const clock = new SystemClock();
  const resolver = new DnsResolver({ clock, servers: servers.map(({ address }) => address) });
  const attempter = new HttpAttempter({ clock, version: "1", resolver });
  endings.push(() => attempter.close());
  return attempter;
}

function resolverAsking(servers: readonly NameServer[]): DnsResolver {
  const resolver = new DnsResolver({ clock: new SystemClock(), servers: servers.map(({ address }) => address) });
  endings.push(() => resolver.close());
  return resolver;
}

/** The same port on both addresses: whoever reaches the forbidden one is counted. */
async function receivers(): Promise<{ port: number; allowed: () => number; forbidden: () => number }> {
  let allowed = 0;
  let forbidden = 0;
  const good = createHttpServer((_req, res) => {
    allowed += 1;
    res.setHeader("connection", "close").end();
  });
  await listening(good, ALLOWED, 0);
  const { port } = good.address() as AddressInfo;
  await listening(
    createTcpServer((socket) => {
      forbidden += 1;
      socket.destroy();
    }),
    FORBIDDEN,
    port,
  );
  return { port, allowed: () => allowed, forbidden: () => forbidden };
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
  endings.push(() => server.close());
}

async function outcomeAt(attempter: HttpAttempter, url: string, uid = "uid-1"): Promise<Outcome> {
  const route = aRoute({ url, uid, egress: EGRESS });
  return (await attempter.attempt({ route, event: anEvent(), attempt: 1 })).outcome;
}

describe("rebinding (promise 7)", () => {
  const ANSWERS = countOf(1_000, 10_000);
  const AT_ONCE = 16;
  /** What the name is at each question: allowed, forbidden, both in either order, or forbidden under IPv6 alone. */
  const TURNS: readonly (readonly string[])[] = [
    [ALLOWED],
    [FORBIDDEN],
    [ALLOWED, FORBIDDEN],
    [ALLOWED],
    [FORBIDDEN, ALLOWED],
    [ALLOWED, "::1"],
    [ALLOWED, "::ffff:7f00:2"],
  ];

  test(`${ANSWERS} answers that change at every question: no forbidden address is ever dialled`, async () => {
    const dns = await nameServer((_name, query) => TURNS[query % TURNS.length]!);
    const attempter = attempterAsking([dns]);
    const { port, allowed, forbidden } = await receivers();
    const seen = { success: 0, blocked: 0, other: [] as string[] };
    let left = ANSWERS;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_none, worker) => {
        while (left-- > 0) {
          // A name of its own for each worker: lookups of one name under way are joined.
          const outcome = await outcomeAt(attempter, `http://w${worker}.example.com:${port}/`, `uid-${worker}`);
          if (outcome.class === "success") seen.success += 1;
          else if (outcome.class === "blocked") seen.blocked += 1;
          else seen.other.push(outcome.message);
        }
      }),
    );
    expect(forbidden()).toBe(0);
    expect(seen.other).toEqual([]);
    expect(seen.success).toBe(allowed());
    expect(seen.success + seen.blocked).toBe(ANSWERS);
    expect(seen.success).toBeGreaterThan(ANSWERS / 10);
    expect(seen.blocked).toBeGreaterThan(ANSWERS / 10);
  }, 120_000);

  test.each(TURNS.filter((turn) => turn.length > 1))("%s and %s together are refused", async (...turn) => {
    const attempter = attempterAsking([await nameServer(() => turn)]);
    const { port, allowed, forbidden } = await receivers();
    expect(await outcomeAt(attempter, `http://hooks.example.com:${port}/`)).toMatchObject({
      class: "blocked",
      connectionStatus: "EGRESS_DENIED",
    });
    expect([allowed(), forbidden()]).toEqual([0, 0]);
  });
});

describe("trouble with names is named, and ends within the 2 s of a lookup", () => {
  const THOUSAND = Array.from({ length: 1_000 }, (_none, i) => `127.0.${100 + (i >> 8)}.${i & 255}`);
  test.each<readonly [string, ZoneAnswer, string, RegExp]>([
    ["NXDOMAIN", "NXDOMAIN", "ENOTFOUND", /no such host name/],
    ["SERVFAIL", "SERVFAIL", "ESERVFAIL", /the name server failed/],
    ["REFUSED", "REFUSED", "EREFUSED", /refused to answer/],
    ["a black hole", "silence", "ETIMEOUT", /no answer from the name servers/],
    ["bytes that are no DNS", "garbage", "EBADRESP", /the name server's answer is not valid/],
    ["an answer cut short whose rest never comes", "cut short", "ETIMEOUT", /no answer from the name servers/],
    ["no address", [], "ENODATA", /has no address/],
    ["an alias of itself", { alias: "hooks.example.com" }, "ENODATA", /has no address/],
  ])("%s", async (_name, answer, code, message) => {
    const attempter = attempterAsking([await nameServer(() => answer)]);
    const { port, allowed, forbidden } = await receivers();
    const route = aRoute({
      url: `http://hooks.example.com:${port}/`,
      egress: EGRESS,
      policy: { connectTimeoutMs: 10_000, timeoutMs: 10_000 },
    });
    const { outcome } = await attempter.attempt({ route, event: anEvent(), attempt: 1 });
    expect(outcome).toMatchObject({ class: "dns_error", connectionStatus: code, message: expect.stringMatching(message) as string });
    expect(outcome.durationMs).toBeLessThan(3_000);
    expect([allowed(), forbidden()]).toEqual([0, 0]);
  });

  test("two aliases of each other", async () => {
    const zone: Zone = (name) => ({ alias: name === "a.example.com" ? "b.example.com" : "a.example.com" });
    const attempter = attempterAsking([await nameServer(zone)]);
    expect(await outcomeAt(attempter, "http://a.example.com:8080/")).toMatchObject({ class: "dns_error", connectionStatus: "ENODATA" });
  });

  test("a thousand addresses: a few are tried, and one forbidden among them refuses all", async () => {
    const zone: Zone = (name) => (name.startsWith("mixed") ? [...THOUSAND.slice(1), FORBIDDEN] : THOUSAND);
    const dns = await nameServer(zone);
    const addresses = await resolverAsking([dns]).resolve("many.example.com");
    expect(addresses).toHaveLength(1_000);
    const attempter = attempterAsking([dns]);
    const egress = { ...EGRESS, allowedCidrs: ["127.0.100.0/22"] };
    const { port, forbidden } = await receivers();
    const at = async (name: string): Promise<Outcome> =>
      (await attempter.attempt({ route: aRoute({ url: `http://${name}:${port}/`, egress }), event: anEvent(), attempt: 1 })).outcome;
    expect(await at("many.example.com")).toMatchObject({ class: "connect_error", connectionStatus: "ECONNREFUSED" });
    expect(await at("mixed.example.com")).toMatchObject({ class: "blocked" });
    expect(forbidden()).toBe(0);
  });
});

describe("nobody waits for somebody else's names", () => {
  const DELAY_MS_MAX = 100;
  const LOOKUPS = 60;
  /** As many as can be under way at once: failing subscriptions together hold at most 30 % of 2,048 slots. */
  const DEAD_NAMES = countOf(100, 614);

  /** The slowest of LOOKUPS healthy lookups, each of a name of its own. */
  async function slowest(resolver: DnsResolver, prefix: string): Promise<number> {
    let most = 0;
    for (let i = 0; i < LOOKUPS; i++) {
      const startedMs = performance.now();
      expect(await resolver.resolve(`${prefix}${i}.example.com`)).toEqual([ALLOWED]);
      most = Math.max(most, performance.now() - startedMs);
      await wait(10);
    }
    return most;
  }

  test(`${DEAD_NAMES} dead names delay no healthy one by more than ${DELAY_MS_MAX} ms`, async () => {
    const zone: Zone = (name) => (name.startsWith("dead") ? "silence" : name.startsWith("bad") ? "SERVFAIL" : [ALLOWED]);
    const resolver = resolverAsking([await nameServer(zone)]);
    const alone = await slowest(resolver, "alone");
    const dead = Array.from({ length: DEAD_NAMES }, (_none, i) => resolver.resolve(`${i % 2 === 0 ? "dead" : "bad"}${i}.example.com`));
    const ended = Promise.allSettled(dead);
    const beside = await slowest(resolver, "beside");
    console.log(`slowest healthy lookup: ${alone.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside ${dead.length} dead names`);
    expect(beside - alone).toBeLessThanOrEqual(DELAY_MS_MAX);
    expect((await ended).every(({ status }) => status === "rejected")).toBe(true);
  });

  test.each([
    ["never answers", "silence"],
    ["fails", "SERVFAIL"],
    ["refuses", "REFUSED"],
    ["answers garbage", "garbage"],
  ] as const)(`a first name server that %s delays no name by more than ${DELAY_MS_MAX} ms`, async (_name, answer) => {
    const dead = await nameServer(() => answer);
    const alive = await nameServer(() => [ALLOWED]);
    const alone = await slowest(resolverAsking([alive]), "alone");
    const beside = await slowest(resolverAsking([dead, alive]), "beside");
    console.log(`slowest lookup: ${alone.toFixed(1)} ms with one good name server, ${beside.toFixed(1)} ms behind one that is not`);
    expect(beside - alone).toBeLessThanOrEqual(DELAY_MS_MAX);
  });

  test("the server that answers is asked first from then on; one that says NXDOMAIN is believed", async () => {
    const dead = await nameServer(() => "silence");
    const alive = await nameServer((name) => (name.startsWith("no") ? "NXDOMAIN" : [ALLOWED]));
    const resolver = resolverAsking([dead, alive]);
    await expect(resolver.resolve("no.example.com")).rejects.toMatchObject({ code: "ENOTFOUND" });
    const before = dead.queries();
    for (let i = 0; i < 5; i++) await resolver.resolve(`yes${i}.example.com`);
    expect(dead.queries()).toBe(before);
  });
});

test("an answer is kept for 30 s at most, however long its TTL, and one of very many addresses not at all", async () => {
  const many = Array.from({ length: 65 }, (_none, i) => `127.0.5.${i}`);
  const dns = await nameServer((name) => (name.startsWith("many") ? many : [ALLOWED]), 86_400);
  const clock = new ManualClock();
  const resolver = new DnsResolver({ clock, servers: [dns.address] });
  endings.push(() => resolver.close());
  const asked: number[] = [];
  for (const advanceMs of [0, 29_000, 2_000]) {
    await clock.advance(advanceMs);
    await resolver.resolve("hooks.example.com");
    asked.push(dns.queries());
  }
  expect(asked).toEqual([1, 1, 2]);
  await resolver.resolve("many.example.com");
  const once = dns.queries();
  await resolver.resolve("many.example.com");
  expect(dns.queries()).toBeGreaterThan(once);
});
