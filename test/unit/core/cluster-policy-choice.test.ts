import { describe, expect, it } from "vitest";
import { byRank, clusterPolicyFor, matchesSelector, selects, standingsOf } from "../../../src/core/cluster-policy-choice.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS } from "../../../src/core/policy.ts";
import type { ClusterPolicy, LabelSelector } from "../../../src/core/policy.ts";
import type { ClusterCandidate } from "../../../src/core/policy-candidate.ts";

const NOBODY: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const TEAM: LabelSelector = { matchLabels: { team: "a" }, matchExpressions: [] };
const OTHERS: LabelSelector = { matchLabels: {}, matchExpressions: [{ key: "team", operator: "NotIn", values: ["a"] }] };
const EXISTS: LabelSelector = { matchLabels: {}, matchExpressions: [{ key: "team", operator: "Exists", values: [] }] };
const LABELS = { team: "a" };

function policy(name: string, more: Partial<ClusterPolicy> = {}): ClusterCandidate {
  const base = { uid: name, generation: 1, createdAtMs: 0, className: "", priority: 0, namespaceSelector: undefined, fields: {} };
  return { accepted: true, policy: { ...base, name, limits: BUILT_IN_LIMITS, egress: BUILT_IN_EGRESS, ...more } };
}

function refused(name: string, more: Partial<ClusterPolicy> = {}): ClusterCandidate {
  return { accepted: false, policy: { name, ...more }, refusal: { field: "", reason: "InvalidObject", message: "it cannot be read" } };
}

describe("of several cluster policies that select a namespace", () => {
  it.each<[string, ClusterCandidate[], string | undefined]>([
    ["none selects it", [policy("b", { namespaceSelector: OTHERS })], undefined],
    [
      "the highest priority applies, whatever the rest",
      [policy("a", { namespaceSelector: TEAM, createdAtMs: 1 }), policy("z", { priority: 1, createdAtMs: 9 })],
      "z",
    ],
    ["a negative priority comes last", [policy("a", { priority: -1, namespaceSelector: TEAM }), policy("z")], "z"],
    ["one with a selector comes before one without", [policy("a"), policy("b", { namespaceSelector: TEAM })], "b"],
    ["expressions are a selector too", [policy("a"), policy("b", { namespaceSelector: EXISTS })], "b"],
    [
      "{} counts as none: an older one without is not replaced by it",
      [policy("a", { namespaceSelector: NOBODY, createdAtMs: 2 }), policy("b", { createdAtMs: 1 })],
      "b",
    ],
    [
      "the oldest applies: a newcomer with an early name changes nothing",
      [policy("00-new", { createdAtMs: 2 }), policy("z-old", { createdAtMs: 1 })],
      "z-old",
    ],
    ["among those of one second the first by name", [policy("b", { createdAtMs: 1 }), policy("a", { createdAtMs: 1 })], "a"],
    ["files have no times: by name", [policy("b"), policy("a")], "a"],
    ["another class does not count, however high", [policy("a", { className: "blue", priority: 9 }), policy("b")], "b"],
    ["ours does, as one of every class", [policy("a", { createdAtMs: 1 }), policy("b", { className: "postrider", createdAtMs: 2 })], "a"],
    ["one that cannot be read keeps its place", [refused("a", { priority: 5 }), policy("b")], "a"],
    ["one of which nothing can be read is for every class and namespace", [refused("a"), policy("b", { priority: -1 })], "a"],
  ])("%s", (_, candidates, expected) => {
    const place = { className: "postrider", labels: LABELS };
    expect(clusterPolicyFor(candidates, place)?.policy.name).toBe(expected);
    expect(clusterPolicyFor(candidates.toReversed(), place)?.policy.name).toBe(expected);
  });
});

describe("standings in a namespace", () => {
  const standings = (...candidates: ClusterCandidate[]): Record<string, [boolean, string[]]> =>
    Object.fromEntries(
      standingsOf(candidates.toSorted(byRank).filter((candidate) => selects(candidate, LABELS))).map(({ name, applies, shadowedBy }) => [
        name,
        [applies, shadowedBy.map((by) => `${by.name}/${by.className}`)],
      ]),
    );

  it("leave out what does not select it", () => {
    expect(standings(policy("a", { namespaceSelector: OTHERS }))).toEqual({});
  });

  it("say by whom each loser is shadowed", () => {
    expect(standings(policy("low"), policy("mid", { priority: 1 }), policy("high", { priority: 2 }))).toEqual({
      high: [true, []],
      mid: [false, ["high/"]],
      low: [false, ["high/"]],
    });
  });

  it("of one class are those of that class and of all", () => {
    expect(
      standings(policy("all"), policy("blue", { className: "blue", priority: 1 }), policy("red", { className: "red", priority: -1 })),
    ).toEqual({
      blue: [true, []],
      all: [true, ["blue/blue"]],
      red: [false, ["all/"]],
    });
  });

  it("are what each class obeys: whoever asks, the same policy applies", () => {
    const priorities = [0, 0, 1, 1, 2];
    const classes = ["", "blue", "", "red", "blue"];
    for (let seed = 0; seed < 120; seed++) {
      const candidates = priorities.map((priority, at) =>
        policy(`p${at}`, {
          priority: (priority + seed * (at + 1)) % 4,
          className: classes[(at + seed) % 5] ?? "",
          createdAtMs: (seed * at) % 3,
        }),
      );
      const found = standings(...candidates);
      for (const className of ["blue", "red", "green"]) {
        const winner = clusterPolicyFor(candidates, { className, labels: LABELS });
        if (winner === undefined) continue;
        const { name } = winner.policy;
        // A policy of every class may be beaten in every class that is named, and then applies to those that are not.
        expect(found[name]?.[0]).toBe(true);
        const others = candidates.filter(({ policy: one }) => one.name !== name && ["", className].includes(one.className ?? ""));
        for (const other of others) expect(found[other.policy.name]?.[1]).toContain(`${name}/${winner.policy.className ?? ""}`);
      }
    }
  });
});

describe("label selectors", () => {
  const labels = { team: "a", tier: "1" };
  type Operator = LabelSelector["matchExpressions"][number]["operator"];
  it.each<[string, Operator, string[], boolean]>([
    ["team", "In", ["a", "b"], true],
    ["team", "In", ["b"], false],
    ["none", "In", ["a"], false],
    ["team", "NotIn", ["a"], false],
    ["none", "NotIn", ["a"], true],
    ["team", "Exists", [], true],
    ["none", "Exists", [], false],
    ["team", "DoesNotExist", [], false],
    ["none", "DoesNotExist", [], true],
    ["constructor", "Exists", [], false],
  ])("%s %s %j is %s", (key, operator, values, expected) => {
    expect(matchesSelector({ matchLabels: {}, matchExpressions: [{ key, operator, values }] }, labels)).toBe(expected);
  });
});
