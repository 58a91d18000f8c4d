import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countOf } from "../../support/full-run.ts";
import { ANSWER_KINDS } from "../../support/hostile/answer-kinds.ts";
import { makeAttempts } from "../../support/hostile/attempts.ts";
import type { AttemptsMade, AttemptSeen } from "../../support/hostile/attempts.ts";
import { CONNECTION_KINDS, POISON } from "../../support/hostile/connection-kinds.ts";
import type { HostileKind } from "../../support/hostile/hostile-kind.ts";
import { startHostileReceiver } from "../../support/hostile/hostile-receiver.ts";
import type { HostileReceiver } from "../../support/hostile/hostile-receiver.ts";
import { SLOW_KINDS } from "../../support/hostile/slow-kinds.ts";

/** Promise 9: 50 connections of each kind at once. */
const CONNECTIONS = countOf(10, 50);
/** With more than a thousand connections on two cores, what comes in time needs time to be seen. */
const TIMEOUT_MS = countOf(2_000, 4_000);
const CONNECT_TIMEOUT_MS = countOf(1_500, 3_000);
const GRACE_MS = 1_000;
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;

const KINDS: readonly HostileKind[] = [...SLOW_KINDS, ...ANSWER_KINDS, ...CONNECTION_KINDS];

/** Promise 9: 20 kinds at once, in a process of their own; every group has its share of every sort of hostility, the last is filled up from the first. */
const GROUP_SIZE = 20;
const GROUPS = Math.ceil(KINDS.length / GROUP_SIZE);
const ORDER = KINDS.map((_kind, index) => index).toSorted((a, b) => (a % GROUPS) - (b % GROUPS) || a - b);
const GROUPED = Array.from({ length: GROUPS }, (_none, group) =>
  Array.from({ length: GROUP_SIZE }, (_kind, i) => ORDER[(group * GROUP_SIZE + i) % ORDER.length]!),
);
/** How many attempts a kind meets in all. */
const attemptsDue = (index: number): number => CONNECTIONS * GROUPED.filter((kinds) => kinds.includes(index)).length;

/** What one group of receivers came to; `attempts[].kind` is an index into KINDS. */
interface GroupResult {
  readonly kinds: readonly number[];
  readonly made: AttemptsMade;
}

describe(`${KINDS.length} hostile receivers with ${CONNECTIONS} connections each`, () => {
  let receivers: readonly HostileReceiver[];
  const results: GroupResult[] = [];

  beforeAll(async () => {
    receivers = await Promise.all(KINDS.map(startHostileReceiver));
    const benign = createServer((_req, res) => res.end());
    benign.listen(0, "127.0.0.1");
    await once(benign, "listening");
    for (const kinds of GROUPED) {
      const made = await makeAttempts({
        benignUrl: `http://127.0.0.1:${(benign.address() as AddressInfo).port}/`,
        targets: kinds.map((index) => receivers[index]!.url),
        connections: CONNECTIONS,
        timeoutMs: TIMEOUT_MS,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
      });
      results.push({ kinds, made });
    }
    benign.close();
  }, 120_000);
  afterAll(async () => {
    await Promise.all(receivers.map((receiver) => receiver.close()));
  });

  const attempts = (): readonly AttemptSeen[] =>
    results.flatMap(({ kinds, made }) => made.attempts.map((attempt) => ({ ...attempt, kind: kinds[attempt.kind]! })));
  const attemptsAt = (index: number): readonly AttemptSeen[] => attempts().filter(({ kind }) => kind === index);

  test.each(KINDS.map(({ name, expected }, index) => ({ name, expected, index })))("$name: the outcome says so", ({ expected, index }) => {
    const made = attemptsAt(index);
    expect(made).toHaveLength(attemptsDue(index));
    for (const attempt of made) {
      expect(attempt).toMatchObject({
        class: expected.class,
        message: expect.stringMatching(expected.message) as string,
        ...(expected.statusCode === undefined ? {} : { statusCode: expected.statusCode }),
        ...(expected.connectionStatus === undefined ? {} : { connectionStatus: expected.connectionStatus }),
        ...(expected.tlsStatus === undefined ? {} : { tlsStatus: expect.stringMatching(expected.tlsStatus) as string }),
      });
      expect(attempt.message).not.toContain("hidden");
    }
  });

  test("every attempt ended by its deadline and a second", () => {
    const latest = Math.max(...attempts().map(({ tookMs }) => tookMs));
    console.log(`latest end: ${latest} ms after its begin (deadline ${TIMEOUT_MS} ms)`);
    expect(attempts().filter(({ tookMs }) => tookMs > TIMEOUT_MS + GRACE_MS)).toEqual([]);
  });

  test("resident memory grew by at most 64 MiB over what as many receivers that behave need", () => {
    const grown = results.map(({ made }) => made.peakBytes - made.restBytes);
    console.log(`resident growth: ${grown.map((bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`).join(", ")}`);
    expect(grown).toHaveLength(GROUPS);
    for (const bytes of grown) expect(bytes).toBeLessThanOrEqual(GROWTH_BYTES_MAX);
  });

  test("each attempt was one request: no redirect was followed, nothing was sent twice", () => {
    const seen = receivers.map(({ kind, requests }, index) => ({ name: kind.name, requests: requests(), due: attemptsDue(index) }));
    expect(seen.filter(({ requests, due }) => requests > due)).toEqual([]);
    const redirects = seen.filter(({ name }) => name.startsWith("redirects"));
    expect(redirects.length).toBeGreaterThan(4);
    expect(redirects.filter(({ requests, due }) => requests !== due)).toEqual([]);
  });

  test("no answer that nobody asked for was credited to a delivery", () => {
    expect(attempts().filter(({ head, body }) => head.includes(`x-${POISON}`) || body.includes(POISON))).toEqual([]);
  });

  test("a bomb stays packed", () => {
    const bombed = attemptsAt(KINDS.findIndex(({ name }) => name === "a gzip bomb"));
    expect(bombed.length).toBeGreaterThanOrEqual(CONNECTIONS);
    expect(bombed.every(({ body, bodyBytes }) => body.startsWith("\x1f\x8b") && bodyBytes <= 4_096)).toBe(true);
  });

  test("every socket was let go", () => {
    expect(results.map(({ made }) => made.openSockets)).toEqual(GROUPED.map(() => 0));
    expect(receivers.filter(({ held }) => held() > 0).map(({ kind, held }) => `${kind.name}: ${held()}`)).toEqual([]);
  });
});
