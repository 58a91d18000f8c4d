import { afterEach, describe, expect, it } from "vitest";
import type { Condition } from "../../../src/core/conditions.ts";
import { Disk, Life, subscription, INSIDE } from "../../support/controller/controller-life.ts";
import { ControlledManifests, manifest, namespace } from "../../support/sim/controller-world.ts";

interface PolicyStatus {
  readonly namespaces: number;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
}

const TEAM_A = { namespaceSelector: { matchLabels: { team: "a" } } };
const EGRESS = { egress: { allowedHosts: ["inside.example.org"] } };
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A policy made in the given second of the year. */
function policy(name: string, spec: object, second = 0, generation = 1): ReturnType<typeof manifest> {
  const creationTimestamp = new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  return manifest("ClusterDeliveryPolicy", { name, creationTimestamp, generation }, spec);
}

/** A cluster of five namespaces, two of them of team a, and the controller on it. */
async function cluster(...policies: ReturnType<typeof manifest>[]): Promise<{ manifests: ControlledManifests; life: Life }> {
  const disk = await new Disk().open();
  const manifests = new ControlledManifests();
  for (const name of ["a1", "a2"]) manifests.apply(namespace(name, { team: "a" }));
  for (const name of ["b1", "b2", "b3"]) manifests.apply(namespace(name, { team: "b" }));
  for (const one of policies) manifests.apply(one);
  for (const list of manifests.lists()) manifests.arrive(...list);
  const life = await new Life(disk, manifests).begin();
  ends.push(() => life.end());
  return { manifests, life };
}

function statusOf(manifests: ControlledManifests, name: string): PolicyStatus | undefined {
  return manifests.statuses.findLast(({ object }) => object === `ClusterDeliveryPolicy//${name}`)?.status as PolicyStatus | undefined;
}

function shadowed(manifests: ControlledManifests, name: string): string | undefined {
  const found = statusOf(manifests, name);
  const condition = found?.conditions.find(({ type }) => type === "Shadowed");
  return condition && `${condition.status} ${found?.namespaces} ${condition.reason}: ${condition.message}`;
}

describe("the status of a cluster policy", () => {
  it("counts the namespaces in which it applies, and is not shadowed where it is alone", async () => {
    const { manifests } = await cluster(policy("all", {}), policy("nowhere", { namespaceSelector: { matchLabels: { team: "z" } } }));
    expect(shadowed(manifests, "all")).toBe("False 5 NotShadowed: no other policy comes before it in a namespace that it selects");
    expect(shadowed(manifests, "nowhere")).toBe("False 0 NotShadowed: it selects no namespace");
  });

  it("says by whom it is shadowed, and in how many namespaces", async () => {
    const { manifests } = await cluster(policy("all", {}), policy("team", TEAM_A));
    expect(shadowed(manifests, "team")).toMatch(/^False 2 NotShadowed/);
    expect(shadowed(manifests, "all")).toMatch(
      /^True 3 OtherPolicyApplies: it selects 5 namespaces and applies in 3; in 2 another policy applies instead: team in 2\. /,
    );
    // A default that gives way is no mistake.
    expect(statusOf(manifests, "all")?.conditions.find(({ type }) => type === "Ready")?.status).toBe("True");
  });

  it("a newcomer does not remove the fence of an older policy, whatever its name, and says that it applies nowhere", async () => {
    const { manifests, life } = await cluster(policy("local", EGRESS, 1));
    manifests.apply(subscription("orders", INSIDE, { scope: "a1" }));
    manifests.apply(subscription("thief", "https://outside.example.net/", { scope: "a1" }));
    await life.pass();
    manifests.apply(policy("00-newcomer", { namespaceSelector: {}, limits: { timeout: "30s" } }, 2));
    await life.pass();
    expect(shadowed(manifests, "00-newcomer")).toMatch(
      /^True 0 OtherPolicyApplies: it selects 5 namespaces and applies in 0; .*: local in 5\./,
    );
    expect(shadowed(manifests, "local")).toMatch(/^False 5/);
    expect([life.accepted("orders", "a1"), life.accepted("thief", "a1")]).toEqual(["Accepted", "EgressDenied"]);
    const effective = manifests.statuses.findLast(({ object }) => object === "WebhookSubscription/a1/orders")?.status;
    expect(effective).toMatchObject({ effectivePolicy: { cluster: { name: "local" }, values: { timeout: "15s", maxInFlight: 8 } } });
    // With a priority it means it.
    manifests.apply(policy("00-newcomer", { priority: 1, limits: { timeout: "30s" } }, 2, 2));
    await life.pass();
    expect(shadowed(manifests, "local")).toMatch(/^True 0/);
    expect(life.accepted("thief", "a1")).toBe("Accepted");
  });

  it("follows namespaces that come, go and change their labels, within half a minute and at most that often", async () => {
    const { manifests, life } = await cluster(policy("all", {}), policy("team", TEAM_A));
    const writes = (): number => manifests.statuses.filter(({ object }) => object === "ClusterDeliveryPolicy//all").length;
    const before = writes();
    for (let at = 0; at < 50; at++) manifests.apply(namespace(`a${at + 10}`, { team: "a" }));
    manifests.apply(namespace("a1", { team: "b" }));
    manifests.remove({ kind: "Namespace", namespace: "", name: "b1" });
    for (let halves = 0; halves < 11; halves++) await life.pass();
    expect(shadowed(manifests, "all")).toMatch(
      /^True 3 .*it selects 54 namespaces and applies in 3; in 51 another policy applies instead: team in 51\./,
    );
    expect(statusOf(manifests, "team")?.namespaces).toBe(51);
    expect(writes() - before).toBe(1);
  });

  it("names five others and counts the rest", async () => {
    const others = Array.from({ length: 8 }, (_, at) =>
      policy(`p${at}`, { priority: at + 1, namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": `n${at}` } } }),
    );
    const { manifests, life } = await cluster(policy("all", {}), ...others);
    for (let at = 0; at < 8; at++) manifests.apply(namespace(`n${at}`, { "kubernetes.io/metadata.name": `n${at}` }));
    for (let halves = 0; halves < 11; halves++) await life.pass();
    expect(shadowed(manifests, "all")).toContain("p0 in 1, p1 in 1, p2 in 1, p3 in 1, p4 in 1, and 3 more policies. ");
  });

  it("of another class is not written, and neither obeyed nor compared with ours", async () => {
    const { manifests } = await cluster(
      policy("all", {}),
      policy("blue", { className: "blue", priority: 9 }),
      policy("ours", { className: "postrider" }),
    );
    expect(statusOf(manifests, "blue")).toBeUndefined();
    // A newer one of our class gives way to the older one of all classes by name.
    expect(shadowed(manifests, "ours")).toMatch(/^True 0 .*: all in 5\./);
    expect(shadowed(manifests, "all")).toMatch(/^True 5 .*: blue \(className blue\) in 5\./);
  });

  it("keeps its place where it cannot be read, and says so where kstatus looks", async () => {
    const bad = policy("bad", { priority: 3 }, 0);
    Object.assign(bad, { spec: { priority: 3, timeout: "soon", namespaceSelector: { matchExpressions: "no list" } } });
    const { manifests } = await cluster(policy("all", {}), bad);
    const conditions = statusOf(manifests, "bad")?.conditions ?? [];
    expect(Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]))).toEqual({
      Accepted: "False InvalidObject",
      Ready: "False InvalidObject",
      Stalled: "True InvalidObject",
      Shadowed: "False NotShadowed",
    });
    expect(shadowed(manifests, "all")).toMatch(/^True 0 .*: bad in 5\./);
  });
});

describe("two installations that share a policy", () => {
  it("write the same, and take over the times of the one that was quicker", async () => {
    const shared = policy("all", {});
    const { manifests, life } = await cluster(shared, policy("blue", { className: "blue", priority: 1, ...TEAM_A }));
    const ours = statusOf(manifests, "all");
    const theirs = ours?.conditions.map((condition) => ({ ...condition, lastTransitionTime: "2025-12-31T00:00:00Z" }));
    const count = manifests.statuses.length;
    // The other one was quicker: what is on the object is not what we have written.
    manifests.apply({ ...shared, status: { ...ours, conditions: theirs } } as ReturnType<typeof manifest>);
    await life.pass();
    expect(manifests.statuses.length - count).toBeLessThanOrEqual(1);
    expect(statusOf(manifests, "all")).toEqual({ ...ours, conditions: theirs });
    const settled = manifests.statuses.length;
    manifests.apply({ ...shared, status: statusOf(manifests, "all") } as ReturnType<typeof manifest>);
    await life.pass();
    expect(manifests.statuses.length).toBe(settled);
  });
});
