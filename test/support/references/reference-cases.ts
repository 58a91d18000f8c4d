import fc from "fast-check";
import { PAIR_ONE, PAIR_TWO } from "../fields/key-pairs.ts";

/** What stands in objects that a subscription of `shop` may not use; found anywhere, it was read across. */
export const FOREIGN_MARKS: readonly string[] = [
  "canary",
  "127.66.6.6",
  "6666",
  PAIR_TWO.key.split("\n")[1] ?? "",
  PAIR_TWO.cert.split("\n")[1] ?? "",
];

export interface ReferenceCase {
  /** Which reference of the spec is tried, such as `deadLetter.endpoint bearer`. */
  readonly field: string;
  readonly name: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

type Endpoint = (name: string, key: string, url: string) => object;

const withAuth =
  (auth: (ref: object) => object): Endpoint =>
  (name, key, url) => ({ url, auth: auth({ name, key }) });
const own = { name: "own", key: "value" };
const oauth = (url: string, id: object, secret: object): object => ({
  oauth2ClientCredentials: { tokenURL: `${url}/token`, clientIDSecretRef: id, clientSecretRef: secret },
});

/** Every reference that an endpoint can hold. */
const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  urlSecretRef: (name) => ({ urlSecretRef: { name, key: "url" } }),
  serviceRef: (name, _key, url) => ({ serviceRef: { name, port: Number(new URL(url).port) } }),
  "headers.valueFrom": (name, key, url) => ({ url, headers: [{ name: "X-Key", valueFrom: { secretKeyRef: { name, key } } }] }),
  bearer: withAuth((secretRef) => ({ bearer: { secretRef } })),
  "basic.username": withAuth((usernameSecretRef) => ({ basic: { usernameSecretRef, passwordSecretRef: own } })),
  "basic.password": withAuth((passwordSecretRef) => ({ basic: { username: "ann", passwordSecretRef } })),
  "oauth2.clientID": (name, key, url) => ({ url, auth: oauth(url, { name, key }, own) }),
  "oauth2.clientSecret": (name, key, url) => ({ url, auth: oauth(url, own, { name, key }) }),
  serviceAccountToken: (name, _key, url) => ({ url, auth: { serviceAccountToken: { serviceAccountName: name, audience: "receiver" } } }),
  "tls.caRef ConfigMap": (name, _key, url) => ({ url, tls: { caRef: { kind: "ConfigMap", name, key: "ca.crt" } } }),
  "tls.caRef Secret": (name, _key, url) => ({ url, tls: { caRef: { kind: "Secret", name, key: "tls.crt" } } }),
  "tls.clientCertSecretRef": (name, _key, url) => ({ url, tls: { clientCertSecretRef: { name } } }),
};

/** Every reference of a subscription, by name. */
const FIELDS: Readonly<Record<string, (name: string, key: string, url: string) => Record<string, unknown>>> = {
  ...Object.fromEntries(
    Object.entries(ENDPOINTS).flatMap(([field, of]) => [
      [`endpoint ${field}`, (name: string, key: string, url: string) => ({ endpoint: of(name, key, url) })],
      [
        `deadLetter ${field}`,
        (name: string, key: string, url: string) => ({ endpoint: { url }, deadLetter: { endpoint: of(name, key, url) } }),
      ],
    ]),
  ),
  "signing.secretRefs": (name, _key, url) => ({
    endpoint: { url },
    signing: {
      scheme: "StandardWebhooks",
      secretRefs: [
        { name: "own", key: "signing" },
        { name, key: "signing" },
      ],
    },
  }),
  policyRef: (name, _key, url) => ({ endpoint: { url }, policyRef: { name } }),
};

export const REFERENCE_FIELDS: readonly string[] = Object.keys(FIELDS);

/** Names that stand for things of others in some system or other. */
export const HOSTILE_NAMES: readonly string[] = [
  "token",
  "unlabelled",
  "apitoken",
  "notlabelled",
  "other/token",
  "../other/token",
  "../../other/secrets/token",
  "..",
  ".",
  "/token",
  "other.token",
  "token.other",
  "a..b",
  "token.",
  ".token",
  "%2e%2e%2fother%2ftoken",
  "other%2Ftoken",
  "other%2ftoken",
  "Token",
  "TOKEN",
  "token ",
  " token",
  "token\u0000",
  "token\n",
  "tok\u00e9n",
  "token?namespace=other",
  "token#",
  "other:token",
  "other\\token",
  "shop/own",
  "shop/../other/token",
  "__proto__",
  "constructor",
  "tostring",
  "kube-system/token",
  "postrider-system/token",
  "shop-2",
  "t".repeat(253),
];
const KEYS = ["value", "value", "value", "__proto__", "constructor", "../value", "other/value", "Value", "value "];

/** Seeded: the same cases for the same seed. The first are those of each field that resolve. */
export function referenceCases(count: number, seed: number, url: string): readonly ReferenceCase[] {
  const names = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...HOSTILE_NAMES) },
    { weight: 1, arbitrary: fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/) },
    { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 30 }) },
  );
  const sampled = fc.sample(fc.tuple(names, fc.constantFrom(...KEYS)), { numRuns: count, seed });
  const own = REFERENCE_FIELDS.map((): [string, string] => ["own", "value"]);
  return [...own, ...sampled].map(([name, key], i) => {
    const field = REFERENCE_FIELDS[i % REFERENCE_FIELDS.length] ?? "";
    const spec = { events: { types: ["*"] }, signing: { scheme: "None" }, ...FIELDS[field]?.(name, key, url) };
    return { field, name, spec };
  });
}

/** What `shop` may use: all that a reference can name, called `own`. */
export function ownObjects(url: string): readonly object[] {
  const pair = { "tls.crt": PAIR_ONE.cert, "tls.key": PAIR_ONE.key };
  const data = { url: `${url}/own`, value: "a value of shop's own", signing: `whsec_${Buffer.alloc(32, "o").toString("base64")}`, ...pair };
  return objectsNamed("own", "shop", { data, ca: PAIR_ONE.cert, clusterIP: "127.0.0.1", port: Number(new URL(url).port), timeout: "3s" });
}

/** The same of another namespace, or not released for use, with marks in place of all values. */
export function foreignObjects(
  name: string,
  namespace: string,
  url: string,
  labels: object = { "postrider.dev/use": "true" },
): readonly object[] {
  const pair = { "tls.crt": PAIR_TWO.cert, "tls.key": PAIR_TWO.key };
  const data = { url: `${url}/canary`, value: "canary-value", signing: `whsec_${Buffer.alloc(30, "canary").toString("base64")}`, ...pair };
  const given = { data, ca: PAIR_TWO.cert, clusterIP: "127.66.6.6", port: Number(new URL(url).port), timeout: "6666ms" };
  return objectsNamed(name, namespace, given, labels);
}

interface Values {
  readonly data: object;
  readonly ca: string;
  readonly clusterIP: string;
  readonly port: number;
  readonly timeout: string;
}

function objectsNamed(
  name: string,
  namespace: string,
  values: Values,
  labels: object = { "postrider.dev/use": "true" },
): readonly object[] {
  const metadata = { name, namespace, labels };
  return [
    { apiVersion: "v1", kind: "Secret", metadata, type: "kubernetes.io/tls", stringData: values.data },
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "ca.crt": values.ca, value: "canary-of-a-map" } },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { clusterIP: values.clusterIP, selector: { app: "a" }, ports: [{ port: values.port }] },
    },
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    { apiVersion: "postrider.dev/v1alpha1", kind: "DeliveryPolicy", metadata, spec: { timeout: values.timeout } },
  ];
}
