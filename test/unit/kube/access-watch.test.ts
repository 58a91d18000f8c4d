import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ALLOWED_EVERY_MS, DENIED_EVERY_MS, DOUBT_EVERY_MS, REFUSED_EVERY_MAX_MS } from "../../../src/kube/access-standing.ts";
import { AccessWatch, ROUTINE_PER_SECOND, type AccessHandle } from "../../../src/kube/access-watch.ts";
import type { ApiAnswer } from "../../../src/kube/transport.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

type Said = boolean | number | "nothing";

/** One namespace's owner: reads once it is told to, and is refused where the requests themselves are. */
class Owner {
  readonly steps: string[] = [];
  readonly handle: AccessHandle;
  isReading = false;

  constructor(watch: AccessWatch, namespace: string, requests: () => "good" | "refused") {
    this.handle = watch.follow(
      { namespace, verb: "watch", group: "", resource: "secrets" },
      {
        open: () => {
          this.steps.push("open");
          if (requests() === "refused") this.handle.refused();
          else {
            this.isReading = true;
            this.handle.granted();
          }
        },
        close: () => {
          this.steps.push("close");
          this.isReading = false;
        },
        troubled: () => this.steps.push("troubled"),
      },
    );
  }
}

describe("the watch of our own permissions", () => {
  let clock: ManualClock;
  let watch: AccessWatch;
  let stop: AbortController;
  let running: Promise<void>;
  let asked: { readonly namespace: string; readonly atMs: number }[];
  let say: (namespace: string) => Said;
  let requests: "good" | "refused";
  let refusals: number;
  const results: string[] = [];

  beforeEach(() => {
    clock = new ManualClock();
    asked = [];
    requests = "good";
    refusals = 0;
    say = () => true;
    const request = async ({ body }: { readonly body?: unknown }): Promise<ApiAnswer> => {
      const { namespace } = (body as { spec: { resourceAttributes: { namespace: string } } }).spec.resourceAttributes;
      asked.push({ namespace, atMs: clock.nowMs() });
      const said = say(namespace);
      if (said === "nothing") throw new Error("connect ECONNREFUSED");
      if (typeof said === "number") return { status: said, body: { message: `told ${said}` }, retryAfterMs: undefined };
      return { status: 201, body: { status: { allowed: said } }, retryAfterMs: undefined };
    };
    let chance = 0;
    const random = { next: () => (chance = (chance + 0.37) % 1), bytes: (n: number) => new Uint8Array(n) };
    watch = new AccessWatch({ transport: { request }, clock, random, asked: (result) => results.push(result) });
    stop = new AbortController();
    running = watch.run(stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await running;
    expect(clock.timers).toBe(0);
  });

  const follow = (namespace: string): Owner =>
    new Owner(watch, namespace, () => {
      if (requests === "refused") refusals += 1;
      return requests;
    });

  /** From the next second on. */
  async function perSecond(seconds: number): Promise<number> {
    asked = [];
    await clock.advance(seconds * 1_000);
    return asked.length / seconds;
  }

  it("sees a new RoleBinding within 10 s among 1,000 namespaces, with at most 125 questions a second and no refused request", async () => {
    const open = new Set(Array.from({ length: 20 }, (_, n) => `ns-${n * 50}`));
    say = (namespace) => open.has(namespace);
    const owners = new Map(Array.from({ length: 1_000 }, (_, n) => [`ns-${n}`, follow(`ns-${n}`)]));
    await clock.advance(60_000);
    expect([...owners.values()].filter(({ isReading }) => isReading)).toHaveLength(20);
    expect([...owners.values()].filter(({ handle }) => handle.isDenied)).toHaveLength(980);
    const rate = await perSecond(60);
    expect(rate).toBeLessThanOrEqual(ROUTINE_PER_SECOND + 1);
    for (const one of ["ns-1", "ns-499", "ns-999"]) {
      open.add(one);
      await clock.advance(10_000);
      expect([one, owners.get(one)?.isReading]).toEqual([one, true]);
    }
    expect(refusals).toBe(0);
    process.stdout.write(`980 closed namespaces of 1,000: ${rate.toFixed(1)} questions/s\n`);
  });

  it("keeps to its pace with 3,000 closed namespaces, each in its turn", async () => {
    say = () => false;
    for (let n = 0; n < 3_000; n++) follow(`ns-${n}`);
    await clock.advance(30_000);
    expect(await perSecond(60)).toBeLessThanOrEqual(ROUTINE_PER_SECOND + 1);
    const often = new Map<string, number>();
    for (const { namespace } of asked) often.set(namespace, (often.get(namespace) ?? 0) + 1);
    expect([often.size, Math.max(...often.values())]).toEqual([3_000, 3]);
  });

  it("takes back what was allowed after a minute of refusals, asked once a minute before that", async () => {
    const owner = follow("shop");
    await settle();
    expect(owner.steps).toEqual(["open"]);
    say = () => false;
    await clock.advance(ALLOWED_EVERY_MS + 5 * DOUBT_EVERY_MS);
    expect([owner.steps, owner.handle.isDenied]).toEqual([["open"], false]);
    await clock.advance(DOUBT_EVERY_MS);
    expect([owner.steps, owner.handle.isDenied]).toEqual([["open", "close"], true]);
    say = () => true;
    await clock.advance(DENIED_EVERY_MS);
    expect([owner.steps, owner.handle.isDenied]).toEqual([["open", "close", "open"], false]);
  });

  it.each<[string, readonly Said[]]>([
    ["an authorizer that starts", [false, false, false, false, false, true]],
    ["an API server that is away between refusals", [false, false, false, "nothing", false, false, false, false, false, false]],
    ["5xx between refusals", [false, false, false, 503, false, false, false, false, false, false]],
    ["too many requests between refusals", [false, false, false, 429, false, false, false, false, false, false]],
    ["questions that are refused themselves", [false, false, false, 403, 403, 403, false, false, false, false, false, false]],
    ["a token that is refused", [false, false, false, 401, false, false, false, false, false, false]],
    ["an API server that is away for ten minutes", Array.from({ length: 300 }, () => "nothing" as const)],
  ])("drops nothing because of %s", async (_what, said) => {
    const owner = follow("shop");
    await settle();
    const left = [...said];
    say = () => left.shift() ?? true;
    for (let second = 0; second < 900; second++) await clock.advance(1_000);
    expect(left).toEqual([]);
    expect(owner.steps).toEqual(["open"]);
  });

  it("says at once that a namespace is closed that has never been open, and why nothing is known", async () => {
    say = () => "nothing";
    const owners = Array.from({ length: 100 }, (_, n) => follow(`ns-${n}`));
    await settle();
    expect(owners.every(({ steps }) => steps.includes("troubled"))).toBe(true);
    const before = asked.length;
    await clock.advance(60_000);
    expect((asked.length - before) / 60).toBeLessThanOrEqual(3);
    say = () => false;
    await clock.advance(4_000);
    expect(owners.every(({ handle }) => handle.isDenied)).toBe(true);
  });

  it("asks at once when something changes in a closed namespace, at most every 5 s however often that is", async () => {
    say = () => false;
    const owner = follow("shop");
    await clock.advance(6_000);
    asked = [];
    owner.handle.prompt();
    await settle();
    expect(asked).toHaveLength(1);
    for (let n = 0; n < 1_000; n++) {
      owner.handle.prompt();
      await clock.advance(20);
    }
    expect(asked.length).toBeLessThanOrEqual(5);
  });

  it("tries no more than once in a second where requests are refused although the answer is yes, and less and less", async () => {
    requests = "refused";
    const owners = Array.from({ length: 150 }, (_, n) => follow(`ns-${n}`));
    await clock.advance(25_000);
    expect(owners.every(({ handle, steps }) => handle.isDenied && steps.length >= 2)).toBe(true);
    refusals = 0;
    await clock.advance(120_000);
    expect(refusals).toBeGreaterThan(60);
    expect(refusals / 120).toBeLessThanOrEqual(1.01);
    requests = "good";
    await clock.advance(200_000 + REFUSED_EVERY_MAX_MS);
    expect(owners.every(({ isReading }) => isReading)).toBe(true);
  });

  it("tries the requests where the API server lets nobody ask, and still sees a RoleBinding", async () => {
    say = () => 403;
    requests = "refused";
    const owner = follow("shop");
    await settle();
    expect([owner.handle.isDenied, refusals]).toEqual([true, 1]);
    await clock.advance(600_000);
    expect(refusals).toBeLessThanOrEqual(12);
    requests = "good";
    await clock.advance(REFUSED_EVERY_MAX_MS);
    expect(owner.isReading).toBe(true);
  });
});
