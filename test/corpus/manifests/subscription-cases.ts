import { casesOf } from "./manifest-case.ts";
import type { BadManifest, GoodManifest, Spec } from "./manifest-case.ts";

const { bad, good } = casesOf("WebhookSubscription", true);

const ENDPOINT = { url: "https://example.com/hooks" };
const EVENTS = { types: ["order.*"] };
const REF = { name: "credentials", key: "key" };

const base = (changes: Spec = {}): Spec => ({ events: EVENTS, endpoint: ENDPOINT, ...changes });
const at = (endpoint: Spec): Spec => base({ endpoint });
const url = (text: string): Spec => at({ url: text });
const headers = (...list: unknown[]): Spec => at({ ...ENDPOINT, headers: list });
const types = (...list: unknown[]): Spec => base({ events: { types: list } });
const signing = (fields: Spec): Spec => base({ signing: fields });

const URL_FIELD = "spec.endpoint.url";
const ONE_TARGET = "set exactly one of url, urlSecretRef, serviceRef";
const ABSOLUTE = "must be an absolute http:// or https:// URL with a host";
const USER = "must not contain a user name or password";
const OURS = "is set by Postrider or belongs to the connection";
const EVENT_TYPE = "must be an exact event type such as order.paid";
const ONCE = "a header may be listed only once";

const urls: BadManifest[] = [
  bad("scheme ftp", url("ftp://example.com/"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("scheme javascript", url("javascript:alert(1)"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("scheme file in capitals", url("FILE:///etc/passwd"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("no scheme", url("example.com/hooks"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("protocol relative", url("//example.com/hooks"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("no host", url("https:///hooks"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("backslashes for slashes", url("https:\\\\example.com"), { field: URL_FIELD, message: ABSOLUTE }),
  bad("leading space", url(" https://example.com/"), { field: URL_FIELD, message: "must contain only printable ASCII" }),
  bad("url user and password", url("https://user:secret@example.com/"), { field: URL_FIELD, message: USER }),
  bad("url user only", url("HTTPS://user@example.com/"), { field: URL_FIELD, message: USER }),
  bad("url user behind a backslash", url("https://a\\b@example.com/"), { field: URL_FIELD, message: USER }),
  bad("url empty user", url("https://x:@example.com/"), { field: URL_FIELD, message: USER }),
  bad("fragment", url("https://example.com/a#b"), { field: URL_FIELD, message: "must not have a fragment" }),
  bad("empty fragment", url("https://example.com/#"), { field: URL_FIELD, message: "must not have a fragment" }),
  bad("space in url", url("https://example.com/a b"), { field: URL_FIELD, message: "must contain only printable ASCII" }),
  bad("tab in url", url("https://example.com/a\tb"), { field: URL_FIELD, message: "must contain only printable ASCII" }),
  bad("newline in url", url("https://example.com/\r\nX-Evil: 1"), { field: URL_FIELD, message: "must contain only printable ASCII" }),
  bad("international host", url("https://bücher.example/"), { field: URL_FIELD, message: "must contain only printable ASCII" }),
  bad("url too long", url(`https://example.com/${"a".repeat(2_029)}`), { field: URL_FIELD, message: "Too long" }),
  bad("empty url", url(""), { field: URL_FIELD, message: "should be at least 1 chars long" }),
  bad("url a number", url(7 as unknown as string), { field: URL_FIELD, message: "must be of type string" }),
];

const endpoints: BadManifest[] = [
  bad("no target", at({}), { field: "spec.endpoint", message: ONE_TARGET }),
  bad("two targets", at({ ...ENDPOINT, urlSecretRef: REF }), { field: "spec.endpoint", message: ONE_TARGET }),
  bad("three targets", at({ ...ENDPOINT, urlSecretRef: REF, serviceRef: { name: "s", port: 80 } }), { field: "spec.endpoint", message: ONE_TARGET }),
  bad("service without port", at({ serviceRef: { name: "s" } }), { field: "spec.endpoint.serviceRef.port", message: "Required value" }),
  bad("service port 0", at({ serviceRef: { name: "s", port: 0 } }), { field: "spec.endpoint.serviceRef.port", message: "should be greater than or equal to 1" }),
  bad("service scheme in small letters", at({ serviceRef: { name: "s", port: 80, scheme: "http" } }), {
    field: "spec.endpoint.serviceRef.scheme",
    message: 'supported values: "HTTP", "HTTPS"',
  }),
  bad("secret in another namespace", at({ urlSecretRef: { ...REF, namespace: "kube-system" } }), {
    field: "spec.endpoint.urlSecretRef.namespace",
    message: 'unknown field "spec.endpoint.urlSecretRef.namespace"',
  }),
  bad("secret name with a slash", at({ urlSecretRef: { name: "other/secret", key: "k" } }), { field: "spec.endpoint.urlSecretRef.name", message: " is not a", server: "should match" }),
  bad("secret key missing", at({ urlSecretRef: { name: "credentials" } }), { field: "spec.endpoint.urlSecretRef.key", message: "Required value" }),
  bad("two kinds of auth", at({ ...ENDPOINT, auth: { bearer: { secretRef: REF }, basic: { username: "u", passwordSecretRef: REF } } }), {
    field: "spec.endpoint.auth",
    message: "set exactly one of bearer, basic, oauth2ClientCredentials, serviceAccountToken",
  }),
  bad("empty auth", at({ ...ENDPOINT, auth: {} }), { field: "spec.endpoint.auth", message: "set exactly one of bearer" }),
  bad("auth and authorization header", at({ ...ENDPOINT, auth: { bearer: { secretRef: REF } }, headers: [{ name: "AUTHORIZATION", value: "x" }] }), {
    field: "spec.endpoint",
    message: "auth already sets the Authorization header",
  }),
  bad("basic auth with two user names", at({ ...ENDPOINT, auth: { basic: { username: "u", usernameSecretRef: REF, passwordSecretRef: REF } } }), {
    field: "spec.endpoint.auth.basic",
    message: "set exactly one of username and usernameSecretRef",
  }),
  bad("basic auth with a colon in the user name", at({ ...ENDPOINT, auth: { basic: { username: "a:b", passwordSecretRef: REF } } }), {
    field: "spec.endpoint.auth.basic.username",
    message: " is not a", server: "should match",
  }),
  bad("our own audience", at({ ...ENDPOINT, auth: { serviceAccountToken: { serviceAccountName: "s", audience: "postrider-ingest" } } }), {
    field: "spec.endpoint.auth.serviceAccountToken.audience",
    message: "must be the receiver's own audience",
  }),
  bad("an address as server name", at({ ...ENDPOINT, tls: { serverName: "10.0.0.1" } }), { field: "spec.endpoint.tls.serverName", message: "must be a host name" }),
  bad("an address as server name, the short way", at({ ...ENDPOINT, tls: { serverName: "127.1" } }), { field: "spec.endpoint.tls.serverName", message: "must be a host name" }),
  bad("a number as server name", at({ ...ENDPOINT, tls: { serverName: "2130706433" } }), { field: "spec.endpoint.tls.serverName", message: "must be a host name" }),
  bad("an IPv6 address as server name", at({ ...ENDPOINT, tls: { serverName: "::1" } }), { field: "spec.endpoint.tls.serverName", message: "is not a host name", server: "should match" }),
  bad("a server name with an empty label", at({ ...ENDPOINT, tls: { serverName: "a..example.com" } }), { field: "spec.endpoint.tls.serverName", message: "must be a host name" }),
  bad("short-lived token", at({ ...ENDPOINT, auth: { serviceAccountToken: { serviceAccountName: "s", audience: "a", expirationSeconds: 60 } } }), {
    field: "spec.endpoint.auth.serviceAccountToken.expirationSeconds",
    message: "should be greater than or equal to 600",
  }),
  bad("dead letter with userinfo", base({ deadLetter: { endpoint: { url: "https://u:p@example.com/" } } }), { field: "spec.deadLetter.endpoint.url", message: USER }),
  bad("dead letter without endpoint", base({ deadLetter: {} }), { field: "spec.deadLetter.endpoint", message: "Required value" }),
];

const headerCases: BadManifest[] = [
  ...["host", "Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade", "keep-alive", "Proxy-Authorization", "proxy-connection", "Trailer", "Expect", "ce-id", "CE-Source", "webhook-id", "Webhook-Signature"].map(
    (name) => bad(`header ${name.toLowerCase()}`, headers({ name, value: "x" }), { field: "spec.endpoint.headers[0].name", message: OURS }),
  ),
  ...["Cookie", "Forwarded", "X-Forwarded-For", "http2-settings", "Range", "Content_Length", "WEBHOOK.ID", "Impersonate-User", "impersonate_group", "X-Remote-User", "X_Remote_User", "x.remote.extra.scopes", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "Proxy", "X-Real-IP", "X-Envoy-Original-Path", "X-WebAuth-User", "Ssl-Client-Verify"].map(
    (name) => bad(`header ${name.toLowerCase()}`, headers({ name, value: "x" }), { field: "spec.endpoint.headers[0].name", message: "not allowed are" }),
  ),
  bad("denied header of a dead letter, from a Secret", base({ deadLetter: { endpoint: { ...ENDPOINT, headers: [{ name: "Impersonate-User", valueFrom: { secretKeyRef: REF } }] } } }), {
    field: "spec.deadLetter.endpoint.headers[0].name",
    message: "not allowed are",
  }),
  bad("same header twice", headers({ name: "X-Team", value: "a" }, { name: "X-Team", value: "b" }), { field: "spec.endpoint.headers[1]", message: "Duplicate value" }),
  bad("same header in other case", headers({ name: "X-Team", value: "a" }, { name: "x-team", value: "b" }), { field: "spec.endpoint.headers", message: ONCE }),
  bad("header name with a space", headers({ name: "X Team", value: "a" }), { field: "spec.endpoint.headers[0].name", message: " is not a", server: "should match" }),
  bad("header name with a colon", headers({ name: "X-Team:", value: "a" }), { field: "spec.endpoint.headers[0].name", message: " is not a", server: "should match" }),
  bad("header value with a line break", headers({ name: "X-Team", value: "a\r\nX-Evil: b" }), { field: "spec.endpoint.headers[0].value", message: " is not a", server: "should match" }),
  bad("header value not ascii", headers({ name: "X-Team", value: "é" }), { field: "spec.endpoint.headers[0].value", message: " is not a", server: "should match" }),
  bad("header value too long", headers({ name: "X-Team", value: "a".repeat(4_097) }), { field: "spec.endpoint.headers[0].value", message: "Too long" }),
  bad("header without value", headers({ name: "X-Team" }), { field: "spec.endpoint.headers[0]", message: "set exactly one of value and valueFrom" }),
  bad("header with two values", headers({ name: "X-Team", value: "a", valueFrom: { secretKeyRef: REF } }), {
    field: "spec.endpoint.headers[0]",
    message: "set exactly one of value and valueFrom",
  }),
  bad("too many headers", headers(...Array.from({ length: 33 }, (_, i) => ({ name: `X-${i}`, value: "a" }))), {
    field: "spec.endpoint.headers",
    message: "must have at most 32 items",
  }),
];

const events: BadManifest[] = [
  bad("no types", types(), { field: "spec.events.types", message: "should have at least 1 items" }),
  bad("types missing", base({ events: { filter: "true" } }), { field: "spec.events.types", message: "Required value" }),
  bad("too many types", types(...Array.from({ length: 65 }, (_, i) => `t${i}`)), { field: "spec.events.types", message: "must have at most 64 items" }),
  bad("same type twice", types("a", "b", "a"), { field: "spec.events.types[2]", message: "Duplicate value" }),
  bad("star in the middle", types("order.*.paid"), { field: "spec.events.types[0]", message: EVENT_TYPE }),
  bad("two stars", types("order.**"), { field: "spec.events.types[0]", message: EVENT_TYPE }),
  bad("space in a type", types("order paid"), { field: "spec.events.types[0]", message: EVENT_TYPE }),
  bad("empty type", types(""), { field: "spec.events.types[0]", message: "should be at least 1 chars long" }),
  bad("type too long", types("t".repeat(254)), { field: "spec.events.types[0]", message: "Too long" }),
  bad("type a number", types(5), { field: "spec.events.types[0]", message: "must be of type string" }),
  bad("empty filter", base({ events: { ...EVENTS, filter: "" } }), { field: "spec.events.filter", message: "should be at least 1 chars long" }),
  bad("filter too long", base({ events: { ...EVENTS, filter: `true${" ".repeat(2_045)}` } }), { field: "spec.events.filter", message: "Too long" }),
];

const HMAC = { header: "X-Signature" };
const SCHEME_HMAC = "scheme HMAC and the field hmac belong together";
const signingCases: BadManifest[] = [
  bad("four keys", signing({ secretRefs: [1, 2, 3, 4].map((i) => ({ name: `key-${i}`, key: "k" })) }), { field: "spec.signing.secretRefs", message: "must have at most 3 items" }),
  bad("no keys", signing({ secretRefs: [] }), { field: "spec.signing.secretRefs", message: "should have at least 1 items" }),
  bad("keys for none", signing({ scheme: "None", secretRefs: [REF] }), { field: "spec.signing.secretRefs", message: "scheme None signs nothing" }),
  bad("hmac without its field", signing({ scheme: "HMAC" }), { field: "spec.signing.hmac", message: SCHEME_HMAC }),
  bad("hmac field without its scheme", signing({ hmac: HMAC }), { field: "spec.signing.hmac", message: SCHEME_HMAC }),
  bad("token field without its scheme", signing({ token: {} }), { field: "spec.signing.token", message: "token needs scheme: TimestampToken" }),
  bad("hmac without header", signing({ scheme: "HMAC", hmac: {} }), { field: "spec.signing.hmac.header", message: "Required value" }),
  bad("hmac md5", signing({ scheme: "HMAC", hmac: { ...HMAC, algorithm: "MD5" } }), { field: "spec.signing.hmac.algorithm", message: "supported values" }),
  bad("signature without the body", signing({ scheme: "HMAC", hmac: { ...HMAC, signedContent: "{timestamp}" } }), {
    field: "spec.signing.hmac.signedContent",
    message: "must contain {body}",
  }),
  bad("unknown placeholder", signing({ scheme: "HMAC", hmac: { ...HMAC, signedContent: "{nonce}.{body}" } }), {
    field: "spec.signing.hmac.signedContent",
    message: "may contain only {body}, {timestamp} and {id}",
  }),
  bad("value without signature", signing({ scheme: "HMAC", hmac: { ...HMAC, value: "t={timestamp}" } }), {
    field: "spec.signing.hmac.value",
    message: "must contain {signature}",
  }),
  bad("unknown scheme", signing({ scheme: "standardwebhooks" }), { field: "spec.signing.scheme", message: "supported values" }),
];

const others: BadManifest[] = [
  bad("no spec", undefined, { field: "spec", message: "Required value" }),
  bad("spec a list", [], { field: "spec", message: "must be of type object" }),
  bad("no endpoint", { events: EVENTS }, { field: "spec.endpoint", message: "Required value" }),
  bad("no events", { endpoint: ENDPOINT }, { field: "spec.events", message: "Required value" }),
  bad("unknown field", base({ retries: 3 }), { field: "spec.retries", message: 'unknown field "spec.retries"' }),
  bad("unknown field in a list", headers({ name: "X-Team", value: "a", secure: true }), {
    field: "spec.endpoint.headers[0].secure",
    message: 'unknown field "spec.endpoint.headers[0].secure"',
  }),
  bad("unknown field beside spec", base(), { field: "data", message: 'unknown field "data"', rest: { data: 1 } }),
  bad("field in wrong case", base({ endpoint: { URL: "https://example.com/" } }), { field: "spec.endpoint.URL", message: 'unknown field "spec.endpoint.URL"' }),
  bad("suspend a string", base({ suspend: "true" }), { field: "spec.suspend", message: "must be of type boolean" }),
  bad("class name in capitals", base({ className: "Postrider" }), { field: "spec.className", message: " is not a", server: "should match" }),
  bad("form parameter without form", base({ payload: { formParameter: "payload" } }), { field: "spec.payload.formParameter", message: "formParameter needs format: Form" }),
  bad("form parameter with a space", base({ payload: { format: "Form", formParameter: "a b" } }), { field: "spec.payload.formParameter", message: " is not a", server: "should match" }),
  bad("body with cloud events", base({ payload: { format: "CloudEventsBinary", body: "event.data" } }), {
    field: "spec.payload.body",
    message: "body replaces the JSON body of StandardWebhooks, Raw and Form",
  }),
  bad("unknown format", base({ payload: { format: "XML" } }), { field: "spec.payload.format", message: "supported values" }),
  bad("key without order", base({ ordering: { key: "subject" } }), { field: "spec.ordering.key", message: "key needs mode: PerKey" }),
  bad("ordering key not a path", base({ ordering: { mode: "PerKey", key: "data[0]" } }), { field: "spec.ordering.key", message: " is not a", server: "should match" }),
  bad("policy without name", base({ policyRef: {} }), { field: "spec.policyRef.name", message: "Required value" }),
  bad("policy in another namespace", base({ policyRef: { name: "a", namespace: "b" } }), {
    field: "spec.policyRef.namespace",
    message: 'unknown field "spec.policyRef.namespace"',
  }),
  bad("unknown deletion policy", base({ deletionPolicy: "Keep" }), { field: "spec.deletionPolicy", message: 'supported values: "Drain", "Discard"' }),
  bad("label a boolean", base(), {
    field: "metadata.labels.team",
    message: "must be of type string",
    server: "cannot unmarshal bool",
    metadata: { labels: { team: true } },
  }),
];

/** WebhookSubscriptions that must be refused. */
export const badSubscriptions: readonly BadManifest[] = [...urls, ...endpoints, ...headerCases, ...events, ...signingCases, ...others];

/** WebhookSubscriptions that must be accepted by the schema; where they may lead is the controller's to judge. */
export const goodSubscriptions: readonly GoodManifest[] = [
  good("smallest", base()),
  good("scheme in capitals", url("HTTPS://EXAMPLE.COM/")),
  good("plain http and loopback are for the controller", url("http://127.0.0.1:8080/hooks")),
  good("at sign in the path", url("https://example.com/@team?a=b@c")),
  good("colon in the path", url("https://example.com:8443/a:b/c@d")),
  good("ipv6 literal", url("https://[2001:db8::1]:8443/")),
  good("longest url", url(`https://example.com/${"a".repeat(2_028)}`)),
  good("every type", types("*")),
  good("64 types", types(...Array.from({ length: 64 }, (_, i) => `t${i}.*`))),
  good("nulls count as absent", base({ policyRef: null, suspend: null, payload: null })),
  good("everything obeyed", {
    className: "postrider",
    suspend: true,
    events: { types: ["order.paid", "video.*"], filter: "event.data.size > 1000" },
    endpoint: {
      urlSecretRef: REF,
      headers: [
        { name: "X-Team", value: "" },
        { name: "X-Key", valueFrom: { secretKeyRef: REF } },
      ],
      auth: { basic: { usernameSecretRef: REF, passwordSecretRef: REF } },
      tls: { minVersion: "TLS12" },
    },
    payload: { format: "Form", formParameter: "payload", body: "{'event': event.type}" },
    signing: {
      scheme: "HMAC",
      secretRefs: [REF, { name: "old", key: "key" }],
      hmac: { header: "Stripe-Signature", signedContent: "{timestamp}.{body}", value: "t={timestamp},v1={signature}", prefix: "" },
    },
    ordering: { mode: "None" },
    policyRef: { name: "careful" },
    verification: "None",
    history: { captureResponse: false, answerInResults: true, recordIDField: "data.id" },
    deletionPolicy: "Discard",
  }),
  good("everything else", {
    events: EVENTS,
    endpoint: {
      serviceRef: { name: "receiver", port: 8080, path: "/hooks?a=b", scheme: "HTTPS" },
      auth: { oauth2ClientCredentials: { tokenURL: "https://id.example.com/token", clientIDSecretRef: REF, clientSecretRef: REF, scopes: ["a", "b"], audience: "x" } },
      tls: { caRef: { kind: "ConfigMap", name: "ca" }, clientCertSecretRef: { name: "client" }, serverName: "receiver.example.com", minVersion: "TLS13" },
    },
    signing: { scheme: "HTTPMessageSignatures" },
    ordering: { mode: "PerKey", key: "data.id" },
    deadLetter: { endpoint: { ...ENDPOINT, auth: { serviceAccountToken: { serviceAccountName: "s", audience: "a", expirationSeconds: 600 } } } },
    verification: "CloudEventsHandshake",
  }),
  good("server names with digits", at({ ...ENDPOINT, tls: { serverName: "10.0.0.1.nip.io" } })),
  good("a server name of one label that begins with a digit", at({ ...ENDPOINT, tls: { serverName: "1and1" } })),
  good("timestamp token with its defaults", signing({ scheme: "TimestampToken", secretRefs: [REF] })),
];
