import { describe, expect, it } from "vitest";
import { namedRefs } from "../../../src/controller/endpoint/named-refs.ts";
import type { NamedLookup, SecretLookup } from "../../../src/controller/objects.ts";
import { secretNames } from "../../../src/controller/endpoint/secret-refs.ts";
import type { EgressPolicy } from "../../../src/core/policy.ts";
import type { EndpointSpec } from "../../../src/core/subscription.ts";
import { resolve, secret, SERVICE, service, specOf } from "../../support/controller/endpoint-given.ts";

describe("a Service", () => {
  it("is dialled at its ClusterIP under its DNS name, plain http and private address notwithstanding", () => {
    const resolved = resolve(specOf({ address: SERVICE }), { named: { "Service/receiver": service() } });
    expect(resolved).toMatchObject({
      ok: true,
      value: { url: "http://receiver.shop.svc:8080/in?a=b", dial: { address: "10.96.0.7", port: 8_080 } },
    });
  });

  it.each([
    ["http", 80, "http://receiver.shop.svc/in"],
    ["https", 443, "https://receiver.shop.svc/in"],
    ["https", 80, "https://receiver.shop.svc:80/in"],
  ] as const)("over %s on %s is %s", (scheme, port, url) => {
    const address = { ...SERVICE, scheme, port, path: "/in" };
    const named = { "Service/receiver": service({ ports: [{ port, protocol: "TCP" }] }) };
    expect(resolve(specOf({ address }), { named })).toMatchObject({ ok: true, value: { url } });
  });

  it.each<[string, NamedLookup, string, RegExp, Partial<EgressPolicy>?]>([
    ["that is not there", { state: "absent" }, "ServiceNotFound", /does not exist in namespace shop/],
    ["that may not be read", { state: "forbidden", message: "hint" }, "RefAccessDenied", /hint/],
    ["that could not be read", { state: "unknown", message: "503" }, "RefUnknown", /503/],
    ["of type ExternalName", service({ type: "ExternalName", clusterIp: "" }), "ServiceNotDiallable", /ExternalName/],
    ["that is headless", service({ clusterIp: "None" }), "ServiceNotDiallable", /headless/],
    ["without an address yet", service({ clusterIp: "" }), "ServiceNotDiallable", /no ClusterIP/],
    ["with another port", service({ ports: [{ port: 80, protocol: "TCP" }] }), "ServicePortNotFound", /no TCP port 8080 \(it has 80\)/],
    ["with that port over UDP", service({ ports: [{ port: 8_080, protocol: "UDP" }] }), "ServicePortNotFound", /it has none/],
    ["in a denied range", service(), "EgressDenied", /deniedCIDRs/, { deniedCidrs: ["10.96.0.0/16"] }],
    ["at a metadata address", service({ clusterIp: "169.254.169.254" }), "EgressDenied", /metadata/],
    ["at a metadata address that IPv6 carries", service({ clusterIp: "::ffff:169.254.169.254" }), "EgressDenied", /metadata/],
    ["at what is no address", service({ clusterIp: "localhost" }), "EgressDenied", /not an IP address/],
    ["on a port that is not listed", service(), "EgressDenied", /port 8080/, { ports: [{ from: 443, to: 443 }] }],
    ["without a selector", service({ hasSelector: false }), "EgressDenied", /no spec\.selector.*give it a selector.*SameNamespaceAny/],
    [
      "without a selector, in a denied range",
      service({ hasSelector: false }),
      "EgressDenied",
      /deniedCIDRs/,
      { services: "SameNamespaceAny", deniedCidrs: ["10.0.0.0/8"] },
    ],
    ["with services None", service(), "EgressDenied", /egress\.services is None/, { services: "None" }],
  ])("%s is not", (_name, lookup, reason, words, egress = {}) => {
    const resolved = resolve(specOf({ address: SERVICE }), { named: { "Service/receiver": lookup }, egress });
    expect(resolved).toMatchObject({ ok: false, problem: { reason, message: expect.stringMatching(words) } });
    expect(!resolved.ok && resolved.problem.field).toMatch(/^spec\.endpoint\.serviceRef/);
  });

  it("without a selector is dialled where the cluster policy allows any", () => {
    const named = { "Service/receiver": service({ hasSelector: false }) };
    const resolved = resolve(specOf({ address: SERVICE }), { named, egress: { services: "SameNamespaceAny" } });
    expect(resolved).toMatchObject({ ok: true, value: { dial: { address: "10.96.0.7", port: 8_080 } } });
  });

  it("without a selector takes no dead letters either", () => {
    const named = { "Service/receiver": service({ hasSelector: false }) };
    const deadLetter: EndpointSpec = { address: SERVICE, headers: [], auth: undefined };
    expect(resolve(specOf({}, { deadLetter }), { named })).toMatchObject({
      ok: false,
      problem: { field: "spec.deadLetter.endpoint.serviceRef", reason: "EgressDenied" },
    });
  });

  it("is not asked about when it serves a database", () => {
    const named = { "Service/receiver": service({ ports: [{ port: 6_379, protocol: "TCP" }] }) };
    expect(resolve(specOf({ address: { ...SERVICE, port: 6_379 } }), { named })).toMatchObject({
      ok: false,
      problem: { reason: "EgressDenied" },
    });
  });
});

/** The spec in force may be one that an older version accepted. */
describe("a header that is denied by now", () => {
  it.each(["Impersonate-User", "X_Remote_User"])(
    "%s holds deliveries back, whether its value is written or comes from a Secret",
    (name) => {
      const secrets = { s: secret({ k: "root" }) };
      for (const value of ["root", { name: "s", key: "k" }]) {
        const resolved = resolve(specOf({ headers: [{ name, value }] }), { secrets });
        expect(resolved).toMatchObject({ ok: false, problem: { field: "spec.endpoint.headers[0].name", reason: "InvalidEndpoint" } });
        expect(!resolved.ok && resolved.problem.message).not.toContain("root");
      }
    },
  );

  it("is not signed into either", () => {
    const spec = specOf({});
    const hmac = {
      algorithm: "SHA256",
      encoding: "Hex",
      header: "X_Forwarded_User",
      prefix: "",
      timestampHeader: undefined,
      signedContent: "{body}",
      value: "{signature}",
    } as const;
    expect(resolve({ ...spec, signing: { ...spec.signing, scheme: "HMAC", hmac } }, {})).toMatchObject({
      ok: false,
      problem: { field: "spec.signing", reason: "InvalidEndpoint" },
    });
  });
});

describe("the egress proxy", () => {
  const egress = { proxySecretRef: { name: "proxy", key: "url" } };
  const proxied = (url: string) => resolve(specOf({}), { egress, system: { proxy: secret({ url }) } });

  it.each([
    ["http://proxy.internal:3128", "http://proxy.internal:3128", undefined],
    ["https://proxy.internal/\n", "https://proxy.internal", undefined],
    ["http://us%40er:p%3Aw@10.0.0.1:8080", "http://10.0.0.1:8080", "us@er:p:w"],
    ["http://token@[fd00::1]:8080", "http://[fd00::1]:8080", "token:"],
  ])("%s is taken apart", (text, url, credentials) => {
    const authorization = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
    expect(proxied(text)).toMatchObject({ ok: true, value: { proxy: { url, authorization } } });
  });

  it.each([
    "proxy.internal:3128",
    "socks5://proxy.internal",
    "http://proxy.internal/path",
    "http://a:%zz@proxy.internal",
    "http://a:%zz\nb@proxy.internal",
    "http://a:b@proxy.\tinternal",
    "http://a%3Ab:c@proxy.internal",
    "http://żółw:c@proxy.internal",
    "",
  ])("'%s' makes deliveries wait, and its credentials are not shown", (text) => {
    const resolved = proxied(text);
    expect(resolved).toMatchObject({ ok: false, problem: { reason: "SecretInvalid", field: "spec.egress.proxySecretRef" } });
    expect(JSON.stringify(resolved)).not.toContain("%zz");
  });

  it("is looked for in the operator's own namespace only", () => {
    const resolved = resolve(specOf({}), { egress, secrets: { proxy: secret({ url: "http://tenant.example" }) } });
    expect(resolved).toMatchObject({
      ok: false,
      problem: { reason: "SecretNotFound", message: expect.stringContaining("postrider-system") },
    });
  });
});

describe("the dead-letter endpoint", () => {
  it("is resolved beside the first one, and its problems name its own place", () => {
    const deadLetter: EndpointSpec = { address: SERVICE, headers: [{ name: "X-Key", value: { name: "k", key: "v" } }], auth: undefined };
    const spec = specOf({}, { deadLetter });
    const named = { "Service/receiver": service() };
    expect(resolve(spec, { named, secrets: { k: secret({ v: "abc" }) } })).toMatchObject({
      ok: true,
      value: { url: "https://example.com/x", deadLetter: { url: "http://receiver.shop.svc:8080/in?a=b", headers: [["X-Key", "abc"]] } },
    });
    expect(resolve(spec, { named })).toMatchObject({ ok: false, problem: { field: "spec.deadLetter.endpoint.headers[0].valueFrom" } });
    expect([...secretNames(spec)]).toEqual(["k"]);
    expect(namedRefs(spec)).toEqual([{ kind: "Service", name: "receiver" }]);
  });
});

describe("values from Secrets", () => {
  const ref = { name: "s", key: "v" };
  const basic = { kind: "basic", username: { name: "s", key: "user" }, passwordRef: ref } as const;

  it.each([
    ["a line break", "a\r\nX-Evil: 1"],
    ["a control character", "a\u0000b"],
    ["a character that would be sent as another one", "Zürich"],
    ["a space at an end", "a "],
    ["too many characters", "a".repeat(8_193)],
  ])("are sent as headers by the rules for those in the spec: %s", (_, value) => {
    const endpoint = { headers: [{ name: "X-Key", value: ref }] };
    const secrets = { s: secret({ v: value }) };
    const problem = { field: "spec.endpoint.headers[0].valueFrom", reason: "SecretInvalid" };
    expect(resolve(specOf(endpoint), { secrets })).toMatchObject({ ok: false, problem });
    expect(resolve(specOf({ auth: { kind: "bearer", ref } }), { secrets })).toMatchObject({
      ok: false,
      problem: { reason: "SecretInvalid" },
    });
  });

  it("are not sent empty where they are credentials", () => {
    const secrets = { s: secret({ v: "", user: "" }) };
    const problem = { reason: "SecretInvalid", message: expect.stringContaining("empty") };
    expect(resolve(specOf({ auth: { kind: "bearer", ref } }), { secrets })).toMatchObject({ ok: false, problem });
    expect(resolve(specOf({ auth: basic }), { secrets })).toMatchObject({ ok: false, problem });
  });

  it.each([
    ["a colon", "team:a", /colon/],
    ["a line break", "team\na", /line break/],
  ])("name no Basic user with %s, which a receiver would read as another one", (_, user, message) => {
    const problem = { field: "spec.endpoint.auth.basic.usernameSecretRef", message: expect.stringMatching(message) };
    expect(resolve(specOf({ auth: basic }), { secrets: { s: secret({ v: "p", user }) } })).toMatchObject({ ok: false, problem });
  });

  const oauth = {
    kind: "oauth2",
    tokenUrl: "https://id.example.com/token",
    clientIdRef: { name: "s", key: "user" },
    clientSecretRef: ref,
    scopes: [],
    audience: undefined,
  } as const;
  it.each([
    ["two line breaks at its end", "geheim\n\n"],
    ["a line break within", "ge\nheim"],
    ["a line break of Windows within", "ge\r\nheim"],
    ["a tab", "geheim\t"],
    ["a NUL", "geheim\u0000"],
    ["a DEL", "geheim\u007f"],
    ["a C1 control", "geheim\u0085"],
    ["a byte order mark before it", "\ufeffgeheim"],
  ])("hold no password and no client secret with %s, which a receiver would refuse for ever", (_, password) => {
    const secrets = { s: secret({ v: password, user: "ann" }) };
    const message = expect.stringMatching(/(password|client secret) contains a line break or another control character/);
    const resolved = resolve(specOf({ auth: basic }), { secrets });
    expect(resolved).toMatchObject({
      ok: false,
      problem: { field: "spec.endpoint.auth.basic.passwordSecretRef", reason: "SecretInvalid", message },
    });
    const exchanged = resolve(specOf({ auth: oauth }), { secrets });
    const field = "spec.endpoint.auth.oauth2ClientCredentials.clientSecretRef";
    expect(exchanged).toMatchObject({ ok: false, problem: { field, reason: "SecretInvalid", message } });
    expect(JSON.stringify([resolved, exchanged])).not.toContain("geheim");
    const proxy = { url: `http://ann:${encodeURIComponent(password)}@proxy.internal:3128` };
    const proxied = resolve(specOf({}), { egress: { proxySecretRef: { name: "proxy", key: "url" } }, system: { proxy: secret(proxy) } });
    expect(proxied).toMatchObject({ ok: false, problem: { field: "spec.egress.proxySecretRef", reason: "SecretInvalid" } });
    expect(JSON.stringify(proxied)).not.toContain("geheim");
  });

  it.each(["geheim", "geheim\n", "geheim\r\n"])("%j is the password geheim", (password) => {
    const authorization = `Basic ${Buffer.from("ann:geheim").toString("base64")}`;
    const secrets = { s: secret({ v: password, user: "ann" }) };
    expect(resolve(specOf({ auth: basic }), { secrets })).toMatchObject({ ok: true, value: { authorization } });
  });

  it("are refused where they are not UTF-8, which would be sent as other characters", () => {
    const latin: SecretLookup = {
      state: "usable",
      secret: {
        kind: "Secret",
        metadata: { name: "s" },
        type: "Opaque",
        data: { v: Buffer.from("gehe\xefm", "latin1"), user: Buffer.from("ann") },
        controllerUid: undefined,
      },
    };
    for (const auth of [basic, oauth]) {
      expect(resolve(specOf({ auth }), { secrets: { s: latin } })).toMatchObject({
        ok: false,
        problem: { reason: "SecretInvalid", message: "the Secret s, key v, is not UTF-8 text: write it in UTF-8" },
      });
    }
  });

  it("name Basic users and passwords in UTF-8, colons in passwords included", () => {
    const authorization = `Basic ${Buffer.from("żółw:pa:ß").toString("base64")}`;
    const secrets = { s: secret({ v: "pa:ß", user: "żółw" }) };
    expect(resolve(specOf({ auth: basic }), { secrets })).toMatchObject({ ok: true, value: { authorization } });
  });
});
