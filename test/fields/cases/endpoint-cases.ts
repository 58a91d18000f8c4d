import { rootCertificates } from "node:tls";
import type { EndpointSpec, Target } from "../../../src/core/subscription.ts";
import type { FieldCase } from "../../support/fields/field-case.ts";
import { RECEIVER, SECRET_BYTES } from "../../support/fields/field-rig.ts";
import { PAIR_ONE, PAIR_TWO } from "../../support/fields/key-pairs.ts";
import type { FieldRig } from "../../support/fields/field-rig.ts";

/** A case of one endpoint, wherever it stands; paths begin below it. */
export interface EndpointCase extends Omit<FieldCase, "kind" | "observe"> {
  readonly observe: (seen: EndpointView, rig: FieldRig) => unknown;
}

/** What a receiver, or who looks at the subscription, sees of an endpoint. */
export interface EndpointView {
  /** The request that came in; undefined when none did. */
  readonly path: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What attempts are made with; test/integration/attempt shows that each part of it is obeyed. */
  readonly target: Target | undefined;
  readonly spec: EndpointSpec | undefined;
}

const header = (name: string) => (seen: EndpointView) => seen.headers[name];
const path = (seen: EndpointView): string | undefined => seen.path;
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

const ONE = { name: "one", key: "value" };
const HEADER = { headers: [{ name: "X-Team", value: "a" }] };
const HEADER_REF = { headers: [{ name: "X-Team", valueFrom: { secretKeyRef: ONE } }] };
const BASIC = { "auth.basic": { username: "eve", passwordSecretRef: ONE } };
const BASIC_REF = { "auth.basic": { usernameSecretRef: { name: "one", key: "user" }, passwordSecretRef: ONE } };
const BEARER = { "auth.bearer.secretRef": ONE };

/** Fields whose effect a plain receiver sees. */
const ENDPOINT_CASES: readonly EndpointCase[] = [
  { field: "headers[].name", value: "X-Other", instead: "X-Team", beside: HEADER, observe: header("x-other"), shows: "a" },
  { field: "headers[].value", value: "b", instead: "a", beside: HEADER, observe: header("x-team"), shows: "b" },
  {
    field: "headers[].valueFrom.secretKeyRef.name",
    value: "two",
    instead: "one",
    beside: HEADER_REF,
    observe: header("x-team"),
    shows: `second ${SECRET_BYTES}`,
  },
  {
    field: "headers[].valueFrom.secretKeyRef.key",
    value: "other",
    instead: "value",
    beside: HEADER_REF,
    observe: header("x-team"),
    shows: `another ${SECRET_BYTES}`,
  },
  {
    field: "auth.bearer.secretRef.name",
    value: "two",
    instead: "one",
    beside: BEARER,
    observe: header("authorization"),
    shows: `Bearer second ${SECRET_BYTES}`,
  },
  {
    field: "auth.bearer.secretRef.key",
    value: "other",
    instead: "value",
    beside: BEARER,
    observe: header("authorization"),
    shows: `Bearer another ${SECRET_BYTES}`,
  },
  {
    field: "auth.basic.username",
    value: "ann",
    instead: "eve",
    beside: BASIC,
    observe: header("authorization"),
    shows: basic("ann", SECRET_BYTES),
  },
  {
    field: "auth.basic.usernameSecretRef.name",
    value: "two",
    instead: "one",
    beside: BASIC_REF,
    observe: header("authorization"),
    shows: basic("bob", SECRET_BYTES),
  },
  {
    field: "auth.basic.usernameSecretRef.key",
    value: "value",
    instead: "user",
    beside: BASIC_REF,
    observe: header("authorization"),
    shows: basic(SECRET_BYTES, SECRET_BYTES),
  },
  {
    field: "auth.basic.passwordSecretRef.name",
    value: "two",
    instead: "one",
    beside: BASIC,
    observe: header("authorization"),
    shows: basic("eve", `second ${SECRET_BYTES}`),
  },
  {
    field: "auth.basic.passwordSecretRef.key",
    value: "other",
    instead: "value",
    beside: BASIC,
    observe: header("authorization"),
    shows: basic("eve", `another ${SECRET_BYTES}`),
  },
  {
    field: "urlSecretRef.name",
    value: "two",
    instead: "one",
    beside: { url: undefined, urlSecretRef: { name: "one", key: "url" } },
    observe: path,
    shows: "/from-second",
  },
  {
    field: "urlSecretRef.key",
    value: "url",
    instead: "absent",
    beside: { url: undefined, urlSecretRef: { name: "one", key: "url" } },
    observe: path,
    shows: "/from-secret",
  },
];

const SERVICES = [service("svc-one", "10.43.0.10"), service("svc-two", "10.43.0.11")];
const SERVICE_REF = { url: undefined, serviceRef: { name: "svc-one", port: 80 } };
const place = (seen: EndpointView): unknown => [seen.target?.url, seen.target?.dial?.address, seen.target?.dial?.port];

/** Fields that name a Service of the cluster. */
const SERVICE_CASES: readonly EndpointCase[] = [
  { field: "serviceRef.name", value: "svc-two", instead: "svc-one", shows: ["http://svc-two.shop.svc/", "10.43.0.11", 80] },
  { field: "serviceRef.port", value: 8080, instead: 80, shows: ["http://svc-one.shop.svc:8080/", "10.43.0.10", 8080] },
  { field: "serviceRef.path", value: "/in?a=b", shows: ["http://svc-one.shop.svc/in?a=b", "10.43.0.10", 80] },
  { field: "serviceRef.scheme", value: "HTTPS", instead: "HTTP", shows: ["https://svc-one.shop.svc:80/", "10.43.0.10", 80] },
].map(({ field, value, instead, shows }) => ({ field, value, instead, shows, beside: SERVICE_REF, extra: SERVICES, observe: place }));

const OAUTH2 = {
  "auth.oauth2ClientCredentials": {
    tokenURL: "https://id.example.com/token",
    clientIDSecretRef: { name: "one", key: "user" },
    clientSecretRef: ONE,
    scopes: ["read"],
    audience: "them",
  },
};
const credential =
  (part: string) =>
  ({ target }: EndpointView): unknown =>
    (target?.credential as Record<string, unknown> | undefined)?.[part];

/** Fields of the credentials that are exchanged for a token. */
const OAUTH2_CASES: readonly EndpointCase[] = [
  { field: "tokenURL", value: "https://other.example.com/token", instead: "https://id.example.com/token", part: "tokenUrl" },
  { field: "clientIDSecretRef.name", value: "two", instead: "one", part: "clientId", shows: "bob" },
  { field: "clientIDSecretRef.key", value: "value", instead: "user", part: "clientId", shows: SECRET_BYTES },
  { field: "clientSecretRef.name", value: "two", instead: "one", part: "clientSecret", shows: `second ${SECRET_BYTES}` },
  { field: "clientSecretRef.key", value: "other", instead: "value", part: "clientSecret", shows: `another ${SECRET_BYTES}` },
  { field: "scopes[]", value: "write", instead: "read", part: "scopes", shows: ["write"] },
  { field: "audience", value: "us", instead: "them", part: "audience" },
].map(({ field, value, instead, part, shows = value }) => ({
  field: `auth.oauth2ClientCredentials.${field}`,
  value,
  instead,
  shows,
  beside: OAUTH2,
  observe: credential(part),
}));

const ACCOUNT = { "auth.serviceAccountToken": { serviceAccountName: "sender", audience: "them", expirationSeconds: 900 } };

/** Only a cluster makes these tokens: what is asked for is looked at here, that it is given in test/integration/control-plane. */
const ACCOUNT_CASES: readonly EndpointCase[] = [
  { field: "serviceAccountName", value: "other", instead: "sender" },
  { field: "audience", value: "us", instead: "them" },
  { field: "expirationSeconds", value: 1_200, instead: 900 },
].map(({ field, value, instead }) => ({
  field: `auth.serviceAccountToken.${field}`,
  value,
  instead,
  shows: value,
  beside: ACCOUNT,
  observe: ({ spec }) => (spec?.auth as Record<string, unknown> | undefined)?.[field],
}));

const [CA_ONE = "", CA_TWO = "", CA_THREE = "", CA_FOUR = ""] = rootCertificates;
const AUTHORITIES = [
  { ...opaque("authorities", { "ca.crt": CA_TWO }), kind: "Secret" },
  {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "authorities", namespace: "shop" },
    data: { "ca.crt": CA_ONE, "other.crt": CA_FOUR },
  },
  { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "others", namespace: "shop" }, data: { "ca.crt": CA_THREE } },
  { ...opaque("client-one", { "tls.crt": PAIR_ONE.cert, "tls.key": PAIR_ONE.key }), type: "kubernetes.io/tls" },
  { ...opaque("client-two", { "tls.crt": PAIR_TWO.cert, "tls.key": PAIR_TWO.key }), type: "kubernetes.io/tls" },
];
const CA_REF = { "tls.caRef": { kind: "ConfigMap", name: "authorities" } };

/** Fields of TLS towards the receiver. */
const TLS_CASES: readonly EndpointCase[] = [
  { field: "tls.caRef.kind", value: "Secret", instead: "ConfigMap", beside: CA_REF, shows: { ca: CA_TWO } },
  { field: "tls.caRef.name", value: "others", instead: "authorities", beside: CA_REF, shows: { ca: CA_THREE } },
  { field: "tls.caRef.key", value: "other.crt", beside: CA_REF, shows: { ca: CA_FOUR } },
  {
    field: "tls.clientCertSecretRef.name",
    value: "client-two",
    instead: "client-one",
    shows: { clientCert: { cert: PAIR_TWO.cert.trimEnd(), key: PAIR_TWO.key.trimEnd() } },
  },
  { field: "tls.serverName", value: "receiver.example.com", shows: { serverName: "receiver.example.com" } },
  { field: "tls.minVersion", value: "TLS13", instead: "TLS12", shows: { minVersion: "TLSv1.3" } },
].map(({ field, value, instead, beside = {}, shows }) => {
  const [part = ""] = Object.keys(shows);
  const observe = ({ target }: EndpointView): unknown => ({ [part]: (target?.tls as Record<string, unknown> | undefined)?.[part] });
  return { field, value, instead, beside, shows, extra: AUTHORITIES, observe };
});

function service(name: string, clusterIP: string): object {
  const ports = [80, 8080].map((port) => ({ name: `p${port}`, port, protocol: "TCP" }));
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "shop" },
    spec: { type: "ClusterIP", clusterIP, selector: { app: name }, ports },
  };
}

function opaque(name: string, stringData: object): object {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "shop", labels: { "postrider.dev/use": "true" } },
    stringData,
  };
}

/** What the receiver of the deliveries, or of the dead letters, sees. */
async function viewOf(rig: FieldRig, isDeadLetter: boolean): Promise<EndpointView> {
  const { spec, target: whole } = rig.route?.subscription ?? {};
  const [endpoint, target] = isDeadLetter ? [spec?.deadLetter, whole?.deadLetter] : [spec?.endpoint, whole];
  const isHere = target !== undefined && target.url.startsWith(rig.receiver.url) && target.credential === undefined;
  const { path: found, headers = {} } = isHere ? await rig.send({}, undefined, target) : {};
  return { path: found, headers, target, spec: endpoint };
}

const ALL_ENDPOINT_CASES = [...ENDPOINT_CASES, ...SERVICE_CASES, ...OAUTH2_CASES, ...ACCOUNT_CASES, ...TLS_CASES];

/** Cases of the endpoint that stands at `at`. */
function standingAt(at: string, isDeadLetter: boolean): readonly FieldCase[] {
  const below = (field: string): string => `${at}.${field}`;
  const cases: FieldCase[] = [];
  for (const { field, without, beside = {}, observe, ...rest } of ALL_ENDPOINT_CASES) {
    cases.push({
      ...rest,
      kind: "WebhookSubscription",
      field: below(field),
      ...(without === undefined ? {} : { without: below(without) }),
      beside: {
        ...(isDeadLetter ? { "spec.deadLetter.endpoint.url": RECEIVER } : {}),
        ...Object.fromEntries(Object.entries(beside).map(([path, value]) => [below(path), value])),
      },
      observe: async (rig) => observe(await viewOf(rig, isDeadLetter), rig),
    });
  }
  return cases;
}

/** The same cases where deliveries go to, and where dead letters do. */
export const PLACED_ENDPOINT_CASES: readonly FieldCase[] = [
  ...standingAt("spec.endpoint", false),
  ...standingAt("spec.deadLetter.endpoint", true),
];
