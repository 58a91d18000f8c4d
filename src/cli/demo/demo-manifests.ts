/** Ports of the demo's receivers on 127.0.0.1. */
export interface DemoPorts {
  readonly healthy: number;
  readonly flaky: number;
  readonly dead: number;
}

export const DEMO_NAMESPACE = "demo";

/** What a platform team and a product team would have in Git; `secret` is the signing key. */
export function demoManifests(ports: DemoPorts, secret: string): string {
  const subscription = (name: string, types: string, port: number): string => `---
apiVersion: postrider.dev/v1alpha1
kind: WebhookSubscription
metadata:
  name: ${name}
  namespace: ${DEMO_NAMESPACE}
spec:
  events:
    types:
${types}
  endpoint:
    url: http://127.0.0.1:${port}/hooks
  signing:
    secretRefs:
      - name: signing
        key: secret
  policyRef:
    name: impatient
`;
  return `# The platform team sets this once: receivers on this machine are allowed, over plain HTTP.
apiVersion: postrider.dev/v1alpha1
kind: ClusterDeliveryPolicy
metadata:
  name: this-machine
spec:
  egress:
    allowedCIDRs:
      - 127.0.0.0/8
    allowPlainHTTP: true
---
apiVersion: v1
kind: Namespace
metadata:
  name: ${DEMO_NAMESPACE}
---
apiVersion: postrider.dev/v1alpha1
kind: DeliveryPolicy
metadata:
  name: impatient
  namespace: ${DEMO_NAMESPACE}
spec:
  timeout: 3s
  retry:
    maxAttempts: 8
    backoff:
      policy: Exponential
      initialDelay: 500ms
      maxDelay: 8s
---
apiVersion: v1
kind: Secret
metadata:
  name: signing
  namespace: ${DEMO_NAMESPACE}
  labels:
    postrider.dev/use: "true"
type: Opaque
stringData:
  secret: ${secret}
${subscription("healthy", '      - "order.*"', ports.healthy)}${subscription("flaky", "      - order.paid", ports.flaky)}${subscription("dead", "      - order.paid", ports.dead)}`;
}
