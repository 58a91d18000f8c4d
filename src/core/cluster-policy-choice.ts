import { unreachable } from "../lib/assert.ts";
import type { LabelSelector } from "./policy.ts";
import type { ClusterCandidate } from "./policy-candidate.ts";

/** For whom a cluster policy is looked for: an installation, and a namespace by its labels. */
export interface PolicyPlace {
  /** `--class` of the installation. */
  readonly className: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The cluster policy that applies: of those that the class may obey and that select the namespace, the first by `byRank`. */
export function clusterPolicyFor(
  candidates: readonly ClusterCandidate[],
  { className, labels }: PolicyPlace,
): ClusterCandidate | undefined {
  let first: ClusterCandidate | undefined;
  for (const candidate of candidates) {
    if (!isFor(candidate, className) || (first !== undefined && byRank(first, candidate) < 0)) continue;
    if (selects(candidate, labels)) first = candidate;
  }
  return first;
}

/**
 * Which comes first: higher `priority`; then one with a selector that says something; then the oldest, so that a newcomer changes nothing by
 * accident; then by name. Files have no times: there a selector and the name decide among equal priorities.
 */
export function byRank(a: ClusterCandidate, b: ClusterCandidate): number {
  return (
    (b.policy.priority ?? 0) - (a.policy.priority ?? 0) ||
    Number(isForAll(a)) - Number(isForAll(b)) ||
    (a.policy.createdAtMs ?? 0) - (b.policy.createdAtMs ?? 0) ||
    (a.policy.name < b.policy.name ? -1 : a.policy.name > b.policy.name ? 1 : 0)
  );
}

/** Whether installations of this class may obey it; a class that cannot be read is every class, so that no fence is lost. */
function isFor({ policy }: ClusterCandidate, className: string): boolean {
  return (policy.className ?? "") === "" || policy.className === className;
}

/** No selector, or `{}`. */
function isForAll({ policy: { namespaceSelector: selector } }: ClusterCandidate): boolean {
  return selector === undefined || (Object.keys(selector.matchLabels).length === 0 && selector.matchExpressions.length === 0);
}

export function selects({ policy: { namespaceSelector: selector } }: ClusterCandidate, labels: PolicyPlace["labels"]): boolean {
  return selector === undefined || matchesSelector(selector, labels);
}

/** Kubernetes' label selector semantics: all terms must hold, NotIn holds for an absent key, `{}` matches everything. */
export function matchesSelector(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const value = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  return (
    Object.entries(selector.matchLabels).every(([key, wanted]) => value(key) === wanted) &&
    selector.matchExpressions.every(({ key, operator, values }) => {
      const actual = value(key);
      switch (operator) {
        case "In":
          return actual !== undefined && values.includes(actual);
        case "NotIn":
          return actual === undefined || !values.includes(actual);
        case "Exists":
          return actual !== undefined;
        case "DoesNotExist":
          return actual === undefined;
        default:
          return unreachable(operator);
      }
    })
  );
}

/** How one cluster policy fares in one namespace that it selects. */
export interface Standing {
  readonly name: string;
  readonly applies: boolean;
  /** Policies that apply instead, each with the class for which it does; "" = every class. */
  readonly shadowedBy: readonly { readonly name: string; readonly className: string }[];
}

/**
 * How each of the policies that select a namespace fares there, the same whichever installation asks: a policy of one class is compared with those
 * of its class and those of all; one of all classes with its like, and with what each class named by a policy obeys instead.
 *
 * @param selecting those that select it, sorted by `byRank`
 */
export function standingsOf(selecting: readonly ClusterCandidate[]): Standing[] {
  const firstOf = new Map<string, ClusterCandidate>();
  for (const className of new Set(["", ...selecting.map(classOf)])) {
    const first = selecting.find((candidate) => isFor(candidate, className));
    if (first !== undefined) firstOf.set(className, first);
  }
  return selecting.map((candidate) => {
    const own = classOf(candidate);
    const places = own === "" ? [...firstOf] : [...firstOf].filter(([className]) => className === own);
    const shadowedBy = places
      .filter(([className, first]) => first !== candidate && (className === "" || classOf(first) !== "" || own !== ""))
      .map(([, first]) => ({ name: first.policy.name, className: classOf(first) }));
    return { name: candidate.policy.name, applies: firstOf.get(own) === candidate, shadowedBy };
  });
}

function classOf({ policy }: ClusterCandidate): string {
  return policy.className ?? "";
}
