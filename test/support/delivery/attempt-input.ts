import type { Event } from "../../../src/core/event.ts";
import { BUILT_IN_EGRESS, BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import type { EgressPolicy, Policy } from "../../../src/core/policy.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { parseKey } from "../../../src/core/signing/sign.ts";
import type { SigningKey } from "../../../src/core/signing/style.ts";
import type { SubscriptionSpec, Target } from "../../../src/core/subscription.ts";
import { routeFor, specOf, targetAt, UNSIGNED } from "../routes.ts";

export const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr";

/** Plain http to loopback, as tests and the demo need it. */
export const LOOPBACK_EGRESS: EgressPolicy = { ...BUILT_IN_EGRESS, allowedCidrs: ["127.0.0.0/8"], allowedHosts: [], allowPlainHttp: true };

export function anEvent(change: Partial<Event> = {}): Event {
  return {
    id: "0199c0de-0000-7000-8000-000000000001",
    namespace: "shop",
    sourceId: "order-1",
    source: "/orders",
    type: "order.paid",
    subject: "42",
    time: "2026-01-02T03:04:05Z",
    dataContentType: "application/json",
    dataKind: "json",
    data: Buffer.from('{"id":42,"price":10.50,"note":"\\u00e4"}'),
    extensions: {},
    receivedAtMs: Date.UTC(2026, 0, 2, 3, 4, 6),
    ...change,
  };
}

export interface RouteChange {
  readonly url: string;
  readonly uid?: string;
  readonly egress?: EgressPolicy;
  readonly policy?: Partial<Policy>;
  readonly spec?: Partial<SubscriptionSpec>;
  readonly target?: Partial<Target>;
  readonly route?: Partial<Route>;
}

export function aRoute(change: RouteChange): Route {
  const spec = specOf(change.url, { signing: { ...UNSIGNED, scheme: "StandardWebhooks" }, ...change.spec });
  return routeFor(
    {
      namespace: "shop",
      name: "orders",
      uid: change.uid ?? "uid-1",
      spec,
      policy: { ...BUILT_IN_POLICY, timeoutMs: 2_000, connectTimeoutMs: 1_000, ...change.policy },
      egress: change.egress ?? LOOPBACK_EGRESS,
      target: { ...targetAt(change.url), keys: [aKey()], ...change.target },
    },
    change.route,
  );
}

export function aKey(secret = WHSEC): SigningKey {
  const parsed = parseKey("StandardWebhooks", Buffer.from(secret));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.key;
}
