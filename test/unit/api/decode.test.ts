import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { decodeClusterPolicy, decodePolicy } from "../../../src/api/decode-policy.ts";
import { decodeSubscription } from "../../../src/api/decode-subscription.ts";
import { durationMs } from "../../../src/lib/duration.ts";
import type { ClusterDeliveryPolicy, DeliveryPolicy, WebhookSubscription } from "../../../src/api/generated/custom-resources.ts";
import { NOT_IMPLEMENTED, notImplementedProblems } from "../../../src/api/not-implemented.ts";
import { portRange, statusRange } from "../../../src/api/number-range.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS } from "../../../src/core/policy.ts";

const REF = { name: "s", key: "k" };

function read(kind: string, spec: unknown, metadata: Record<string, unknown> = {}): unknown {
  const namespace = kind.startsWith("Cluster") ? {} : { namespace: "shop" };
  const result = readCustomResource({
    apiVersion: "postrider.dev/v1alpha1",
    kind,
    metadata: { name: "a", ...namespace, ...metadata },
    spec,
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const subscription = (changes: Record<string, unknown> = {}): WebhookSubscription =>
  read("WebhookSubscription", { events: { types: ["a"] }, endpoint: { url: "https://example.com/" }, ...changes }) as WebhookSubscription;
const policy = (spec: unknown, metadata?: Record<string, unknown>): DeliveryPolicy =>
  read("DeliveryPolicy", spec, metadata) as DeliveryPolicy;
const clusterPolicy = (spec: unknown): ClusterDeliveryPolicy => read("ClusterDeliveryPolicy", spec) as ClusterDeliveryPolicy;

describe("a subscription", () => {
  it("takes its defaults", () => {
    expect(decodeSubscription(subscription())).toEqual({
      ok: true,
      value: {
        className: "postrider",
        suspend: false,
        types: ["a"],
        filter: undefined,
        endpoint: { address: { kind: "url", url: "https://example.com/" }, headers: [], auth: undefined },
        payload: { format: "StandardWebhooks", formParameter: "payload", body: undefined },
        signing: { scheme: "StandardWebhooks", secretRefs: [], secretDeletionPolicy: "Retain", hmac: undefined, token: undefined },
        policyName: undefined,
        history: { captureResponse: true, answerInResults: false, recordIdField: undefined },
        deletionPolicy: "Drain",
      },
    });
  });

  it("keeps what is written", () => {
    const decoded = decodeSubscription(
      subscription({
        suspend: true,
        endpoint: {
          urlSecretRef: REF,
          headers: [
            { name: "X-A", value: "" },
            { name: "X-B", valueFrom: { secretKeyRef: REF } },
          ],
          auth: { basic: { username: "u", passwordSecretRef: REF } },
        },
        signing: { scheme: "HMAC", secretRefs: [REF], hmac: { header: "X-Hub-Signature-256", prefix: "sha256=" } },
        policyRef: { name: "careful" },
        history: { answerInResults: true, recordIDField: "data.id" },
        deletionPolicy: "Discard",
      }),
    );
    expect(decoded).toMatchObject({
      ok: true,
      value: {
        suspend: true,
        endpoint: {
          address: { kind: "urlSecretRef", ref: REF },
          headers: [
            { name: "X-A", value: "" },
            { name: "X-B", value: REF },
          ],
          auth: { kind: "basic", username: "u", passwordRef: REF },
        },
        signing: {
          scheme: "HMAC",
          secretRefs: [REF],
          hmac: {
            algorithm: "SHA256",
            encoding: "Hex",
            header: "X-Hub-Signature-256",
            prefix: "sha256=",
            signedContent: "{body}",
            value: "{prefix}{signature}",
          },
        },
        policyName: "careful",
        history: { captureResponse: true, answerInResults: true, recordIdField: "data.id" },
        deletionPolicy: "Discard",
      },
    });
  });

  it("gives a timestamp token its style", () => {
    const decoded = decodeSubscription(subscription({ signing: { scheme: "TimestampToken" } }));
    expect(decoded.ok && decoded.value.signing.token).toEqual({
      field: "token",
      placement: "Body",
      separator: "|",
      algorithm: "SHA256",
      encoding: "Hex",
    });
  });
});

describe("what is not obeyed yet", () => {
  const cases: [string, Parameters<typeof notImplementedProblems>[0]][] = [
    ["", read("DeliveryReplay", { subscriptionRef: { name: "a" }, from: "All" }) as Parameters<typeof notImplementedProblems>[0]],
  ];

  it("is shown for every line of the table", () => {
    expect(cases.map(([field]) => field)).toEqual(NOT_IMPLEMENTED.map((entry) => entry.field));
  });

  it.each(cases)("%s is named", (field, resource) => {
    const problems = notImplementedProblems(resource);
    expect(problems).toMatchObject([{ field, reason: "NotImplemented" }]);
    expect(problems[0]?.message).toContain(field === "" ? "DeliveryReplay" : field);
  });

  it("may stand there with its default", () => {
    const resource = subscription({
      endpoint: { url: "https://example.com/", tls: { minVersion: "TLS12" } },
      ordering: { mode: "None" },
      verification: "None",
    });
    expect(notImplementedProblems(resource)).toEqual([]);
    expect(notImplementedProblems(clusterPolicy({ egress: { services: "SameNamespace" } }))).toEqual([]);
  });
});

describe("policies", () => {
  it("leave out what is not written", () => {
    const decoded = decodePolicy(
      policy({}, { uid: "u", generation: 3, creationTimestamp: "2026-01-10T08:00:00Z", labels: { "postrider.dev/default": "true" } }),
    );
    expect(decoded).toMatchObject({
      ok: true,
      value: { namespace: "shop", name: "a", uid: "u", generation: 3, createdAtMs: 1_768_032_000_000, isDefault: true },
    });
    expect(decoded.ok && Object.values(decoded.value.fields).filter((value) => value !== undefined)).toEqual([]);
  });

  it("count in milliseconds and ranges", () => {
    const decoded = decodePolicy(
      policy({
        timeout: "1m30s",
        retry: { maxAttempts: 3, schedule: ["0s", "1h"], statusCodes: ["404", "5xx", "300-499"], retryAfterMax: "0s", jitterPercent: 0 },
        success: { statusCodes: ["2xx"] },
        rateLimit: { requests: 5 },
        circuitBreaker: { openFor: "10s" },
        retention: { responseBytes: 0 },
      }),
    );
    expect(decoded).toMatchObject({
      ok: true,
      value: {
        isDefault: false,
        fields: {
          timeoutMs: 90_000,
          retry: {
            maxAttempts: 3,
            delays: { kind: "schedule", delaysMs: [0, 3_600_000] },
            retryableCodes: [
              { from: 404, to: 404 },
              { from: 500, to: 599 },
              { from: 300, to: 499 },
            ],
            retryAfterMaxMs: 0,
            jitterPercent: 0,
          },
          successCodes: [{ from: 200, to: 299 }],
          rateLimit: { requests: 5, perMs: 1_000, burst: 5 },
          circuitBreaker: { openForMs: 10_000 },
          retention: { responseBytes: 0 },
        },
      },
    });
  });

  it("take an empty backoff for the built-in one", () => {
    const decoded = decodePolicy(policy({ retry: { backoff: {} } }));
    expect(decoded.ok && decoded.value.fields.retry?.delays).toEqual({
      kind: "backoff",
      growth: "Exponential",
      initialMs: 2_000,
      maxMs: 3_600_000,
    });
  });

  it("of the cluster have limits and egress even when they say nothing", () => {
    expect(decodeClusterPolicy(clusterPolicy({}))).toMatchObject({
      ok: true,
      value: { namespaceSelector: undefined, limits: BUILT_IN_LIMITS, egress: BUILT_IN_EGRESS },
    });
    expect(decodeClusterPolicy(clusterPolicy({ egress: {}, limits: {}, namespaceSelector: {} }))).toMatchObject({
      ok: true,
      value: { namespaceSelector: { matchLabels: {}, matchExpressions: [] }, limits: BUILT_IN_LIMITS, egress: BUILT_IN_EGRESS },
    });
  });

  it("of the cluster say where deliveries may go", () => {
    const decoded = decodeClusterPolicy(
      clusterPolicy({ egress: { allowedCIDRs: ["10.0.0.0/8"], allowPlainHTTP: true, ports: ["443", "8000-8999"] } }),
    );
    expect(decoded.ok && decoded.value.egress).toEqual({
      allowedHosts: [],
      allowedCidrs: ["10.0.0.0/8"],
      deniedCidrs: [],
      allowPlainHttp: true,
      ports: [
        { from: 443, to: 443 },
        { from: 8_000, to: 8_999 },
      ],
      services: "SameNamespace",
    });
  });
});

describe("small values", () => {
  it.each([
    ["0s", 0],
    ["500ms", 500],
    ["1h30m", 5_400_000],
    ["5m5ms", 300_005],
    ["1s1h", 3_601_000],
    ["99999h", 359_996_400_000],
  ])("%s is %i ms", (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it("durations add up", () => {
    const part = fc.tuple(fc.integer({ min: 0, max: 99_999 }), fc.constantFrom("h", "m", "s", "ms"));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const sum = parts.reduce((total, [count, unit]) => total + durationMs(`${count}${unit}`), 0);
        expect(durationMs(parts.map(([count, unit]) => `${count}${unit}`).join(""))).toBe(sum);
      }),
    );
  });

  it("what is no duration is a broken assumption", () => {
    expect(() => durationMs("soon")).toThrow("not a GEP-2257 duration");
  });

  it("ranges", () => {
    expect(statusRange("404")).toEqual({ from: 404, to: 404 });
    expect(statusRange("2xx")).toEqual({ from: 200, to: 299 });
    expect(statusRange("300-499")).toEqual({ from: 300, to: 499 });
    expect(portRange("1-65535")).toEqual({ from: 1, to: 65_535 });
  });
});
