import type { BadManifest, GoodManifest } from "./manifest-case.ts";
import { badClusterPolicies, badPolicies, goodPolicies } from "./policy-cases.ts";
import { badReplays, goodReplays } from "./replay-cases.ts";
import { badSubscriptions, goodSubscriptions } from "./subscription-cases.ts";

/** Manifests of all four kinds that must be refused, each with the field and part of the message. */
export const badManifests: readonly BadManifest[] = [...badSubscriptions, ...badPolicies, ...badClusterPolicies, ...badReplays];

/** Manifests of all four kinds that must be accepted. */
export const goodManifests: readonly GoodManifest[] = [...goodSubscriptions, ...goodPolicies, ...goodReplays];
