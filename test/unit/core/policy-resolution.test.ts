import { describe, expect, it } from "vitest";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS, BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import type { ClusterPolicy, NamespacePolicy, Policy, PolicyLimits } from "../../../src/core/policy.ts";
import { clamp, resolvePolicy } from "../../../src/core/policy-resolution.ts";
import type { ClusterCandidate, NamespaceCandidate } from "../../../src/core/policy-candidate.ts";
import type { PolicyQuestion } from "../../../src/core/policy-resolution.ts";

function policy(name: string, fields: NamespacePolicy["fields"] = {}, more: Partial<NamespacePolicy> = {}): NamespaceCandidate {
  return {
    accepted: true,
    policy: { namespace: "shop", name, uid: name, generation: 2, createdAtMs: 0, isDefault: false, fields, ...more },
  };
}

function cluster(name: string, more: Partial<ClusterPolicy> = {}): ClusterCandidate {
  const base = { uid: name, generation: 7, createdAtMs: 0, className: "", priority: 0, namespaceSelector: undefined, fields: {} };
  return { accepted: true, policy: { ...base, name, limits: BUILT_IN_LIMITS, egress: BUILT_IN_EGRESS, ...more } };
}

const HOUR = 3_600_000;
const NOT_OBEYED = { field: "", reason: "NotImplemented", message: "not obeyed" } as const;

const question: PolicyQuestion = {
  className: "postrider",
  policyName: undefined,
  namespace: "shop",
  namespaceLabels: { team: "a" },
  namespacePolicies: [],
  clusterPolicies: [],
};

function winner(change: Partial<PolicyQuestion>): string {
  const { effective, problem } = resolvePolicy({ ...question, ...change });
  return problem === undefined ? `${effective.kind}/${effective.name}` : problem.reason;
}

describe("which policy wins", () => {
  const careful = policy("careful");
  const byDefault = policy("usual", {}, { isDefault: true, createdAtMs: 5 });
  const older = policy("zebra", {}, { isDefault: true, createdAtMs: 1 });
  const sameAge = policy("alpha", {}, { isDefault: true, createdAtMs: 1 });
  const bad: NamespaceCandidate = {
    accepted: false,
    policy: { name: "bad", isDefault: true },
    refusal: NOT_OBEYED,
  };

  it.each<[string, Partial<PolicyQuestion>, string]>([
    ["nothing says anything", {}, "BuiltIn/"],
    [
      "the one named",
      { policyName: "careful", namespacePolicies: [byDefault, careful], clusterPolicies: [cluster("c")] },
      "DeliveryPolicy/careful",
    ],
    ["a missing one is never replaced by another", { policyName: "gone", namespacePolicies: [byDefault] }, "PolicyNotFound"],
    [
      "the namespace's default before the cluster's",
      { namespacePolicies: [careful, byDefault], clusterPolicies: [cluster("c")] },
      "DeliveryPolicy/usual",
    ],
    ["the oldest default", { namespacePolicies: [byDefault, older] }, "DeliveryPolicy/zebra"],
    ["of the same age, by name", { namespacePolicies: [older, sameAge] }, "DeliveryPolicy/alpha"],
    ["no default: the cluster's", { namespacePolicies: [careful], clusterPolicies: [cluster("c")] }, "ClusterDeliveryPolicy/c"],
    ["a default that is not accepted keeps its place", { namespacePolicies: [bad], clusterPolicies: [cluster("c")] }, "PolicyNotAccepted"],
    ["a cluster policy of another class does not count", { clusterPolicies: [cluster("b", { className: "blue" })] }, "BuiltIn/"],
    ["one of our class does", { clusterPolicies: [cluster("b", { className: "postrider" })] }, "ClusterDeliveryPolicy/b"],
    [
      "a cluster policy that is not accepted opens nothing",
      {
        clusterPolicies: [{ accepted: false, policy: { name: "x" }, refusal: NOT_OBEYED }],
        policyName: "careful",
        namespacePolicies: [careful],
      },
      "PolicyNotAccepted",
    ],
  ])("%s", (_, change, expected) => {
    expect(winner(change)).toBe(expected);
  });

  it("wins whole, while limits and egress come from the cluster policy", () => {
    const egress = { ...BUILT_IN_EGRESS, allowPlainHttp: true };
    const { effective } = resolvePolicy({
      ...question,
      policyName: "careful",
      namespacePolicies: [policy("careful", { maxInFlight: 50 })],
      clusterPolicies: [
        cluster("c", { fields: { timeoutMs: 1, maxInFlight: 2 }, egress, limits: { ...BUILT_IN_LIMITS, maxInFlight: 20 } }),
      ],
    });
    expect(effective.policy.timeoutMs).toBe(BUILT_IN_POLICY.timeoutMs);
    expect(effective.policy.maxInFlight).toBe(20);
    expect(effective).toMatchObject({ clamped: ["maxInFlight"], egress, generation: 2, cluster: { name: "c", generation: 7 } });
  });
});

describe("clamping", () => {
  const rate = (requests: number, perMs: number, burst: number) => ({ requests, perMs, burst });
  it.each<[string, Partial<PolicyLimits>, string[]]>([
    ["nothing is above no ceiling", {}, []],
    ["equal is not above", { timeoutMs: BUILT_IN_POLICY.timeoutMs }, []],
    [
      "every ceiling is reported",
      { timeoutMs: 1, maxInFlight: 1, maxAttempts: 1, maxAgeMs: 1 },
      ["timeout", "maxInFlight", "retry.maxAttempts", "retry.maxAge"],
    ],
    [
      "retention",
      { retention: { historyMs: 1, bodiesMs: 1, responseBytes: 1 } },
      ["retention.history", "retention.bodies", "retention.responseBytes"],
    ],
    ["no rate limit takes the ceiling", { rateLimit: rate(1, 1_000, 1) }, ["rateLimit"]],
  ])("%s", (_, limits, expected) => {
    expect(clamp(BUILT_IN_POLICY, { ...BUILT_IN_LIMITS, ...limits }).clamped).toEqual(expected);
  });

  // docs/spec/clusterdeliverypolicy.md, `kubectl explain cdpol.spec.limits`: built in, lowered to the ceiling; only rateLimit takes it.
  const unset: readonly [string, PolicyLimits, (policy: Policy) => unknown, unknown][] = [
    ["timeout", { ...BUILT_IN_LIMITS, timeoutMs: 60_000 }, (policy) => policy.timeoutMs, 15_000],
    ["timeout", { ...BUILT_IN_LIMITS, timeoutMs: 3_000 }, (policy) => policy.timeoutMs, 3_000],
    ["maxInFlight", { ...BUILT_IN_LIMITS, maxInFlight: 64 }, (policy) => policy.maxInFlight, 8],
    ["maxInFlight", { ...BUILT_IN_LIMITS, maxInFlight: 4 }, (policy) => policy.maxInFlight, 4],
    ["retry.maxAttempts", { ...BUILT_IN_LIMITS, maxAttempts: 50 }, (policy) => policy.retry.maxAttempts, 10],
    ["retry.maxAttempts", { ...BUILT_IN_LIMITS, maxAttempts: 3 }, (policy) => policy.retry.maxAttempts, 3],
    ["retry.maxAge", { ...BUILT_IN_LIMITS, maxAgeMs: 200 * HOUR }, (policy) => policy.retry.maxAgeMs, 96 * HOUR],
    ["retry.maxAge", { ...BUILT_IN_LIMITS, maxAgeMs: HOUR }, (policy) => policy.retry.maxAgeMs, HOUR],
    ["retention.history", { ...BUILT_IN_LIMITS, retention: { historyMs: 200 * HOUR } }, (policy) => policy.retention.historyMs, 72 * HOUR],
    ["retention.history", { ...BUILT_IN_LIMITS, retention: { historyMs: HOUR } }, (policy) => policy.retention.historyMs, HOUR],
    ["retention.bodies", { ...BUILT_IN_LIMITS, retention: { bodiesMs: 200 * HOUR } }, (policy) => policy.retention.bodiesMs, 72 * HOUR],
    ["retention.bodies", { ...BUILT_IN_LIMITS, retention: { bodiesMs: HOUR } }, (policy) => policy.retention.bodiesMs, HOUR],
    [
      "retention.responseBytes",
      { ...BUILT_IN_LIMITS, retention: { responseBytes: 9_000 } },
      (policy) => policy.retention.responseBytes,
      4_096,
    ],
    ["retention.responseBytes", { ...BUILT_IN_LIMITS, retention: { responseBytes: 100 } }, (policy) => policy.retention.responseBytes, 100],
    ["rateLimit", { ...BUILT_IN_LIMITS, rateLimit: rate(5, 1_000, 9) }, (policy) => policy.rateLimit, rate(5, 1_000, 9)],
  ];
  it.each(unset)("%s left out under %j is the built-in value, lowered to the ceiling", (field, limits, read, expected) => {
    for (const own of [{}, { clusterPolicies: [cluster("c", { limits })], namespacePolicies: [policy("p", {}, { isDefault: true })] }]) {
      const { effective } = resolvePolicy({ ...question, clusterPolicies: [cluster("c", { limits })], ...own });
      expect(read(effective.policy)).toEqual(expected);
      expect(effective.clamped).toEqual(read(BUILT_IN_POLICY) === expected ? [] : [field]);
    }
  });

  it.each<[string, Partial<Policy>, Partial<PolicyLimits>, number, string[]]>([
    ["128 of the default 15 s stay", { maxInFlight: 128 }, {}, 128, []],
    ["129 do not", { maxInFlight: 129 }, {}, 128, ["maxInFlight"]],
    ["64 of 30 s stay", { maxInFlight: 64, timeoutMs: 30_000 }, {}, 64, []],
    ["of 5 min 6 stay", { maxInFlight: 1_024, timeoutMs: 300_000 }, {}, 6, ["maxInFlight"]],
    ["one always stays", { maxInFlight: 1, timeoutMs: 3_000_000 }, {}, 1, []],
    ["quick ones may have all", { maxInFlight: 1_024, timeoutMs: 1_000 }, {}, 1_024, []],
    ["limits.maxInFlight replaces it", { maxInFlight: 1_024, timeoutMs: 300_000 }, { maxInFlight: 1_000 }, 1_000, ["maxInFlight"]],
    ["limits.maxInFlight above what is asked for", { maxInFlight: 900, timeoutMs: 300_000 }, { maxInFlight: 1_000 }, 900, []],
    ["limits.timeout is lowered first", { maxInFlight: 1_024, timeoutMs: 300_000 }, { timeoutMs: 10_000 }, 192, ["timeout", "maxInFlight"]],
  ])("timeout x maxInFlight: %s", (_, own, limits, maxInFlight, expected) => {
    const { policy: lowered, clamped } = clamp({ ...BUILT_IN_POLICY, ...own }, { ...BUILT_IN_LIMITS, ...limits });
    expect([lowered.maxInFlight, clamped]).toEqual([maxInFlight, expected]);
  });

  it.each([
    ["a slower rate stays", rate(10, 60_000, 5), rate(1, 1_000, 5), rate(10, 60_000, 5)],
    ["a faster one is lowered", rate(100, 1_000, 5), rate(1, 1_000, 5), rate(1, 1_000, 5)],
    ["a faster one keeps its smaller burst", rate(100, 1_000, 1), rate(10, 1_000, 50), rate(10, 1_000, 1)],
    ["a larger burst is lowered alone", rate(10, 60_000, 50), rate(1, 1_000, 5), rate(10, 60_000, 5)],
  ])("rate: %s", (_, own, ceiling, expected) => {
    expect(clamp({ ...BUILT_IN_POLICY, rateLimit: own }, { ...BUILT_IN_LIMITS, rateLimit: ceiling }).policy.rateLimit).toEqual(expected);
  });

  it("never connects longer than an attempt may take", () => {
    expect(clamp(BUILT_IN_POLICY, { ...BUILT_IN_LIMITS, timeoutMs: 900 }).policy.connectTimeoutMs).toBe(900);
  });
});
