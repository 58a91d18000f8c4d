import { describe, expect, it } from "vitest";
import { decodeClusterPolicy, decodePolicy } from "../../../src/api/decode-policy.ts";
import { decodeSubscription } from "../../../src/api/decode-subscription.ts";
import type { ClusterDeliveryPolicy, DeliveryPolicy, WebhookSubscription } from "../../../src/api/generated/custom-resources.ts";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import schemas from "../../../src/api/generated/schemas.json" with { type: "json" };
import { UNIONS } from "../../../src/api/unions.ts";

/** As an API server with newer CRDs gives it out: its defaults filled in, with a part that this version does not know. */
function newer(kind: string, spec: object, put: (spec: Record<string, never>) => void): { readonly kind: string } {
  const metadata = { name: "a", ...(kind === "ClusterDeliveryPolicy" ? {} : { namespace: "shop" }) };
  const read = readCustomResource({ apiVersion: "postrider.dev/v1alpha1", kind, metadata, spec });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  const object = structuredClone(read.value) as unknown as { kind: string; spec: Record<string, never> };
  put(object.spec);
  return object;
}

function refusals(object: { readonly kind: string }): (readonly [field: string, reason: string, message: string])[] {
  const decoded =
    object.kind === "WebhookSubscription"
      ? decodeSubscription(object as WebhookSubscription)
      : object.kind === "DeliveryPolicy"
        ? decodePolicy(object as DeliveryPolicy)
        : decodeClusterPolicy(object as ClusterDeliveryPolicy);
  return decoded.ok ? [] : decoded.problems.map(({ field, reason, message }) => [field, reason, message]);
}

const ENDPOINT = { url: "https://example.com/" };
const SUBSCRIPTION = { events: { types: ["a"] }, endpoint: ENDPOINT };
const BASIC = { basic: { username: "u", passwordSecretRef: { name: "s", key: "k" } } };

/** What an older version makes of each place where a newer one may add a possibility: the field that it names, and what it shows of it. */
const NEWER: readonly [string, string, object, object, field: string, shown: string][] = [
  ["endpoint", "WebhookSubscription", SUBSCRIPTION, { endpoint: { queueRef: { name: "q" } } }, "spec.endpoint", "queueRef"],
  [
    "dead letter",
    "WebhookSubscription",
    { ...SUBSCRIPTION, deadLetter: { endpoint: ENDPOINT } },
    { deadLetter: { endpoint: { queueRef: {} } } },
    "spec.deadLetter.endpoint",
    "queueRef",
  ],
  ["auth", "WebhookSubscription", SUBSCRIPTION, { endpoint: { ...ENDPOINT, auth: { spiffe: {} } } }, "spec.endpoint.auth", "spiffe"],
  [
    "user",
    "WebhookSubscription",
    { ...SUBSCRIPTION, endpoint: { ...ENDPOINT, auth: BASIC } },
    { endpoint: { ...ENDPOINT, auth: { basic: { usernameFrom: {}, passwordSecretRef: { name: "s", key: "k" } } } } },
    "spec.endpoint.auth.basic",
    "usernameFrom",
  ],
  [
    "header",
    "WebhookSubscription",
    SUBSCRIPTION,
    {
      endpoint: {
        ...ENDPOINT,
        headers: [
          { name: "A", value: "1" },
          { name: "B", valueExpression: "x" },
        ],
      },
    },
    "spec.endpoint.headers[1]",
    "valueExpression",
  ],
  [
    "kind of a CA",
    "WebhookSubscription",
    SUBSCRIPTION,
    { endpoint: { ...ENDPOINT, tls: { caRef: { kind: "ClusterTrustBundle", name: "b", key: "ca.crt" }, minVersion: "TLS12" } } },
    "spec.endpoint.tls.caRef.kind",
    "ClusterTrustBundle",
  ],
  ["payload", "WebhookSubscription", SUBSCRIPTION, { payload: { format: "Avro" } }, "spec.payload.format", "Avro"],
  ["signing", "WebhookSubscription", SUBSCRIPTION, { signing: { scheme: "Quantum" } }, "spec.signing.scheme", "Quantum"],
  ["deletion", "WebhookSubscription", SUBSCRIPTION, { deletionPolicy: "Hold" }, "spec.deletionPolicy", "Hold"],
  ["backoff", "DeliveryPolicy", {}, { retry: { backoff: { policy: "Fibonacci" } } }, "spec.retry.backoff.policy", "Fibonacci"],
  [
    "selector",
    "ClusterDeliveryPolicy",
    {},
    { namespaceSelector: { matchExpressions: [{ key: "a", operator: "Gt", values: ["1"] }] } },
    "spec.namespaceSelector.matchExpressions[0].operator",
    "Gt",
  ],
  ["services", "ClusterDeliveryPolicy", {}, { egress: { services: "Any", allowPlainHTTP: false } }, "spec.egress.services", "Any"],
];

describe("an object of a newer version", () => {
  it.each(NEWER)("with another %s is refused by name, and nothing throws", (_, kind, spec, change, field, shown) => {
    const found = refusals(newer(kind, spec, (written) => Object.assign(written, change)));
    expect(found.map(([at, reason]) => [at, reason])).toEqual([[field, "NotImplemented"]]);
    expect(found[0]?.[2]).toContain(shown);
    expect(found[0]?.[2]).toMatch(/^spec\..*: .*not supported by this version of Postrider: .*, or upgrade Postrider$/);
  });

  it.each([
    ["WebhookSubscription", SUBSCRIPTION],
    ["DeliveryPolicy", {}],
    ["ClusterDeliveryPolicy", { namespaceSelector: {} }],
  ])("%s with a field that only adds something is read without it", (kind, spec) => {
    const object = newer(kind, spec, (written) => Object.assign(written, { color: "blue", endpointColors: { a: [1] } }));
    expect(refusals(object)).toEqual([]);
  });

  it("names what it says at most in 64 characters", () => {
    const object = newer("WebhookSubscription", SUBSCRIPTION, (written) =>
      Object.assign(written, { payload: { format: "x".repeat(5_000) } }),
    );
    expect(refusals(object)[0]?.[2].length).toBeLessThan(300);
  });
});

describe("the unions", () => {
  /** Members that were ever in a released version, in their order. A list grows at its end and loses nothing. */
  const RELEASED: Record<keyof typeof UNIONS, readonly string[]> = {
    endpoint: ["url", "urlSecretRef", "serviceRef"],
    auth: ["bearer", "basic", "oauth2ClientCredentials", "serviceAccountToken"],
    header: ["value", "valueFrom"],
    basicUser: ["username", "usernameSecretRef"],
  };

  it.each(Object.entries(RELEASED))("%s only grows", (name, released) => {
    expect(UNIONS[name as keyof typeof UNIONS].slice(0, released.length)).toEqual(released);
  });

  it("are all that the CRDs' rules say exactly one of, and each is found by its fields", () => {
    const rules: string[][] = [];
    const visit = (schema: unknown): void => {
      if (typeof schema !== "object" || schema === null) return;
      for (const { rule } of (schema as { "x-kubernetes-validations"?: { rule: string }[] })["x-kubernetes-validations"] ?? []) {
        const found = /^\[(has\(self\.\w+\)(?:, )?)+\]\.filter\(x, x\)\.size\(\) == 1$/.test(rule);
        if (found) rules.push([...rule.matchAll(/has\(self\.(\w+)\)/g)].map(([, field]) => field ?? ""));
      }
      for (const child of Object.values(schema)) visit(child);
    };
    visit(schemas);
    const names = (lists: readonly (readonly string[])[]): string[] => [...new Set(lists.map((list) => list.join(" ")))].toSorted();
    expect(names(rules)).toEqual(names(Object.values(UNIONS)));
  });
});
