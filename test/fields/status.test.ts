import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { SubscriptionHealth } from "../../src/core/health.ts";
import { FileOperator } from "../support/controller/file-operator.ts";
import { crdLeaves } from "../support/fields/crd-leaves.ts";
import { subscription } from "../support/fields/field-rig.ts";

/** A kind that this version refuses as a whole. */
const REFUSED_KIND = "DeliveryReplay";
const at = (minute: number): number => Date.UTC(2026, 0, 2, 3, minute);
const iso = (minute: number): string => new Date(at(minute)).toISOString().replace(".000", "");

/** Every number its own, so that no field can pass for another. */
const HEALTH: SubscriptionHealth = {
  sinceMs: at(1),
  accepted: 101,
  delivered: 102,
  retried: 103,
  failed: 104,
  deadLettered: 105,
  pending: 106,
  oldestPendingAtMs: at(2),
  consecutiveFailures: 107,
  nextAttemptAtMs: at(3),
  lastSuccessAtMs: at(4),
  lastFailureAtMs: at(5),
  lastAttempt: {
    atMs: at(6),
    eventId: "event-1",
    eventType: "order.paid",
    attempt: 7,
    statusCode: 503,
    durationMs: 108,
    outcome: "server_error",
  },
  recentFailures: [
    {
      atMs: at(7),
      eventId: "event-2",
      eventType: "order.lost",
      attempt: 8,
      statusCode: 429,
      durationMs: 109,
      reason: "client_error",
      message: "too many",
    },
  ],
  endpoint: { healthy: false, reason: "HighFailureRate", message: "it fails" },
  suspension: undefined,
  keysWithoutValue: [{ field: "history.recordIDField", path: "data.oder", events: 110, sinceMs: at(8) }],
};

/** What each field of a subscription's status must say then. */
const SUBSCRIPTION: Readonly<Record<string, unknown>> = {
  "status.observedGeneration": 1,
  "status.conditions[].type": "Ready",
  "status.conditions[].status": "True",
  "status.conditions[].observedGeneration": 1,
  "status.conditions[].lastTransitionTime": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  "status.conditions[].reason": expect.stringMatching(/^[A-Z][A-Za-z]+$/),
  "status.conditions[].message": expect.stringMatching(/./),
  "status.endpointHost": "hooks.example.com",
  "status.signingSecretName": "orders-signing",
  "status.signingKeys[].secretName": "orders-signing",
  "status.signingKeys[].fingerprint": expect.stringMatching(/^[0-9a-f]{16}$/),
  "status.signingKeys[].publicKey": expect.stringMatching(/^whpk_[A-Za-z0-9+/]{43}=$/),
  "status.lastHandledResume": "once",
  "status.effectivePolicy.kind": "DeliveryPolicy",
  "status.effectivePolicy.name": "careful",
  "status.effectivePolicy.generation": 1,
  "status.effectivePolicy.clamped[]": "maxInFlight",
  "status.effectivePolicy.cluster.name": "cluster",
  "status.effectivePolicy.cluster.generation": 1,
  "status.effectivePolicy.values.timeout": "15s",
  "status.effectivePolicy.values.connectTimeout": "1s500ms",
  "status.effectivePolicy.values.maxAttempts": 10,
  "status.effectivePolicy.values.maxAge": "96h",
  "status.effectivePolicy.values.maxInFlight": 5,
  "status.effectivePolicy.values.rateLimit.requests": 7,
  "status.effectivePolicy.values.rateLimit.per": "1m30s",
  "status.effectivePolicy.values.rateLimit.burst": 9,
  "status.effectivePolicy.values.retention.history": "72h",
  "status.effectivePolicy.values.retention.bodies": "36h",
  "status.effectivePolicy.values.retention.responseBytes": 4_096,
  "status.delivery.since": iso(1),
  "status.delivery.accepted": 101,
  "status.delivery.delivered": 102,
  "status.delivery.retried": 103,
  "status.delivery.failed": 104,
  "status.delivery.deadLettered": 105,
  "status.delivery.pending": 106,
  "status.delivery.oldestPendingTime": iso(2),
  "status.delivery.consecutiveFailures": 107,
  "status.delivery.nextAttemptTime": iso(3),
  "status.delivery.lastSuccessTime": iso(4),
  "status.delivery.lastFailureTime": iso(5),
  "status.delivery.lastAttempt.time": iso(6),
  "status.delivery.lastAttempt.eventID": "event-1",
  "status.delivery.lastAttempt.eventType": "order.paid",
  "status.delivery.lastAttempt.attempt": 7,
  "status.delivery.lastAttempt.statusCode": 503,
  "status.delivery.lastAttempt.durationMs": 108,
  "status.delivery.lastAttempt.outcome": "ServerError",
  "status.recentFailures[].time": iso(7),
  "status.recentFailures[].eventID": "event-2",
  "status.recentFailures[].eventType": "order.lost",
  "status.recentFailures[].attempt": 8,
  "status.recentFailures[].statusCode": 429,
  "status.recentFailures[].durationMs": 109,
  "status.recentFailures[].reason": "ClientError",
  "status.recentFailures[].message": "too many",
  "status.recentFilterErrors.count": 2,
  "status.recentFilterErrors.since": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  "status.recentFilterErrors.lastTime": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  "status.recentFilterErrors.message": "no such overload",
  "status.keysWithoutValue[].field": "history.recordIDField",
  "status.keysWithoutValue[].path": "data.oder",
  "status.keysWithoutValue[].events": 110,
  "status.keysWithoutValue[].since": iso(8),
};

/** What each field of a policy's status must say. */
const POLICY: Readonly<Record<string, unknown>> = {
  "status.observedGeneration": 1,
  "status.conditions[].type": "Accepted",
  "status.conditions[].status": "True",
  "status.conditions[].observedGeneration": 1,
  "status.conditions[].lastTransitionTime": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  "status.conditions[].reason": "Accepted",
  "status.conditions[].message": expect.stringMatching(/./),
};

const EXPECTED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  WebhookSubscription: SUBSCRIPTION,
  DeliveryPolicy: POLICY,
  ClusterDeliveryPolicy: { ...POLICY, "status.namespaces": 1 },
};

const NAMES = { WebhookSubscription: "orders", DeliveryPolicy: "careful", ClusterDeliveryPolicy: "cluster" } as const;

describe("the fields of status", () => {
  let operator: FileOperator;
  const statusOf = (kind: keyof typeof NAMES): unknown => {
    const namespace = kind === "ClusterDeliveryPolicy" ? "" : "shop";
    return operator.provider.statusOf({ kind, namespace, name: NAMES[kind] });
  };

  beforeAll(async () => {
    const apiVersion = "postrider.dev/v1alpha1";
    const orders = subscription("orders", {
      endpoint: { url: "https://hooks.example.com/in" },
      signing: { scheme: "StandardWebhooksEd25519" },
      policyRef: { name: "careful" },
    });
    const resumed = { ...orders, metadata: { name: "orders", namespace: "shop", annotations: { "postrider.dev/resume": "once" } } };
    const rules = {
      maxInFlight: 500,
      connectTimeout: "1500ms",
      rateLimit: { requests: 7, per: "90s", burst: 9 },
      retention: { bodies: "36h" },
    };
    const careful = { apiVersion, kind: "DeliveryPolicy", metadata: { name: "careful", namespace: "shop" }, spec: rules };
    const cluster = { apiVersion, kind: "ClusterDeliveryPolicy", metadata: { name: "cluster" }, spec: { limits: { maxInFlight: 5 } } };
    operator = await FileOperator.start({ "all.yaml": [resumed, careful, cluster].map((object) => stringify(object)).join("---\n") });
    await operator.until(() => operator.route("orders")?.subscription.target !== undefined);
    const uid = operator.route("orders")?.subscription.uid ?? "";
    operator.deliveries.healths.set(uid, HEALTH);
    const failed = { namespace: "shop", name: "orders", spec: { filter: undefined } };
    for (const message of ["another one", "no such overload"]) operator.controller.filterFailed(failed, message);
    operator.deliveries.tell(uid, "transition");
    await operator.until(() => operator.status("orders")?.delivery?.accepted === HEALTH.accepted);
    await operator.until(() => (["DeliveryPolicy", "ClusterDeliveryPolicy"] as const).every((kind) => statusOf(kind) !== undefined));
  });
  afterAll(() => operator?.end());

  it("are each looked at here", () => {
    const listed = Object.entries(EXPECTED).flatMap(([kind, fields]) => Object.keys(fields).map((field) => `${kind} ${field}`));
    const leaves = crdLeaves("status").filter(([kind]) => kind !== REFUSED_KIND);
    expect(listed.sort()).toEqual(leaves.map(([kind, field]) => `${kind} ${field}`).sort());
  });

  it.each(
    Object.entries(EXPECTED).flatMap(([kind, fields]) => Object.entries(fields).map(([field, value]) => [kind, field, value] as const)),
  )("%s %s says what is", (kind, field, value) => {
    expect(valueAt({ status: statusOf(kind as keyof typeof NAMES) }, field)).toEqual(value);
  });
});

/** What stands at a path; of a list its first entry. */
function valueAt(object: unknown, path: string): unknown {
  return path.split(/\.|(?=\[\])/).reduce<unknown>((node, step) => (node as Record<string, unknown>)?.[step === "[]" ? 0 : step], object);
}
