import { afterEach, describe, expect, it } from "vitest";
import { CLASS_LEASE_BOUNDS, ClassLease, type ClassStanding } from "../../../src/kube/class-lease.ts";
import { FakeLeaseServer } from "../../support/kube/fake-lease-server.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const { durationMs, renewEveryMs, retryEveryMs } = CLASS_LEASE_BOUNDS;

describe("the Lease of a class", () => {
  const clock = new ManualClock();
  let server = new FakeLeaseServer(clock);
  let running: { readonly abort: AbortController; readonly done: Promise<void> }[] = [];

  afterEach(async () => {
    server.trouble = undefined;
    for (const { abort } of running) abort.abort();
    await clock.advance(1_000);
    await Promise.all(running.map(({ done }) => done));
    running = [];
    server = new FakeLeaseServer(clock);
  });

  /** One process of an installation. */
  function start(installation: string, given: { pod?: string; process?: string; namespaces?: string[]; own?: ManualClock } = {}) {
    const { pod = "pod-0", namespaces = [], own = clock } = given;
    const { process = `${installation} ${pod}` } = given;
    const net: { trouble?: FakeLeaseServer["trouble"] } = {};
    const stood: ClassStanding[] = [];
    const abort = new AbortController();
    const lease = new ClassLease({
      transport: server.transport(net),
      clock: own,
      className: "postrider",
      namespace: "kube-system",
      me: { installation, pod, process, namespaces },
      onStanding: (standing) => stood.push(standing),
    });
    const done = lease.run(abort.signal);
    running.push({ abort, done });
    const stop = async (): Promise<void> => {
      abort.abort();
      await clock.advance(1);
      await done;
    };
    /** The process is frozen, or killed: none of its timers fires any more, nothing is released. */
    const freeze = (): void => void (net.trouble = "silent");
    return { lease, net, stood, stop, freeze, kind: () => lease.standing.kind, said: () => lease.standing.message };
  }

  it("is taken where it does not exist, and renewed", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    expect(one.kind()).toBe("held");
    expect(server.lease).toMatchObject({
      metadata: { name: "postrider-class-postrider", namespace: "kube-system", labels: { "postrider.dev/class": "postrider" } },
      spec: { holderIdentity: "hooks/one", leaseDurationSeconds: 60, leaseTransitions: 1 },
    });
    const before = server.lease?.spec?.["renewTime"];
    const since = server.lease?.spec?.["acquireTime"];
    await clock.advance(10 * renewEveryMs);
    expect(server.lease?.spec).toMatchObject({ acquireTime: since, leaseTransitions: 1 });
    expect(server.lease?.spec?.["renewTime"]).not.toBe(before);
    expect(server.requests.filter((request) => request.startsWith("GET"))).toHaveLength(1);
    expect(server.requests).toHaveLength(12);
  });

  it("refuses a second installation, and says who has it", async () => {
    start("hooks/one", { pod: "one-0" });
    await clock.advance(0);
    const since = String(server.lease?.spec?.["acquireTime"]);
    const two = start("hooks/two");
    await clock.advance(10 * durationMs);
    expect(two.stood.map(({ kind }) => kind)).toEqual(["in-use"]);
    expect(two.said()).toContain(
      `ClassInUse: class postrider is served by installation hooks/one (Pod one-0, since ${since}, all namespaces); this one serves nothing`,
    );
    expect(server.holder).toBe("hooks/one");
  });

  it("passes at once to the one who waits when the holder stops", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    const two = start("hooks/two");
    await clock.advance(renewEveryMs);
    await one.stop();
    expect(server.holder).toBeUndefined();
    await clock.advance(retryEveryMs);
    expect([two.kind(), server.holder]).toEqual(["held", "hooks/two"]);
  });

  it("passes after its duration when the holder is gone without a word, and not before", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    const two = start("hooks/two");
    await clock.advance(5_000);
    one.freeze();
    await clock.advance(durationMs - 5_000 - 1);
    expect(two.kind()).toBe("in-use");
    await clock.advance(retryEveryMs);
    expect(two.kind()).toBe("held");
  });

  it("ends the one who was frozen, once it runs again, and never flaps", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    one.net.trouble = "away";
    const two = start("hooks/two");
    await clock.advance(2 * durationMs);
    expect([one.kind(), two.kind()]).toEqual(["held", "held"]);
    delete one.net.trouble;
    await clock.advance(10 * durationMs);
    expect([one.kind(), two.kind()]).toEqual(["in-use", "held"]);
    expect(two.stood.map(({ kind }) => kind)).toEqual(["in-use", "held"]);
  });

  it("is taken over at once by a new process of the same installation, on whatever Pod", async () => {
    const old = start("hooks/one", { pod: "one-0", process: "a" });
    await clock.advance(0);
    old.freeze();
    const again = start("hooks/one", { pod: "one-0", process: "b" });
    await clock.advance(0);
    expect(again.kind()).toBe("held");
    old.net.trouble = undefined;
    await clock.advance(3 * renewEveryMs);
    expect([old.kind(), again.kind()]).toEqual(["in-use", "held"]);
    expect(old.said()).toContain("another process of this installation");
    await clock.advance(2 * durationMs);
    expect([old.kind(), again.kind()]).toEqual(["in-use", "held"]);
  });

  it("lets one of two win that start at the same moment", async () => {
    server.delayMs = 20;
    const both = [start("hooks/one"), start("hooks/two")];
    await clock.advance(10_000);
    expect(both.map(({ kind }) => kind()).toSorted()).toEqual(["held", "in-use"]);
    const winner = both.find(({ kind }) => kind() === "held") === both[0] ? "hooks/one" : "hooks/two";
    expect(server.holder).toBe(winner);
  });

  it("lets one win who took over what another takes over at the same moment", async () => {
    server.edit((lease) => (lease.spec = { holderIdentity: "hooks/gone" }));
    server.delayMs = 20;
    const both = [start("hooks/one"), start("hooks/two")];
    await clock.advance(durationMs + 10_000);
    expect(both.map(({ kind }) => kind()).toSorted()).toEqual(["held", "in-use"]);
  });

  it("keeps what it held while the API server is away, for however long", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    for (const trouble of ["away", "silent", 500, 429, 403] as const) {
      server.trouble = trouble;
      await clock.advance(5 * durationMs);
      expect(one.kind()).toBe("held");
    }
    server.trouble = undefined;
    await clock.advance(durationMs);
    expect(one.stood.map(({ kind }) => kind)).toEqual(["held"]);
    expect(server.holder).toBe("hooks/one");
  });

  it("says that the API server is away at the start, also when it does not answer at all", async () => {
    server.trouble = "silent";
    const one = start("hooks/one");
    await clock.advance(2_900);
    expect(one.kind()).toBe("asking");
    await clock.advance(200);
    expect(one.kind()).toBe("away");
    server.trouble = "away";
    await clock.advance(60_000);
    server.trouble = undefined;
    await clock.advance(retryEveryMs);
    expect(one.stood.map(({ kind }) => kind)).toEqual(["away", "away", "held"]);
  });

  it("holds what names it already when nothing can be written, as after a restart with a full etcd", async () => {
    const one = start("hooks/one", { process: "a" });
    await clock.advance(0);
    one.freeze();
    server.readOnly = true;
    const again = start("hooks/one", { process: "b" });
    const two = start("hooks/two");
    await clock.advance(5 * renewEveryMs);
    expect([again.kind(), two.kind()]).toEqual(["held", "in-use"]);
    server.readOnly = false;
    await clock.advance(renewEveryMs);
    expect([again.kind(), two.kind(), server.holder]).toEqual(["held", "in-use", "hooks/one"]);
  });

  it("says which permission is missing, and begins once it is there", async () => {
    server.trouble = 403;
    const one = start("hooks/one");
    await clock.advance(0);
    expect(one.kind()).toBe("forbidden");
    expect(one.said()).toContain("it says 403");
    expect(one.said()).toContain("kubectl -n kube-system create role postrider-class-postrider --verb=get,create,update");
    server.trouble = undefined;
    await clock.advance(retryEveryMs);
    expect(one.kind()).toBe("held");
  });

  it("judges nobody by a clock", async () => {
    // Theirs is a day ahead, ours steps a day back: neither makes a live holder look dead or a dead one alive.
    const theirs = new ManualClock(clock.trueMs() + 86_400_000);
    const far = start("hooks/far", { own: theirs });
    await theirs.advance(0);
    const two = start("hooks/two");
    for (let step = 0; step < 30; step++) {
      clock.stepWall(step % 2 === 0 ? -86_400_000 : 86_400_000);
      await theirs.advance(renewEveryMs);
      await clock.advance(renewEveryMs);
    }
    expect([far.kind(), two.kind()]).toEqual(["held", "in-use"]);
    await clock.advance(durationMs + retryEveryMs);
    expect(two.kind()).toBe("held");
  });

  it("is written again when somebody deletes it", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    server.lease = undefined;
    await clock.advance(renewEveryMs);
    expect([one.kind(), server.holder]).toEqual(["held", "hooks/one"]);
    server.edit((lease) => {
      delete lease.spec?.["holderIdentity"];
      lease.metadata.annotations = {};
    });
    await clock.advance(renewEveryMs);
    expect([one.kind(), server.holder]).toEqual(["held", "hooks/one"]);
  });

  it("goes to whom it was given by hand while it was deleted", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    server.lease = undefined;
    const two = start("hooks/two");
    await clock.advance(renewEveryMs + retryEveryMs);
    expect([one.kind(), two.kind()]).toEqual(["in-use", "held"]);
  });

  it.each([
    ["no spec", undefined],
    ["an empty spec", {}],
    ["nobody's name", { holderIdentity: "" }],
    ["a number for a name", { holderIdentity: 7 }],
  ])("takes over a Lease with %s at once", async (_what, spec) => {
    server.edit((lease) => {
      lease.metadata.annotations = { "postrider.dev/holders": "not json", theirs: "kept" };
      if (spec === undefined) delete lease.spec;
      else lease.spec = spec;
    });
    const one = start("hooks/one");
    await clock.advance(0);
    expect(one.kind()).toBe("held");
    expect(server.lease?.metadata.annotations).toMatchObject({ theirs: "kept" });
  });

  it.each([
    [
      "another program's",
      { holderIdentity: "someone", leaseDurationSeconds: 1_000_000_000, renewTime: "2999-01-01T00:00:00.000000Z" },
      undefined,
    ],
    ["one whose annotation is broken", { holderIdentity: "hooks/x" }, "[{"],
    ["one whose annotation lacks a field", { holderIdentity: "hooks/x" }, '[{"installation":"hooks/x"}]'],
    ["one whose annotation names another", { holderIdentity: "hooks/x" }, "[]"],
  ])("waits for %s Lease as long as for any other", async (_what, spec, annotation) => {
    server.edit((lease) => {
      lease.spec = spec;
      if (annotation !== undefined) lease.metadata.annotations = { "postrider.dev/holders": annotation };
    });
    const one = start("hooks/one");
    await clock.advance(durationMs - 1);
    expect(one.kind()).toBe("in-use");
    await clock.advance(retryEveryMs);
    expect(one.kind()).toBe("held");
  });

  it("is shared by installations whose namespaces do not overlap, and by no others", async () => {
    const one = start("hooks/one", { namespaces: ["a", "b"] });
    const two = start("hooks/two", { namespaces: ["c"] });
    await clock.advance(retryEveryMs);
    const three = start("hooks/three", { namespaces: ["b", "d"] });
    const all = start("hooks/all");
    await clock.advance(3 * durationMs);
    expect([one, two, three, all].map(({ kind }) => kind())).toEqual(["held", "held", "in-use", "in-use"]);
    expect(three.said()).toContain("installation hooks/one (Pod pod-0");
    expect(three.said()).toContain("namespaces a, b)");
    expect(String(server.holder).split(",").toSorted()).toEqual(["hooks/one", "hooks/two"]);
    await two.stop();
    expect(server.holder).toBe("hooks/one");
    await one.stop();
    await clock.advance(durationMs + 10_000);
    expect([three, all].filter(({ kind }) => kind() === "held")).toHaveLength(1);
  });

  it("drops a holder who is gone from a shared Lease", async () => {
    const one = start("hooks/one", { namespaces: ["a"] });
    await clock.advance(0);
    const two = start("hooks/two", { namespaces: ["b"] });
    await clock.advance(0);
    one.net.trouble = "away";
    await clock.advance(durationMs + 2 * renewEveryMs);
    expect(server.holder).toBe("hooks/two");
    delete one.net.trouble;
    await clock.advance(renewEveryMs);
    expect([one.kind(), two.kind()]).toEqual(["held", "held"]);
    expect(String(server.holder).split(",").toSorted()).toEqual(["hooks/one", "hooks/two"]);
  });

  it("refuses the 33rd installation of a class, and says the number", async () => {
    for (let n = 0; n < 32; n++) {
      start(`hooks/i${n}`, { namespaces: [`n${n}`] });
      await clock.advance(0);
    }
    const last = start("hooks/last", { namespaces: ["last"] });
    await clock.advance(0);
    expect(last.said()).toContain("32 installations serve class postrider already, which is the most");
  });

  it("ends within half a second when the API server is silent at the stop", async () => {
    const one = start("hooks/one");
    await clock.advance(0);
    one.net.trouble = "silent";
    running.at(-1)?.abort.abort();
    let ended = false;
    void running.at(-1)?.done.then(() => (ended = true));
    await clock.advance(CLASS_LEASE_BOUNDS.releaseWithinMs);
    expect(ended).toBe(true);
    expect(server.holder).toBe("hooks/one");
  });
});
