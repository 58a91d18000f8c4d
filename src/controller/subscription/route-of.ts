import { isDeepStrictEqual } from "node:util";
import type { PolicyLimits } from "../../core/policy.ts";
import type { Reason } from "../../core/reasons.ts";
import type { Route } from "../../core/route-table.ts";
import type { Blocked, Subscription, SubscriptionName } from "../../core/subscription.ts";
import type { AcceptedSpec } from "./accepted-specs.ts";
import { bodyOf, filterOf } from "./checks.ts";
import type { ActiveSpec } from "./checks.ts";
import type { ExpressionCache } from "./expression-cache.ts";

/** The route of a spec that is obeyed. */
export function routeOf(
  { uid, namespace, name }: SubscriptionName & { readonly uid: string },
  active: ActiveSpec,
  draining: boolean,
): Route {
  const { spec, generation, effective, filter, body, target } = active;
  const blocked = active.blocked && { reason: active.blocked.reason, message: active.blocked.message };
  const { policy, egress, limits } = effective;
  return {
    subscription: { uid, namespace, name, generation, spec, policy, egress, ...limitsOf(limits), blocked, target },
    filter,
    body,
    draining,
  };
}

/** The route of a spec that the store gave back: events match as they did, and wait until the manifests have been read. */
export function restoredRoute(accepted: AcceptedSpec, expressions: ExpressionCache): Route {
  const { uid, namespace, name, generation, spec, policy, egress, fanOutMax, leavingSinceMs } = accepted;
  const blocked: Blocked = { reason: "Starting", message: "the manifests are being read" };
  const limits = fanOutMax === undefined ? {} : { fanOutMax };
  return {
    subscription: { uid, namespace, name, generation, spec, policy, egress, ...limits, blocked, target: undefined },
    filter: spec.filter === undefined ? undefined : filterOf(spec.filter, expressions),
    body: spec.payload.body === undefined ? undefined : bodyOf(spec.payload.body, expressions),
    draining: leavingSinceMs !== undefined,
  };
}

/**
 * What may be missing while a subscription drains: it was deleted together with the subscription, in whatever order, or cannot be read now. What was
 * taken back on purpose is not among them (a label, a permission, an egress rule), nor is a Service: its address may be another's by now.
 */
const GONE_TOO: ReadonlySet<Reason> = new Set<Reason>([
  "SecretNotFound",
  "SecretKeyNotFound",
  "SecretInvalid",
  "SecretConflict",
  "SecretUnknown",
  "RefUnknown",
  "ServiceAccountNotFound",
  "ConfigMapNotFound",
  "ConfigMapKeyNotFound",
  "ConfigMapInvalid",
  "PolicyNotFound",
  "PolicyNotAccepted",
]);

/** Whether it cannot be read at the moment: it may be there a second later. */
export function isUnknownNow(reason: Reason | undefined): boolean {
  return reason === "SecretUnknown" || reason === "RefUnknown";
}

/** Whether a route that leads nowhere for this reason may go on leading where it led. */
export function isGoneToo(reason: Reason | undefined): boolean {
  return reason !== undefined && GONE_TOO.has(reason);
}

/**
 * The route of a subscription that is deleted: it keeps the target that it had (`before`), keys and credentials included, where those are gone. It
 * obeys the spec and the egress rules of now all the same, and leads nowhere where they want another place or another proxy.
 */
export function drainingRoute(before: Route | undefined, now: Route): Route {
  const [old, { blocked, egress, ceilings, spec }] = [before?.subscription, now.subscription];
  if (old?.target === undefined || !isGoneToo(blocked?.reason)) return now;
  if (!isDeepStrictEqual(old.spec, spec) || !isDeepStrictEqual(old.egress.proxySecretRef, egress.proxySecretRef)) return now;
  return { ...now, subscription: { ...old, egress, ...(ceilings === undefined ? {} : { ceilings }) } };
}

/** A restored route that knows where it leads, under the policies of now. */
export function aimedRoute(route: Route, { effective, target }: ActiveSpec): Route {
  const { policy, egress, limits } = effective;
  return { ...route, subscription: { ...route.subscription, policy, egress, ...limitsOf(limits), blocked: undefined, target } };
}

/** What of a cluster policy's limits is obeyed beside the policy itself. */
function limitsOf({ fanOut, rateLimit, maxInFlight }: PolicyLimits): Pick<Subscription, "fanOutMax" | "ceilings"> {
  return { fanOutMax: fanOut, ceilings: { rateLimit, maxInFlight } };
}
