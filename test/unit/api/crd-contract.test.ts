import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseCel } from "@bufbuild/cel";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { durationMs } from "../../../src/lib/duration.ts";
import { statusRange } from "../../../src/api/number-range.ts";
import type { Rule, Schema } from "../../../src/api/schema.ts";
import { BUILT_IN_POLICY, inRanges } from "../../../src/core/policy.ts";

const CRDS = join(import.meta.dirname, "../../../crds");
const CRD_BYTES_MAX = 100 * 1024;

interface Crd {
  metadata: { name: string };
  spec: {
    scope: string;
    names: { kind: string; plural: string; shortNames: string[]; categories?: string[] };
    versions: {
      name: string;
      subresources: unknown;
      selectableFields?: { jsonPath: string }[];
      deprecated?: boolean;
      deprecationWarning?: string;
      additionalPrinterColumns: { name: string; priority?: number }[];
      schema: { openAPIV3Schema: Schema };
    }[];
  };
}

const files = readdirSync(CRDS).filter((file) => file.endsWith(".yaml"));
const crds = files.map((file) => {
  const text = readFileSync(join(CRDS, file), "utf8");
  const crd = parse(text) as Crd;
  const version = crd.spec.versions[0];
  if (version === undefined) throw new Error(`${file} has no version`);
  return { file, text, crd, version, schema: version.schema.openAPIV3Schema };
});

interface Node {
  readonly path: string;
  readonly name: string;
  readonly schema: Schema;
}

/** Every schema of a CRD but apiVersion, kind and metadata, which belong to the API server. */
function nodes(schema: Schema, path: string, name = "", isRoot = true): Node[] {
  const children = [
    ...Object.entries(schema.properties ?? {}).filter(([key]) => !isRoot || key === "spec" || key === "status"),
    ...(schema.items === undefined ? [] : [["[]", schema.items] as const]),
    ...(schema.additionalProperties === undefined ? [] : [["{}", schema.additionalProperties] as const]),
  ];
  const own = isRoot ? [] : [{ path, name, schema }];
  return [...own, ...children.flatMap(([key, child]) => nodes(child, `${path}.${key}`, key, false))];
}

const all = crds.flatMap(({ crd, schema }) => nodes(schema, crd.spec.names.kind));
const paths = (found: readonly Node[]): string[] => found.map((node) => node.path);

/** Functions of CEL as Kubernetes has it, with the release that brought them; the oldest cluster we serve is 1.33. */
const FUNCTION_SINCE: Readonly<Record<string, number>> = {
  // CEL's own, and the strings extension of Kubernetes 1.25.
  ...Object.fromEntries(
    ["size", "duration", "timestamp", "int", "matches", "contains", "startsWith", "endsWith", "lowerAscii", "split", "substring"].map(
      (name) => [name, 25],
    ),
  ),
  isCIDR: 31,
};
const OLDEST_USABLE = 32;
/** What the parser makes of operators and macros. */
const OPERATOR = /^(_.*_|-_|!_|@in|@not_strictly_false|_\[_\]|_\?_:_)$/;

function functionsOf(rule: string): Set<string> {
  const names = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { case: kind, value: inner } = value as { case?: unknown; value?: { function?: string } };
    if (kind === "callExpr" && inner?.function !== undefined) names.add(inner.function);
    for (const child of Object.values(value)) walk(child);
  };
  walk(parseCel(rule).expr);
  return names;
}

function tooNew(rules: readonly Rule[]): string[] {
  return rules.flatMap(({ rule }) =>
    [...functionsOf(rule)]
      .filter((name) => !OPERATOR.test(name) && !((FUNCTION_SINCE[name] ?? Infinity) <= OLDEST_USABLE))
      .map((name) => `${name} in ${rule}`),
  );
}

describe("the definitions", () => {
  it("are four, with their names, statuses and columns", () => {
    expect(
      crds.map(({ crd, version }) => [
        crd.metadata.name,
        crd.spec.scope,
        crd.spec.names.shortNames,
        crd.spec.names.categories,
        version.name,
      ]),
    ).toEqual([
      ["clusterdeliverypolicies.postrider.dev", "Cluster", ["cdpol"], ["webhooks"], "v1alpha1"],
      ["deliverypolicies.postrider.dev", "Namespaced", ["dpol"], ["webhooks"], "v1alpha1"],
      ["deliveryreplays.postrider.dev", "Namespaced", ["dreplay"], undefined, "v1alpha1"],
      ["webhooksubscriptions.postrider.dev", "Namespaced", ["whsub"], ["webhooks"], "v1alpha1"],
    ]);
    for (const { version } of crds) expect(version.subresources).toEqual({ status: {} });
  });

  it("show in a line what a person asks first", () => {
    const columns = crds[3]?.version.additionalPrinterColumns ?? [];
    expect(columns.filter((column) => column.priority === undefined).map((column) => column.name)).toEqual([
      "Ready",
      "Healthy",
      "Suspended",
      "Endpoint",
      "Pending",
      "Last-Status",
      "Last-Success",
      "Age",
    ]);
    expect(columns.filter((column) => column.priority === 1).map((column) => column.name)).toEqual([
      "Policy",
      "Cluster-Policy",
      "Health",
      "Failed",
      "Reason",
      "Message",
    ]);
  });

  it("can be selected by what tells objects of a kind apart", () => {
    const selectable = crds.map(({ crd, version }) => [crd.spec.names.kind, version.selectableFields?.map(({ jsonPath }) => jsonPath)]);
    expect(Object.fromEntries(selectable)).toEqual({
      ClusterDeliveryPolicy: undefined,
      DeliveryPolicy: undefined,
      DeliveryReplay: [".spec.subscriptionRef.name"],
      WebhookSubscription: [".spec.className", ".spec.suspend", ".spec.policyRef.name"],
    });
  });

  it("warn of the kind that has no effect, and of no other", () => {
    const warned = crds.filter(({ version }) => version.deprecated === true).map(({ crd }) => crd.spec.names.kind);
    expect(warned).toEqual(["DeliveryReplay"]);
    const warning = crds[2]?.version.deprecationWarning ?? "";
    expect(warning).toContain("has no effect");
    // The API server's bound.
    expect(warning.length).toBeLessThanOrEqual(256);
  });

  it.each(crds.map(({ file, text }) => [file, text] as const))("%s is under 100 KiB and requires a spec", (_file, text) => {
    expect(Buffer.byteLength(text)).toBeLessThan(CRD_BYTES_MAX);
    expect((parse(text) as Crd).spec.versions[0]?.schema.openAPIV3Schema.required).toEqual(["spec"]);
  });
});

describe("every field", () => {
  it("is described, so that kubectl explain speaks", () => {
    expect(all.length).toBeGreaterThan(250);
    expect(paths(all.filter(({ schema }) => (schema.description ?? "").length < 5))).toEqual([]);
  });

  it("is bounded", () => {
    const unbounded = all.filter(({ schema }) => {
      switch (schema.type) {
        case "string":
          return schema.maxLength === undefined && schema.enum === undefined && schema.format !== "date-time";
        case "integer":
          return schema.minimum === undefined || schema.maximum === undefined || schema.format === undefined;
        case "array":
          return schema.maxItems === undefined || schema["x-kubernetes-list-type"] === undefined;
        case "object":
          return schema.additionalProperties !== undefined && schema.maxProperties === undefined;
        case "boolean":
          return false;
        default:
          return true; // no type, or a number: neither has a place here
      }
    });
    expect(paths(unbounded)).toEqual([]);
  });

  it("refers to nothing in another namespace", () => {
    expect(paths(all.filter(({ name }) => name === "namespace"))).toEqual([]);
  });

  it("has a schema default only where the user's own object stands around it, and never in policies' retry, in signing or in a union", () => {
    const defaulted = all.filter(({ schema, path }) => schema.default !== undefined && !path.endsWith(".status"));
    expect(paths(defaulted.filter(({ schema }) => schema.type === "object" || schema.type === "array"))).toEqual([]);
    expect(
      paths(defaulted.filter(({ path }) => /\.(retry|backoff)(\.|$)|\.signing\.[^.]+$|\.endpoint\.[^.]+$|\.auth\.[^.]+$/.test(path))),
    ).toEqual([]);
  });
});

describe("the defaults that descriptions promise", () => {
  const { retry, circuitBreaker, retention } = BUILT_IN_POLICY;
  const promised = (path: string): string | undefined =>
    / ?Default: ([^.]+)\./.exec(all.find((node) => node.path === `DeliveryPolicy.spec.${path}`)?.schema.description ?? "")?.[1];

  it.each([
    ["timeout", BUILT_IN_POLICY.timeoutMs],
    ["connectTimeout", BUILT_IN_POLICY.connectTimeoutMs],
    ["retry.maxAge", retry.maxAgeMs],
    ["retry.retryAfterMax", retry.retryAfterMaxMs],
    ["circuitBreaker.openFor", circuitBreaker.openForMs],
    ["autoSuspendAfter", BUILT_IN_POLICY.autoSuspendAfterMs],
    ["retention.history", retention.historyMs],
    ["retention.bodies", retention.bodiesMs],
  ])("%s is the built-in policy's", (path, ms) => {
    expect(durationMs(promised(path) ?? "")).toBe(ms);
  });

  it.each([
    ["retry.maxAttempts", retry.maxAttempts],
    ["retry.jitterPercent", retry.jitterPercent],
    ["maxInFlight", BUILT_IN_POLICY.maxInFlight],
    ["circuitBreaker.consecutiveFailures", circuitBreaker.consecutiveFailures],
    ["circuitBreaker.halfOpenProbes", circuitBreaker.halfOpenProbes],
    ["retention.responseBytes", retention.responseBytes],
  ])("%s is the built-in policy's", (path, value) => {
    expect(promised(path)).toBe(String(value));
  });

  it("the schedule and the status codes are the built-in policy's", () => {
    const schedule = (promised("retry.schedule") ?? "").replace(" (Standard Webhooks)", "").split(", ");
    expect({ kind: "schedule", delaysMs: schedule.map(durationMs) }).toEqual(retry.delays);
    const codes = (text: string | undefined): number[] =>
      (text ?? "").split(", ").flatMap((code) => {
        const { from, to } = statusRange(code);
        return Array.from({ length: to - from + 1 }, (_, i) => from + i);
      });
    const all999 = Array.from({ length: 1_000 }, (_, i) => i);
    expect(codes(promised("retry.statusCodes"))).toEqual(all999.filter((code) => inRanges(code, retry.retryableCodes)));
    expect(codes(promised("success.statusCodes"))).toEqual(all999.filter((code) => inRanges(code, BUILT_IN_POLICY.successCodes)));
  });
});

describe("every rule", () => {
  const rules = all.flatMap(({ schema }) => schema["x-kubernetes-validations"] ?? []);

  it("has a message for people", () => {
    expect(rules.length).toBeGreaterThan(60);
    expect(rules.filter(({ message }) => message.length < 15)).toEqual([]);
  });

  it("uses functions of Kubernetes 1.32 and older only", () => {
    expect(tooNew(rules)).toEqual([]);
  });

  it("would be found if it used a newer one", () => {
    expect(tooNew([{ rule: "semver(self).major() > 1", message: "" }])).toEqual([
      "major in semver(self).major() > 1",
      "semver in semver(self).major() > 1",
    ]);
    expect(tooNew([{ rule: "self.all(x, format.dns1123Label().validate(x).hasValue())", message: "" }])).toHaveLength(3);
  });
});
