import { BUILT_IN_EGRESS, BUILT_IN_POLICY } from "../../src/core/policy.ts";
import type { Route } from "../../src/core/route-table.ts";
import type { EndpointSpec, SigningSpec, Subscription, SubscriptionName, SubscriptionSpec, Target } from "../../src/core/subscription.ts";

export const UNSIGNED: SigningSpec = { scheme: "None", secretRefs: [], hmac: undefined, token: undefined };

export function endpointAt(url: string): EndpointSpec {
  return { address: { kind: "url", url }, headers: [], auth: undefined };
}

export function targetAt(url: string): Target {
  return { url, headers: [], authorization: undefined, keys: [] };
}

/** Takes every event and signs nothing; a test says what it is about. */
export function specOf(url: string, change: Partial<SubscriptionSpec> = {}): SubscriptionSpec {
  return {
    className: "postrider",
    suspend: false,
    types: ["*"],
    filter: undefined,
    endpoint: endpointAt(url),
    payload: { format: "StandardWebhooks", formParameter: "payload", body: undefined },
    signing: UNSIGNED,
    policyName: undefined,
    history: { captureResponse: true, answerInResults: false, recordIdField: undefined },
    deletionPolicy: "Drain",
    ...change,
  };
}

/** The route of a subscription under the built-in policy; it has no target unless the test gives one. */
export function routeFor(
  subscription: SubscriptionName & Pick<Subscription, "uid" | "spec"> & Partial<Subscription>,
  change: Partial<Route> = {},
): Route {
  return {
    subscription: {
      generation: 1,
      policy: BUILT_IN_POLICY,
      egress: BUILT_IN_EGRESS,
      blocked: undefined,
      target: undefined,
      ...subscription,
    },
    filter: undefined,
    body: undefined,
    draining: false,
    ...change,
  };
}
