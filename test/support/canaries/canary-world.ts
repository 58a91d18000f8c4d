import { PAIR_ONE } from "../fields/key-pairs.ts";

/** Values that may stand in Secrets and on the wire, and nowhere else. */
export const CANARIES = {
  urlPath: "canarypathT0B1C2d3e4f5",
  query: "canaryquery7f3a9c",
  header: "canaryheader2b8d41",
  harmlessHeader: "canaryrequestid99ab01",
  bearer: "canarybearer90e6aa",
  basicUser: "canaryuser55d0c1",
  basicPassword: "canarypass/9f1c+2ab7 x",
  clientSecret: "canaryclientsecret/81+be",
  fetchedToken: "canaryfetchedtoken4c77d2",
  refusedSecret: "canaryrefusedsecret03fa",
  tokenQuery: "canarytokenquery6612",
  signing: "Y2FuYXJ5c2lnbmluZ2tleWM1ZTQzM2NhbmFyeQ==",
  messageKey: "Y2FuYXJ5bWVzc2FnZWtleTkxMjJjYWZlY2FuYXJ5",
  bodyTokenKey: "canarybodytokenkey77e1",
  clientKey: PAIR_ONE.key.split("\n")[1] ?? "",
  deadBearer: "canarydeadbearer40c9",
  deadQuery: "canarydeadquery18f7",
  proxyUser: "canaryproxyuser8821",
  proxyPassword: "canaryproxypass5b3e",
  apiToken: "canaryapitoken2d90fe31",
  ingestToken: "canaryingesttokenc6a8",
  brokenUrl: "canary url that is none",
  brokenKey: "canaryshort",
  brokenHeader: "canaryline\nbreak",
  brokenYaml: "canarybrokenyaml70",
} as const;

export interface CanaryPlaces {
  readonly receiver: string;
  /** `host:port` of a receiver that speaks TLS with a certificate nobody trusts. */
  readonly tls: string;
  readonly tokens: string;
  /** `host:port`. */
  readonly proxy: string;
}

/** Files that are no manifests, and the words of whose parser could hold what stands there. */
export const BROKEN_FILES: readonly string[] = [
  `*${CANARIES.brokenYaml}`,
  `!${CANARIES.brokenYaml} x`,
  `"${CANARIES.brokenYaml}`,
  `@${CANARIES.brokenYaml}`,
  `${CANARIES.brokenYaml}: b: c`,
  `[${CANARIES.brokenYaml}`,
].map((value) => `apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: shop}\nstringData:\n  value: ${value}\n`);

const secret = (
  name: string,
  data: Readonly<Record<string, string>>,
  { namespace = "shop", label = "use", type = "Opaque" } = {},
): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace, labels: { [`postrider.dev/${label}`]: "true" } },
  type,
  stringData: data,
});
const ref = (key: string): object => ({ name: "all", key });
const subscription = (name: string, endpoint: object, spec: object = {}, namespace = "shop"): object => ({
  apiVersion: "postrider.dev/v1alpha1",
  kind: "WebhookSubscription",
  metadata: { name, namespace },
  spec: { events: { types: [`${name}.*`] }, endpoint, signing: { scheme: "None" }, ...spec },
});
const oauth = (tokenURL: string, key: string): object => ({
  oauth2ClientCredentials: { tokenURL, clientIDSecretRef: ref("id"), clientSecretRef: ref(key) },
});

/** Names of subscriptions that can send; each takes events of `<name>.x`. */
export const WORKING = ["url", "uncaptured", "basic", "oauth", "refused", "message", "body", "tls", "dead", "proxied"] as const;

/** Everything that can hold a secret, with a canary in it. */
export function canaryManifests({ receiver, tls, tokens, proxy }: CanaryPlaces): readonly object[] {
  const c = CANARIES;
  const bearer = { bearer: { secretRef: ref("bearer") } };
  const headers = [
    { name: "X-Key", valueFrom: { secretKeyRef: ref("header") } },
    { name: "X-Request-ID", valueFrom: { secretKeyRef: ref("harmless") } },
  ];
  const policy = (name: string, egress: object, spec: object = {}): object => ({
    apiVersion: "postrider.dev/v1alpha1",
    kind: "ClusterDeliveryPolicy",
    metadata: { name },
    spec: {
      egress: { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true, ...egress },
      retry: { maxAttempts: 2, schedule: ["0s", "100ms"], jitterPercent: 0 },
      ...spec,
    },
  });
  return [
    policy("here", {}, { namespaceSelector: { matchLabels: { way: "direct" } } }),
    policy("proxied", { proxySecretRef: { name: "proxy", key: "url" } }, { namespaceSelector: { matchLabels: { way: "proxy" } } }),
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels: { way: "direct" } } },
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "behind", labels: { way: "proxy" } } },
    secret("proxy", { url: `http://${c.proxyUser}:${c.proxyPassword}@${proxy}` }, { namespace: "postrider-system" }),
    secret("publish", { producer: c.ingestToken }, { label: "ingest-token" }),
    secret("publish", { producer: c.ingestToken }, { label: "ingest-token", namespace: "behind" }),
    secret("read", { support: c.apiToken }, { label: "api-token" }),
    secret("read", { support: c.apiToken }, { label: "api-token", namespace: "behind" }),
    secret("pair", { "tls.crt": PAIR_ONE.cert, "tls.key": PAIR_ONE.key }, { type: "kubernetes.io/tls" }),
    secret("all", {
      url: `${receiver}/services/${c.urlPath}?key=${c.query}`,
      header: c.header,
      harmless: c.harmlessHeader,
      bearer: c.bearer,
      user: c.basicUser,
      password: c.basicPassword,
      id: "a-client",
      secret: c.clientSecret,
      refused: c.refusedSecret,
      signing: `whsec_${c.signing}`,
      message: `whsec_${c.messageKey}`,
      bodyToken: c.bodyTokenKey,
      deadUrl: `${receiver}/dead?key=${c.deadQuery}`,
      dead: c.deadBearer,
      brokenUrl: c.brokenUrl,
      brokenKey: c.brokenKey,
      brokenHeader: c.brokenHeader,
    }),
    subscription(
      "url",
      { urlSecretRef: ref("url"), headers, auth: bearer },
      { signing: { scheme: "StandardWebhooks", secretRefs: [ref("signing")] } },
    ),
    subscription("uncaptured", { url: `${receiver}/uncaptured`, headers, auth: bearer }, { history: { captureResponse: false } }),
    subscription("basic", {
      url: `${receiver}/basic`,
      auth: { basic: { usernameSecretRef: ref("user"), passwordSecretRef: ref("password") } },
    }),
    subscription("oauth", { url: `${receiver}/oauth`, auth: oauth(`${tokens}&t=${c.tokenQuery}`, "secret") }),
    subscription("refused", { url: `${receiver}/refused`, auth: oauth(`${tokens}&t=${c.tokenQuery}`, "refused") }),
    subscription("message", { url: `${receiver}/message` }, { signing: { scheme: "HTTPMessageSignatures", secretRefs: [ref("message")] } }),
    subscription(
      "body",
      { url: `${receiver}/body` },
      { signing: { scheme: "TimestampToken", token: { placement: "Body", field: "token" }, secretRefs: [ref("bodyToken")] } },
    ),
    subscription("tls", { url: `https://${tls}/`, auth: bearer, tls: { clientCertSecretRef: { name: "pair" } } }),
    subscription(
      "dead",
      { url: `${receiver}/failing`, auth: bearer },
      { deadLetter: { endpoint: { urlSecretRef: ref("deadUrl"), auth: { bearer: { secretRef: ref("dead") } } } } },
    ),
    subscription("proxied", { url: `${receiver}/behind-the-proxy` }, {}, "behind"),
    subscription("brokenurl", { urlSecretRef: ref("brokenUrl") }),
    subscription("brokenheader", { url: receiver, headers: [{ name: "X-Key", valueFrom: { secretKeyRef: ref("brokenHeader") } }] }),
    subscription("brokenkey", { url: receiver }, { signing: { scheme: "StandardWebhooks", secretRefs: [ref("brokenKey")] } }),
  ];
}
