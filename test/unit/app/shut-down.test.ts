import { expect, it } from "vitest";
import { shutDown, type Stoppable } from "../../../src/app/shut-down.ts";
import { Supervisor } from "../../../src/app/supervise.ts";
import type { Service } from "../../../src/lib/service.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

const DRAIN_MS = 25_000;
const NEVER = new Promise<never>(() => undefined);

type Name = "engine" | "ingest" | "api" | "controller" | "provider" | "health" | "attempter" | "authenticators" | "store";

/** Everything that is stopped; those in `stuck` never end. `told` says what ended when, in ms from the signal. */
async function stopping({ stuck = [], idleAfterMs = 0, drainMs = DRAIN_MS }: { stuck?: Name[]; idleAfterMs?: number; drainMs?: number }) {
  const clock = new ManualClock();
  const startMs = clock.monotonicMs();
  const told: string[] = [];
  const tell = (what: string): void => void told.push(`${clock.monotonicMs() - startMs} ${what}`);
  const log = silentLog;
  const supervisor = new Supervisor(clock, log);
  const service = (name: Name): Service => ({
    name,
    run: async (signal) => {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      tell(name);
      if (stuck.includes(name)) await NEVER;
    },
  });
  const closable = (name: Name) => ({
    close: async () => {
      tell(name);
      if (stuck.includes(name)) await NEVER;
    },
  });
  const drain = (): Promise<void> => new Promise((resolve) => void clock.after(idleAfterMs, resolve));
  const rooms: Stoppable = {
    engine: { ...service("engine"), drain },
    ingest: { ...service("ingest"), drain: () => tell("ingest drain") },
    api: service("api"),
    desks: [service("controller"), service("provider")],
    attempter: closable("attempter"),
    authenticators: closable("authenticators"),
    store: closable("store"),
  };
  for (const each of [service("health"), rooms.engine, ...rooms.desks, rooms.api, rooms.ingest]) supervisor.start(each);
  let kills = 0;
  const parts = { supervisor, clock, log, drainMs, kill: () => void kills++ };
  const ended: { code?: number; atMs?: number } = {};
  void shutDown(rooms, parts).then((code) => Object.assign(ended, { code, atMs: clock.monotonicMs() - startMs }));
  await clock.advance(60_000);
  return { told, ...ended, kills };
}

it("with nothing under way ends as soon as everybody has been told to come back", async () => {
  const { told, code, atMs, kills } = await stopping({});
  expect(told).toEqual([
    "0 ingest drain",
    "0 api",
    "300 ingest",
    "300 controller",
    "300 provider",
    "300 engine",
    "300 health",
    "300 attempter",
    "300 authenticators",
    "300 store",
  ]);
  expect({ code, atMs, kills }).toEqual({ code: 0, atMs: 300, kills: 0 });
});

it("takes events in until the last attempt is over, but closes 2 s before the deadline", async () => {
  expect((await stopping({ idleAfterMs: 7_000 })).told).toContain("7000 ingest");
  const late = await stopping({ idleAfterMs: 1e9 });
  expect(late.told).toContain("23000 ingest");
  expect(late.code).toBe(0);
});

it.each([
  [["provider"], 0],
  [["api", "health"], 0],
  [["ingest", "controller", "provider"], 0],
  [["attempter", "authenticators"], 0],
  [["engine"], 1],
  [["store"], 1],
  [["engine", "ingest", "api", "controller", "provider", "health", "attempter", "authenticators", "store"], 1],
] as const)("ends by its deadline and a few seconds when these hang: %s", async (stuck, expected) => {
  const { told, code, atMs = Number.POSITIVE_INFINITY, kills } = await stopping({ stuck: [...stuck], idleAfterMs: 1e9 });
  expect(code).toBe(expected);
  // The chart's grace period is longer by 10 s.
  expect(atMs).toBeLessThanOrEqual(DRAIN_MS + 7_000);
  expect(told.at(-1)).toMatch(/store$/);
  expect(kills).toBe((stuck as readonly Name[]).includes("store") ? 1 : 0);
});

it("has nothing to wait for with a drain of 0", async () => {
  expect((await stopping({ idleAfterMs: 1e9, drainMs: 0 })).atMs).toBe(0);
});
