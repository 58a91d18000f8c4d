import type { PolicyLimits } from "../../core/policy.ts";
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

/** A restored route that knows where it leads, under the policies of now. */
export function aimedRoute(route: Route, { effective, target }: ActiveSpec): Route {
  const { policy, egress, limits } = effective;
  return { ...route, subscription: { ...route.subscription, policy, egress, ...limitsOf(limits), blocked: undefined, target } };
}

/** What of a cluster policy's limits is obeyed beside the policy itself. */
function limitsOf({ fanOut, rateLimit, maxInFlight }: PolicyLimits): Pick<Subscription, "fanOutMax" | "ceilings"> {
  return { fanOutMax: fanOut, ceilings: { rateLimit, maxInFlight } };
}
