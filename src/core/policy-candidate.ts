import type { ClusterPolicy, NamespacePolicy } from "./policy.ts";
import type { Problem } from "./problem.ts";

/** A policy object that may or may not be obeyed: one that is not accepted still wins its place, so that no subscription falls under another. */
export type Candidate<T> =
  | { readonly accepted: true; readonly policy: T }
  | {
      readonly accepted: false;
      readonly policy: Pick<T & { name: string }, "name"> & Partial<T>;
      readonly refusal: Problem;
    };

export type NamespaceCandidate = Candidate<NamespacePolicy>;
export type ClusterCandidate = Candidate<ClusterPolicy>;
