export interface ShopManifests {
  /** Of the one subscription. */
  readonly name: string;
  /** Where the receiver listens on loopback. */
  readonly port: number;
  readonly secret: string;
  readonly retryMs: number;
  /** Further lines of the policy's spec, like "timeout: 5s". */
  readonly policy?: readonly string[];
}

/** One namespace, one key, one policy that retries at a steady pace, and one subscription to `order.*`; its spec may be continued by the test. */
export function shopManifests({ name, port, secret, retryMs, policy = [] }: ShopManifests): string {
  const retry = `retry: {maxAttempts: 20, backoff: {policy: Constant, initialDelay: ${retryMs}ms, maxDelay: ${retryMs}ms}}`;
  return `apiVersion: postrider.dev/v1alpha1
kind: ClusterDeliveryPolicy
metadata: {name: here}
spec: {egress: {allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true}}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop, labels: {postrider.dev/use: "true"}}
stringData: {secret: ${secret}}
---
apiVersion: postrider.dev/v1alpha1
kind: DeliveryPolicy
metadata: {name: quick, namespace: shop, labels: {postrider.dev/default: "true"}}
spec:
${[...policy, retry].map((line) => `  ${line}\n`).join("")}---
apiVersion: postrider.dev/v1alpha1
kind: WebhookSubscription
metadata: {name: ${name}, namespace: shop}
spec:
  events: {types: ["order.*"]}
  endpoint: {url: "http://127.0.0.1:${port}/hooks"}
  signing: {secretRefs: [{name: key, key: secret}]}
`;
}
