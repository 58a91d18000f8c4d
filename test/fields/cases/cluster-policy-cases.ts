import { casesOf } from "../../support/fields/field-case.ts";
import type { FieldCase } from "../../support/fields/field-case.ts";
import { subscription } from "../../support/fields/field-rig.ts";
import type { FieldRig } from "../../support/fields/field-rig.ts";

type ClusterCase = Omit<FieldCase, "kind">;

/** What the policy in force says, which its own cases show to be obeyed. */
const policy = (rig: FieldRig): NonNullable<FieldRig["route"]>["subscription"]["policy"] | undefined => rig.route?.subscription.policy;
const clamped = async (rig: FieldRig): Promise<readonly string[]> => (await rig.status()).effectivePolicy?.clamped ?? [];
const acceptance = (rig: FieldRig): Promise<string | undefined> => rig.reason("Accepted");
const chosen = async (rig: FieldRig): Promise<string | undefined> => (await rig.status()).effectivePolicy?.cluster?.name;

/** Another installation of names on loopback: whatever is asked, 127.0.0.1. */
const LOOPBACK = { resolve: async () => ["127.0.0.1"] };
/** A selector that does not select the namespace `shop` (label team=shop). */
const SELECTS = { "spec.namespaceSelector.matchExpressions": [{ key: "team", operator: "In", values: ["shop"] }] };

const SELECTOR: readonly ClusterCase[] = [
  {
    field: "spec.namespaceSelector.matchLabels{}",
    value: { team: "other" },
    without: "spec.namespaceSelector",
    observe: chosen,
    shows: undefined,
  },
  {
    field: "spec.namespaceSelector.matchExpressions[].key",
    value: "absent",
    instead: "team",
    beside: SELECTS,
    observe: chosen,
    shows: undefined,
  },
  {
    field: "spec.namespaceSelector.matchExpressions[].operator",
    value: "NotIn",
    instead: "In",
    beside: SELECTS,
    observe: chosen,
    shows: undefined,
  },
  {
    field: "spec.namespaceSelector.matchExpressions[].values[]",
    value: "other",
    instead: "shop",
    beside: SELECTS,
    observe: chosen,
    shows: undefined,
  },
];

/** Two policies for the namespace; without priorities the first by name applies. */
const OTHER = { apiVersion: "postrider.dev/v1alpha1", kind: "ClusterDeliveryPolicy", metadata: { name: "before" }, spec: { priority: 5 } };

const CHOICE: readonly ClusterCase[] = [
  { field: "spec.className", value: "blue", observe: chosen, shows: undefined },
  { field: "spec.priority", value: 6, extra: [OTHER], observe: chosen, shows: "cluster" },
];

/** A policy that asks for much, so that every ceiling lowers it; timeout x maxInFlight as much as the built-in ceiling lets. */
const GREEDY = {
  DeliveryPolicy: {
    "spec.timeout": "1m",
    "spec.maxInFlight": 32,
    "spec.rateLimit": { requests: 1_000, per: "1s", burst: 1_000 },
    "spec.retry": { maxAttempts: 50, maxAge: "700h" },
    "spec.retention": { history: "700h", bodies: "700h", responseBytes: 60_000 },
  },
  WebhookSubscription: { "spec.policyRef.name": "careful" },
} as const;

const LIMITS: readonly ClusterCase[] = [
  {
    field: "spec.limits.urlLength",
    value: 20,
    observe: acceptance,
    shows: "InvalidEndpoint",
  },
  {
    field: "spec.limits.fanOut",
    value: 1,
    extra: [subscription("second")],
    observe: async (rig) => (await rig.ingest()).status,
    shows: 422,
  },
  {
    field: "spec.limits.storage",
    value: "1Mi",
    observe: (rig) => rig.filled(6),
    shows: 429,
  },
  {
    field: "spec.limits.timeout",
    value: "3s",
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.timeoutMs, await clamped(rig)],
    shows: [3_000, ["timeout"]],
  },
  {
    field: "spec.limits.maxInFlight",
    value: 7,
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.maxInFlight, await clamped(rig)],
    shows: [7, ["maxInFlight"]],
  },
  {
    field: "spec.limits.rateLimit.requests",
    value: 5,
    instead: 6,
    beside: { "spec.limits.rateLimit": { per: "1s" } },
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.rateLimit?.requests, await clamped(rig)],
    shows: [5, ["rateLimit"]],
  },
  {
    field: "spec.limits.rateLimit.per",
    value: "1m",
    beside: { "spec.limits.rateLimit": { requests: 5 } },
    around: GREEDY,
    observe: (rig) => policy(rig)?.rateLimit,
    shows: { requests: 5, perMs: 60_000, burst: 5 },
  },
  {
    field: "spec.limits.rateLimit.burst",
    value: 2,
    beside: { "spec.limits.rateLimit": { requests: 5 } },
    around: GREEDY,
    observe: (rig) => policy(rig)?.rateLimit?.burst,
    shows: 2,
  },
  {
    field: "spec.limits.maxAttempts",
    value: 4,
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.retry.maxAttempts, await clamped(rig)],
    shows: [4, ["retry.maxAttempts"]],
  },
  {
    field: "spec.limits.maxAge",
    value: "1h",
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.retry.maxAgeMs, await clamped(rig)],
    shows: [3_600_000, ["retry.maxAge"]],
  },
  {
    field: "spec.limits.retention.history",
    value: "2h",
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.retention.historyMs, await clamped(rig)],
    shows: [7_200_000, ["retention.history"]],
  },
  {
    field: "spec.limits.retention.bodies",
    value: "1h",
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.retention.bodiesMs, await clamped(rig)],
    shows: [3_600_000, ["retention.bodies"]],
  },
  {
    field: "spec.limits.retention.responseBytes",
    value: 100,
    around: GREEDY,
    observe: async (rig) => [policy(rig)?.retention.responseBytes, await clamped(rig)],
    shows: [100, ["retention.responseBytes"]],
  },
];

const EGRESS: readonly ClusterCase[] = [
  {
    field: "spec.egress.allowedHosts[]",
    value: "hooks.example.com",
    without: "spec.egress.allowedHosts",
    observe: acceptance,
    shows: "EgressDenied",
  },
  {
    field: "spec.egress.allowedCIDRs[]",
    value: "127.0.0.0/8",
    without: "spec.egress.allowedCIDRs",
    observe: async (rig) => (rig.route === undefined ? acceptance(rig) : (await rig.send()).outcome.class),
    shows: "success",
  },
  {
    field: "spec.egress.deniedCIDRs[]",
    value: "127.0.0.0/16",
    without: "spec.egress.deniedCIDRs",
    around: { WebhookSubscription: { "spec.endpoint.url": "https://innocent.example.com/" } },
    observe: async (rig) => (await rig.send({}, LOOPBACK)).outcome.connectionStatus,
    shows: "EGRESS_DENIED",
  },
  { field: "spec.egress.allowPlainHTTP", value: true, instead: false, observe: acceptance, shows: "Accepted" },
  { field: "spec.egress.ports[]", value: "443", without: "spec.egress.ports", observe: acceptance, shows: "EgressDenied" },
];

const TO_SERVICE = { "spec.endpoint": { serviceRef: { name: "svc", port: 80 } } };
const SERVICE = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "svc", namespace: "shop" },
  spec: { type: "ClusterIP", clusterIP: "10.43.0.10", selector: { app: "svc" }, ports: [{ port: 80, protocol: "TCP" }] },
};
const proxySecret = (name: string, stringData: object): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "postrider-system", labels: { "postrider.dev/use": "true" } },
  stringData,
});
const PROXIES = [
  proxySecret("proxy", { url: "http://one.example.com:3128", other: "http://two.example.com:3128" }),
  proxySecret("other", { url: "http://three.example.com:3128" }),
];
const PROXY = { "spec.egress.proxySecretRef": { name: "proxy", key: "url" } };
const proxy = (rig: FieldRig): string | undefined => rig.route?.subscription.target?.proxy?.url;

const INSIDE: readonly ClusterCase[] = [
  {
    field: "spec.egress.services",
    value: "None",
    instead: "SameNamespace",
    around: { WebhookSubscription: TO_SERVICE },
    extra: [SERVICE],
    observe: (rig) => rig.route?.subscription.target?.dial?.address,
    shows: undefined,
  },
  {
    field: "spec.egress.proxySecretRef.name",
    value: "other",
    instead: "proxy",
    beside: PROXY,
    extra: PROXIES,
    observe: proxy,
    shows: "http://three.example.com:3128",
  },
  {
    field: "spec.egress.proxySecretRef.key",
    value: "other",
    instead: "url",
    beside: PROXY,
    extra: PROXIES,
    observe: proxy,
    shows: "http://two.example.com:3128",
  },
];

/** Fields that only a ClusterDeliveryPolicy has. */
export const CLUSTER_POLICY_CASES: readonly FieldCase[] = casesOf("ClusterDeliveryPolicy", [
  ...SELECTOR,
  ...CHOICE,
  ...LIMITS,
  ...EGRESS,
  ...INSIDE,
]);
