import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import type { WebhookSubscription } from "../../../src/api/generated/custom-resources.ts";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { ExpressionCache } from "../../../src/controller/subscription/expression-cache.ts";
import type { ObjectKind, Resources, SecretLookup, SecretObject, WatchedObject } from "../../../src/controller/objects.ts";
import { PolicyView } from "../../../src/controller/policy/policy-view.ts";
import { conditionDrafts } from "../../../src/controller/subscription/status.ts";
import { judgeSubscription } from "../../../src/controller/subscription/checks.ts";
import type { Verdict } from "../../../src/controller/subscription/checks.ts";
import { gatherFacts } from "../../../src/controller/subscription/facts.ts";
import { BUILT_IN_EGRESS, BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import { ObjectCache } from "../../../src/provider/object-cache.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const WHSEC = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

class Shelf implements Resources {
  readonly cache = new ObjectCache();
  readonly secrets = new Map<string, SecretLookup>();
  readonly synced = true;
  isListed = (): boolean => true;
  secretsOf = (): "read" => "read";
  knowsNamespace = (): boolean => true;
  isGone: Resources["isGone"] = (kind, namespace, name) => this.get(kind, namespace, name) === undefined;
  unlisted = (): [] => [];
  get: Resources["get"] = (kind, namespace, name) => this.cache.get(kind, namespace, name);
  list: Resources["list"] = (kind, namespace) => this.cache.list(kind, namespace);
  findSecret = (_namespace: string, name: string): SecretLookup => this.secrets.get(name) ?? { state: "absent" };
  findNamed: Resources["findNamed"] = (kind, namespace, name) => {
    const object = this.cache.get(kind, namespace, name);
    return object === undefined ? { state: "absent" } : { state: "found", object };
  };
  onChange = (): void => undefined;
}

function secret(data: Record<string, string>, controllerUid?: string): SecretLookup {
  const bytes = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value)]));
  const object: SecretObject = { kind: "Secret", metadata: { name: "s", namespace: "shop" }, type: "Opaque", data: bytes, controllerUid };
  return { state: "usable", secret: object };
}

function object(kind: ObjectKind, spec: string, name = "orders"): WatchedObject {
  const namespaced = kind === "ClusterDeliveryPolicy" ? {} : { namespace: "shop" };
  const read = readCustomResource({
    apiVersion: "postrider.dev/v1alpha1",
    kind,
    metadata: { name, uid: "u1", generation: 4, ...namespaced },
    spec: parse(spec),
  });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.value;
}

interface Given {
  readonly endpoint?: string;
  readonly rest?: string;
  readonly events?: string;
  readonly secrets?: Readonly<Record<string, SecretLookup>>;
  readonly policies?: readonly WatchedObject[];
  readonly lastAccepted?: AcceptedSpec;
}

async function judge(given: Given): Promise<Verdict> {
  const shelf = new Shelf();
  for (const policy of given.policies ?? []) shelf.cache.set((policy as { kind: ObjectKind }).kind, policy);
  for (const [name, lookup] of Object.entries(given.secrets ?? {})) shelf.secrets.set(name, lookup);
  const spec = `{events: ${given.events ?? "{types: [a]}"}, endpoint: ${given.endpoint ?? '{url: "https://example.com/x"}'}, ${given.rest ?? "signing: {scheme: None}"}}`;
  const subscription = object("WebhookSubscription", spec) as WebhookSubscription;
  const facts = await gatherFacts(
    {
      resources: shelf,
      policies: new PolicyView(shelf, "postrider"),
      systemNamespace: "postrider-system",
      className: "postrider",
      clock: new ManualClock(),
    },
    subscription,
    given.lastAccepted,
  );
  return judgeSubscription(facts, new ExpressionCache());
}

const cluster = (spec: string): WatchedObject => object("ClusterDeliveryPolicy", spec, "base");
/** Stored under the schema of another version. */
const UNREADABLE = {
  apiVersion: "postrider.dev/v1alpha1",
  kind: "ClusterDeliveryPolicy",
  metadata: { name: "old" },
  spec: { timeout: "soon" },
} as unknown as WatchedObject;
const own = (scheme: string): string => `signing: {scheme: ${scheme}, secretRefs: [{name: k, key: secret}]}`;

const oauth2 = (tokenUrl = "https://id.example.com/token"): string =>
  `{oauth2ClientCredentials: {tokenURL: "${tokenUrl}", clientIDSecretRef: {name: c, key: id}, clientSecretRef: {name: c, key: secret}, scopes: [a], audience: x}}`;

const serviceAccount = (audience = "https://receiver.test"): string =>
  `{url: "https://example.com/x", auth: {serviceAccountToken: {serviceAccountName: till, audience: "${audience}"}}}`;

describe("what is not accepted", () => {
  it.each<[string, Given, string, RegExp]>([
    ["a filter that is not CEL", { events: '{types: [a], filter: "event.data.size >"}' }, "InvalidFilter", /CEL/],
    ["a body that is not CEL", { rest: 'signing: {scheme: None}, payload: {body: "{"}' }, "InvalidBody", /CEL/],
    ["a loopback address", { endpoint: '{url: "https://127.0.0.1/"}' }, "EgressDenied", /127\.0\.0\.1.*no ClusterDeliveryPolicy applies/s],
    ["plain http", { endpoint: '{url: "http://example.com/"}' }, "EgressDenied", /example\.com/],
    [
      "a host that the cluster policy does not list",
      { policies: [cluster("{egress: {allowedHosts: [api.test]}}")] },
      "EgressDenied",
      /example\.com.*ClusterDeliveryPolicy base/s,
    ],
    ["a URL longer than the limit", { policies: [cluster("{limits: {urlLength: 20}}")] }, "InvalidEndpoint", /20/],
    [
      "a header that signing sets",
      {
        endpoint: '{url: "https://example.com/x", headers: [{name: X-A, value: b}, {name: x-hub-signature-256, value: a}]}',
        rest: "signing: {scheme: HMAC, hmac: {header: X-Hub-Signature-256}, secretRefs: [{name: k, key: secret}]}",
      },
      "InvalidEndpoint",
      /x-hub-signature-256.*set by spec\.signing/,
    ],
    [
      "a header that HTTP Message Signatures set",
      { endpoint: '{url: "https://example.com/x", headers: [{name: Signature, value: b}]}', rest: own("HTTPMessageSignatures") },
      "InvalidEndpoint",
      /Signature.*set by spec\.signing/,
    ],
    [
      "a signature into a header that frames the request",
      { rest: "signing: {scheme: HMAC, hmac: {header: Host}, secretRefs: [{name: k, key: secret}]}" },
      "InvalidEndpoint",
      /spec\.signing.*Host/,
    ],
    [
      "a signature into the header that auth sets",
      {
        endpoint: `{url: "https://example.com/x", auth: {bearer: {secretRef: {name: t, key: token}}}}`,
        rest: "signing: {scheme: TimestampToken, token: {placement: Header, field: Authorization}, secretRefs: [{name: k, key: secret}]}",
      },
      "InvalidEndpoint",
      /Authorization/,
    ],
    ...["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "kubernetes"].map(
      (audience): [string, Given, string, RegExp] => [
        `a token for the API server (${audience})`,
        { endpoint: serviceAccount(audience) },
        "InvalidEndpoint",
        /the API server's.*set the receiver's own audience/,
      ],
    ),
    [
      "a token endpoint on a private address",
      { endpoint: `{url: "https://example.com/x", auth: ${oauth2("https://10.0.0.1/token")}}` },
      "EgressDenied",
      /^10\.0\.0\.1: .*no ClusterDeliveryPolicy applies/s,
    ],
  ])("%s", async (_, given, reason, message) => {
    const verdict = await judge(given);
    expect(verdict.refusal).toMatchObject({ reason });
    expect(verdict.refusal?.message).toMatch(message);
    expect(verdict.active).toBeUndefined();
  });
});

describe("what waits although it is accepted", () => {
  const auth = (how: string): string => `{url: "https://example.com/x", auth: ${how}}`;
  const bearer = auth("{bearer: {secretRef: {name: t, key: token}}}");
  it.each<[string, Given, string, RegExp]>([
    ["an absent Secret", { endpoint: bearer }, "SecretNotFound", /Secret t does not exist in namespace shop/],
    [
      "an unlabelled one",
      { endpoint: bearer, secrets: { t: { state: "unlabelled" } } },
      "RefNotPermitted",
      /`kubectl label secret t postrider\.dev\/use=true -n shop`/,
    ],
    [
      "one that may not be read",
      { endpoint: bearer, secrets: { t: { state: "forbidden", message: "kubectl create rolebinding" } } },
      "SecretAccessDenied",
      /rolebinding/,
    ],
    ["a client's absent Secret", { endpoint: auth(oauth2()) }, "SecretNotFound", /oauth2ClientCredentials\.clientIDSecretRef/],
    [
      "an empty client secret",
      { endpoint: auth(oauth2()), secrets: { c: secret({ id: "me", secret: "\n" }) } },
      "SecretInvalid",
      /value is empty/,
    ],
    ["an absent key", { endpoint: bearer, secrets: { t: secret({ other: "x" }) } }, "SecretKeyNotFound", /no key token \(it has other\)/],
    ["a token with a line break", { endpoint: bearer, secrets: { t: secret({ token: "a\nb" }) } }, "SecretInvalid", /line break/],
    [
      "a header from an absent Secret",
      { endpoint: '{url: "https://example.com/x", headers: [{name: X-A, valueFrom: {secretKeyRef: {name: h, key: v}}}]}' },
      "SecretNotFound",
      /headers\[0\]/,
    ],
    [
      "a secret URL that is forbidden",
      { endpoint: "{urlSecretRef: {name: t, key: url}}", secrets: { t: secret({ url: "https://10.0.0.1/hidden" }) } },
      "EgressDenied",
      /./,
    ],
    [
      "a key that is no key",
      { rest: own("StandardWebhooks"), secrets: { k: secret({ secret: "short" }) } },
      "SecretInvalid",
      /Secret k, key secret/,
    ],
    ["a missing policy", { rest: "signing: {scheme: None}, policyRef: {name: gone}" }, "PolicyNotFound", /gone/],
    ["a cluster policy that cannot be read", { policies: [UNREADABLE] }, "PolicyNotAccepted", /ClusterDeliveryPolicy old is not accepted/],
    [
      "an egress proxy whose Secret is not there",
      { policies: [cluster("{egress: {proxySecretRef: {name: way-out, key: url}}}")] },
      "SecretNotFound",
      /egress proxy.*way-out.*postrider-system/,
    ],
    [
      "a foreign Secret in the generated one's place",
      { rest: "suspend: false", secrets: { "orders-signing": secret({ secret: WHSEC }, "somebody") } },
      "SecretConflict",
      /orders-signing/,
    ],
    [
      "an unlabelled one in its place",
      { rest: "suspend: false", secrets: { "orders-signing": { state: "unlabelled" } } },
      "SecretConflict",
      /orders-signing/,
    ],
  ])("%s", async (_, given, reason, message) => {
    const verdict = await judge(given);
    expect(verdict.refusal).toBeUndefined();
    expect(verdict.active?.blocked).toMatchObject({ reason });
    expect(verdict.active?.blocked?.message).toMatch(message);
    expect(verdict.active?.target).toBeUndefined();
    expect(verdict.needsKey).toBe(false);
  });

  it("never puts a secret's value into words", async () => {
    const hidden = ["https://10.0.0.1/canary", "canary\nx", "canary"];
    for (const value of hidden) {
      const url = await judge({ endpoint: "{urlSecretRef: {name: t, key: url}}", secrets: { t: secret({ url: value }) } });
      const key = await judge({ rest: own("StandardWebhooks"), secrets: { k: secret({ secret: value }) } });
      expect(JSON.stringify([url.active?.blocked, key.active?.blocked])).not.toContain("canary");
    }
  });
});

describe("what is sent", () => {
  it("resolves every reference", async () => {
    const verdict = await judge({
      endpoint:
        '{urlSecretRef: {name: t, key: url}, headers: [{name: X-A, value: "1"}, {name: X-B, valueFrom: {secretKeyRef: {name: t, key: b}}}], auth: {basic: {username: me, passwordSecretRef: {name: t, key: p}}}}',
      rest: own("StandardWebhooks"),
      secrets: { t: secret({ url: "https://example.com/s\n", b: "2", p: "pass:word\n" }), k: secret({ secret: WHSEC }) },
    });
    expect(verdict.active?.target).toMatchObject({
      url: "https://example.com/s",
      headers: [
        ["X-A", "1"],
        ["X-B", "2"],
      ],
      authorization: `Basic ${Buffer.from("me:pass:word").toString("base64")}`,
      keys: [{ kind: "hmac" }],
    });
  });

  it("resolves a client's credentials", async () => {
    const endpoint = `{url: "https://example.com/x", auth: ${oauth2()}}`;
    const verdict = await judge({ endpoint, secrets: { c: secret({ id: "me\n", secret: "hidden" }) } });
    expect(verdict.active?.target).toMatchObject({
      authorization: undefined,
      credential: {
        kind: "oauth2",
        tokenUrl: "https://id.example.com/token",
        clientId: "me",
        clientSecret: "hidden",
        scopes: ["a"],
        audience: "x",
      },
    });
  });

  it("asks for a key when none is named, once", async () => {
    expect(await judge({ rest: "suspend: false" })).toMatchObject({ needsKey: true, active: { blocked: { reason: "SecretPending" } } });
    const made = await judge({ rest: "suspend: false", secrets: { "orders-signing": secret({ secret: WHSEC }, "u1") } });
    expect(made).toMatchObject({ needsKey: false, ownKey: { metadata: { name: "s" } }, active: { blocked: undefined } });
  });

  it("reads Ed25519 keys", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32).toString("base64");
    const verdict = await judge({ rest: own("StandardWebhooksEd25519"), secrets: { k: secret({ secret: `whsk_${seed}` }) } });
    expect(verdict.active?.target?.keys).toMatchObject([{ kind: "ed25519" }]);
  });
});

describe("an edit that is refused", () => {
  const good = async (rest = "suspend: false"): Promise<AcceptedSpec> => {
    const verdict = await judge({ rest, secrets: { "orders-signing": secret({ secret: WHSEC }, "u1") } });
    if (verdict.active === undefined) throw new Error("not accepted");
    const { spec } = verdict.active;
    return {
      uid: "u1",
      namespace: "shop",
      name: "orders",
      generation: 3,
      spec,
      policy: BUILT_IN_POLICY,
      egress: BUILT_IN_EGRESS,
      signingSecretName: "orders-signing",
      lastHandledResume: undefined,
    };
  };

  it("leaves the last accepted spec in force, and says so", async () => {
    const verdict = await judge({
      events: '{types: [b], filter: "("}',
      rest: "suspend: false",
      lastAccepted: await good(),
      secrets: { "orders-signing": secret({ secret: WHSEC }, "u1") },
    });
    expect(verdict.refusal?.reason).toBe("InvalidFilter");
    expect(verdict.active).toMatchObject({ generation: 3, spec: { types: ["a"] }, blocked: undefined });
    const drafts = conditionDrafts({
      generation: 4,
      verdict,
      programmed: true,
      draining: false,
      health: undefined,
      filterErrors: undefined,
      signingName: "orders-signing",
      lastHandledResume: undefined,
    });
    const byType = Object.fromEntries(drafts.map(({ type, status, reason }) => [type, `${status}/${reason}`]));
    expect(byType).toEqual({
      Ready: "False/InvalidFilter",
      Accepted: "False/InvalidFilter",
      ResolvedRefs: "True/ResolvedRefs",
      Programmed: "True/Programmed",
      EndpointHealthy: "Unknown/Idle",
      Suspended: "False/NotSuspended",
      Reconciling: "False/Reconciled",
      Stalled: "True/InvalidFilter",
    });
    expect(drafts.find(({ type }) => type === "Accepted")?.message).toContain("generation 3, the last accepted one, stays in force");
  });

  it("waits when a policy now forbids what was accepted", async () => {
    const verdict = await judge({
      rest: "suspend: false",
      lastAccepted: await good(),
      policies: [cluster("{egress: {allowedHosts: [api.test]}}")],
      secrets: { "orders-signing": secret({ secret: WHSEC }, "u1") },
    });
    expect(verdict.refusal?.reason).toBe("EgressDenied");
    expect(verdict.active?.blocked?.reason).toBe("EgressDenied");
  });

  it("never generates a lost key again", async () => {
    const verdict = await judge({ rest: "suspend: false", lastAccepted: await good() });
    expect(verdict.needsKey).toBe(false);
    expect(verdict.active?.blocked).toMatchObject({ reason: "SecretNotFound" });
    expect(verdict.active?.blocked?.message).toContain("is not generated again");
  });
});
