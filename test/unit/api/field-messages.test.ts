import { describe, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { PATTERN_WORDS } from "../../../src/api/pattern-words.ts";
import schemas from "../../../src/api/generated/schemas.json" with { type: "json" };

const SUBSCRIPTION = { events: { types: ["a"] }, endpoint: { url: "https://example.com/" } };

function said(kind: string, spec: unknown): string[] {
  const read = readCustomResource({ apiVersion: "postrider.dev/v1alpha1", kind, metadata: { name: "a", namespace: "shop" }, spec });
  return read.ok ? [] : read.problems.map(({ field, message }) => `${field}: ${message}`);
}

function patternsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => (name === "pattern" && typeof child === "string" ? [child] : patternsOf(child)));
}

it("every pattern of the schemas has words", () => {
  const patterns = new Set(patternsOf(schemas));
  expect(patterns.size).toBeGreaterThan(20);
  expect([...patterns].filter((pattern) => !PATTERN_WORDS.has(pattern))).toEqual([]);
});

describe("what is said of a slip", () => {
  it.each<[string, unknown, string]>([
    ["WebhookSubscription", { ...SUBSCRIPTION, event: {} }, 'unknown field "spec.event": did you mean events?'],
    ["WebhookSubscription", { ...SUBSCRIPTION, endpoint: { uri: "x" } }, "did you mean url?"],
    ["WebhookSubscription", { ...SUBSCRIPTION, events: { type: "a" } }, "did you mean types?"],
    [
      "WebhookSubscription",
      { ...SUBSCRIPTION, retries: 3 },
      "it belongs to a DeliveryPolicy, which spec.policyRef names: spec.retry there",
    ],
    ["WebhookSubscription", { ...SUBSCRIPTION, endpoint: { url: "https://a.b/", timeout: "5s" } }, "spec.timeout there"],
    ["WebhookSubscription", { ...SUBSCRIPTION, filter: "true" }, "it belongs to spec.events.filter"],
    ["WebhookSubscription", { ...SUBSCRIPTION, headers: [] }, "it belongs to spec.endpoint.headers"],
    ["WebhookSubscription", { ...SUBSCRIPTION, events: { types: "order.paid" } }, 'write a list, ["order.paid"]'],
    ["WebhookSubscription", { ...SUBSCRIPTION, signing: { scheme: "hmac" } }, "did you mean HMAC?"],
    ["WebhookSubscription", { ...SUBSCRIPTION, signing: { scheme: "HMAC" } }, "hmac with at least a header"],
    ["WebhookSubscription", { ...SUBSCRIPTION, signing: { secretRefs: "crm" } }, 'write a list, ["crm"]'],
    ["WebhookSubscription", { ...SUBSCRIPTION, suspend: "true" }, "write true without quotes"],
    ["DeliveryPolicy", { timeout: "10 sec" }, "must be a duration from 100ms to 5m, written in h, m, s and ms without spaces"],
    ["DeliveryPolicy", { timeout: "1d" }, "no days"],
    ["DeliveryPolicy", { timeout: 5 }, "write 5s (units h, m, s, ms)"],
    ["DeliveryPolicy", { retry: { maxAttempts: "4" } }, "write 4 without quotes"],
    ["DeliveryPolicy", { retry: { statusCodes: [500] } }, 'write "500" in quotes'],
    ["DeliveryPolicy", { retry: { statusCodes: ["5XX"] } }, '"5XX" is not a status from 300 to 599: write for example "429", "5xx"'],
    ["DeliveryPolicy", { retries: {} }, "did you mean retry?"],
    ["WebhookSubscripton", SUBSCRIPTION, "did you mean WebhookSubscription?"],
    ["Banana", SUBSCRIPTION, "it has WebhookSubscription, DeliveryPolicy, ClusterDeliveryPolicy, DeliveryReplay"],
  ])("%s %j", (kind, spec, expected) => {
    expect(said(kind, spec).join("\n")).toContain(expected);
    expect(said(kind, spec).join("\n")).not.toContain("should match");
  });

  it("is said once of what is no duration: neither a pattern nor its bounds are told too", () => {
    expect(said("DeliveryPolicy", { timeout: "1d" })).toHaveLength(1);
  });

  it("a manifest of very many unknown fields is told of the first ones, and costs no more", () => {
    const unknown = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`${"endpoint".repeat(7)}${at}`, 1]));
    const messages = said("WebhookSubscription", { events: { types: ["a"] }, ...unknown });
    expect(messages.filter((message) => message.includes("unknown field"))).toHaveLength(5_000);
    expect(messages.filter((message) => message.includes("supported: "))).toHaveLength(20);
  });

  it("never holds a value that may be a secret", () => {
    const headers = [{ name: "X-Token", value: "s3cret\r\n" }];
    expect(said("WebhookSubscription", { ...SUBSCRIPTION, endpoint: { url: "https://a.b/", headers } }).join()).not.toContain("s3cret");
  });
});
