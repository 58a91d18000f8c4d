/** Manifests of tests. A spec is said in lines of YAML as an operator would write them, so that a test shows what it is about and nothing else. */

const API_VERSION = "postrider.dev/v1alpha1";
/** Receivers of tests listen on loopback, without TLS. */
const LOOPBACK = 'egress: {allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true}';

/** One file with all of these objects. */
export function manifestFile(...objects: readonly string[]): string {
  return objects.join("---\n");
}

/** A cluster policy; see `loopbackPolicy` for receivers on this machine. */
export function clusterPolicy(...spec: readonly string[]): string {
  return customResource("ClusterDeliveryPolicy", "name: here", spec);
}

/** The cluster policy under which receivers of this machine are reached. */
export function loopbackPolicy(...more: readonly string[]): string {
  return clusterPolicy(LOOPBACK, ...more);
}

/** The policy of a namespace for all of its subscriptions that name none. */
export function defaultPolicy(namespace: string, ...spec: readonly string[]): string {
  return customResource("DeliveryPolicy", `name: usual, namespace: ${namespace}, labels: {postrider.dev/default: "true"}`, spec);
}

/** A policy that the subscriptions of its namespace name. */
export function namedPolicy(namespace: string, name: string, ...spec: readonly string[]): string {
  return customResource("DeliveryPolicy", `name: ${name}, namespace: ${namespace}`, spec);
}

export interface SubscriptionManifest {
  readonly name: string;
  /** Default: shop. */
  readonly namespace?: string;
  /** Default: `order.*`. */
  readonly types?: readonly string[];
  /** CEL. */
  readonly filter?: string;
  readonly url?: string;
  /** Instead of `url`: the endpoint as a YAML flow mapping. */
  readonly endpoint?: string;
  /** As a YAML flow mapping; `{}` = a generated key. Default: nothing is signed. */
  readonly signing?: string;
  /** Further lines of the spec. */
  readonly more?: readonly string[];
}

export function subscription(manifest: SubscriptionManifest): string {
  const { name, namespace = "shop", types = ["order.*"], filter, signing = "{scheme: None}", more = [] } = manifest;
  const events = filter === undefined ? { types } : { types, filter };
  const endpoint = manifest.endpoint ?? JSON.stringify({ url: manifest.url });
  return customResource("WebhookSubscription", `name: ${name}, namespace: ${namespace}`, [
    `events: ${JSON.stringify(events)}`,
    `endpoint: ${endpoint}`,
    `signing: ${signing}`,
    ...more,
  ]);
}

export function namespace(name: string): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}}\n`;
}

/** What a Secret's label lets Postrider use it for. */
export type SecretUse = "use" | "ingest-token" | "api-token";

/** A Secret with its labels `postrider.dev/<use>: "true"`. */
export function secret(
  namespace: string,
  name: string,
  uses: SecretUse | readonly SecretUse[],
  values: Readonly<Record<string, string>>,
): string {
  const labels = Object.fromEntries([uses].flat().map((use) => [`postrider.dev/${use}`, "true"]));
  return `apiVersion: v1
kind: Secret
metadata: ${JSON.stringify({ name, namespace, labels })}
stringData: ${JSON.stringify(values)}
`;
}

export interface ShopManifests {
  /** Of the one subscription. */
  readonly name: string;
  /** Where the receiver listens on loopback. */
  readonly port: number;
  readonly secret: string;
  readonly retryMs: number;
  /** Further lines of the policy's spec, like "timeout: 5s". */
  readonly policy?: readonly string[];
  /** Further lines of the subscription's spec. */
  readonly more?: readonly string[];
}

/** One namespace, one key, one policy that retries at a steady pace, and one signed subscription to `order.*`. */
export function shopManifests({ name, port, secret: key, retryMs, policy = [], more = [] }: ShopManifests): string {
  const retry = `retry: {maxAttempts: 20, backoff: {policy: Constant, initialDelay: ${retryMs}ms, maxDelay: ${retryMs}ms}}`;
  return manifestFile(
    loopbackPolicy(),
    secret("shop", "key", "use", { secret: key }),
    defaultPolicy("shop", ...policy, retry),
    subscription({ name, url: `http://127.0.0.1:${port}/hooks`, signing: "{secretRefs: [{name: key, key: secret}]}", more }),
  );
}

/** A subscription of namespace `shop` in block style: for tests of the file itself, which edit its text. */
export function subscriptionYaml(name: string, spec: string, metadata = ""): string {
  return `apiVersion: postrider.dev/v1alpha1
kind: WebhookSubscription
metadata:
  name: ${name}
  namespace: shop
${metadata}spec:
${spec}
`;
}

/** A spec for `subscriptionYaml`. */
export const SPEC = `  events: {types: [order.paid]}
  endpoint: {url: "https://example.com/hooks"}`;

/** @param metadata flow entries like `name: a, namespace: b` */
function customResource(kind: string, metadata: string, spec: readonly string[]): string {
  return `apiVersion: ${API_VERSION}
kind: ${kind}
metadata: {${metadata}}
spec:
${spec.map((line) => `  ${line}\n`).join("")}`;
}
