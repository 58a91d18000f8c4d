import { expect, it } from "vitest";
import { ClusterPolicyReach } from "../../../src/controller/policy/cluster-policy-reach.ts";
import type { ClusterCandidate } from "../../../src/core/policy-candidate.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS } from "../../../src/core/policy.ts";
import { ObjectCache } from "../../../src/provider/object-cache.ts";
import { namespace } from "../../support/sim/controller-world.ts";

const NAMESPACES = 500;

function policy(name: string, team: string | undefined): ClusterCandidate {
  const namespaceSelector = team === undefined ? undefined : { matchLabels: { team }, matchExpressions: [] };
  const base = { uid: name, generation: 1, createdAtMs: 0, className: "", priority: 0, fields: {}, limits: BUILT_IN_LIMITS };
  return { accepted: true, policy: { ...base, name, namespaceSelector, egress: BUILT_IN_EGRESS } };
}

/** Every look at the clock takes a millisecond: a slice is eight namespaces. */
function slowly(policies: ClusterCandidate[]) {
  const resources = new ObjectCache();
  for (let at = 0; at < NAMESPACES; at++) resources.set("Namespace", namespace(`n${at}`, { team: at % 2 === 0 ? "a" : "b" }));
  const turns: (() => void)[] = [];
  let nowMs = 0;
  let known = 0;
  const reach = new ClusterPolicyReach({
    resources: { list: (kind, scope) => resources.list(kind, scope), get: (kind, scope, name) => resources.get(kind, scope, name) },
    policies: { clusterPolicies: () => policies },
    clock: { monotonicMs: () => nowMs++, afterPoll: (turn) => void turns.push(turn) },
    known: () => known++,
  });
  return {
    reach,
    resources,
    policies,
    turn: () => turns.shift()?.(),
    pending: () => turns.length,
    known: () => known,
    nowMs: () => nowMs,
  };
}

it("looks at many namespaces in slices, answers when it is through, and takes up what changes meanwhile", () => {
  const world = slowly([policy("all", undefined), policy("team", "a")]);
  expect(world.reach.of("all")).toBeUndefined();
  let turns = 0;
  for (; world.pending() > 0; turns++) {
    // Asked for every policy, it does not begin another slice in the same turn.
    const before = world.nowMs();
    expect(world.reach.of("team")).toBeUndefined();
    expect(world.nowMs()).toBe(before);
    if (turns === 3) {
      world.resources.set("Namespace", namespace("n0", { team: "b" }));
      world.reach.changed({ kind: "Namespace", namespace: "", name: "n0" });
    }
    world.turn();
    expect(world.nowMs() - before).toBeLessThanOrEqual(10);
  }
  expect(turns).toBeGreaterThan(NAMESPACES / 10);
  expect(world.known()).toBe(1);
  expect(world.reach.of("team")?.namespaces).toBe(NAMESPACES / 2 - 1);
  expect(world.reach.of("all")?.namespaces).toBe(NAMESPACES / 2 + 1);
});

it("begins again when a policy changes in between", () => {
  const world = slowly([policy("all", undefined)]);
  world.reach.of("all");
  for (let turns = 0; turns < 5; turns++) world.turn();
  world.policies.push(policy("team", "b"));
  world.reach.changed({ kind: "ClusterDeliveryPolicy", namespace: "", name: "team" });
  while (world.pending() > 0) world.turn();
  expect([world.reach.of("all")?.namespaces, world.reach.of("team")?.namespaces]).toEqual([NAMESPACES / 2, NAMESPACES / 2]);
});

it("looks at one namespace when one changes, and forgets one that is gone", () => {
  const world = slowly([policy("all", undefined)]);
  world.reach.of("all");
  while (world.pending() > 0) world.turn();
  const before = world.nowMs();
  world.resources.delete({ kind: "Namespace", namespace: "", name: "n1" });
  expect(world.reach.changed({ kind: "Namespace", namespace: "", name: "n1" })).toBe(true);
  expect(world.reach.of("all")?.namespaces).toBe(NAMESPACES - 1);
  expect(world.nowMs() - before).toBeLessThan(5);
  expect(world.reach.changed({ kind: "DeliveryPolicy", namespace: "n2", name: "x" })).toBe(false);
});
