import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { CHART, helm, renderChart } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);
const render = (values?: object) => renderChart(HELM, values);

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly definitions?: Readonly<Record<string, Schema>>;
  readonly $ref?: string;
}

const ROOT = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as Schema;
const DEFAULTS = parse(readFileSync(join(CHART, "values.yaml"), "utf8")) as Record<string, unknown>;

function resolved(schema: Schema): Schema {
  const name = schema.$ref?.replace("#/definitions/", "");
  return name === undefined ? schema : (ROOT.definitions?.[name] ?? {});
}

const isMap = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** What is in one of the two and not in the other, at any depth; free forms have no properties to compare. */
function differences(values: Record<string, unknown>, { properties }: Schema, path: string): string[] {
  if (properties === undefined) return [];
  const added = Object.keys(properties)
    .filter((key) => !(key in values))
    .map((key) => `${path}${key} is not in values.yaml`);
  const missing = Object.entries(values).flatMap(([key, value]) => {
    const child = properties[key];
    if (child === undefined) return [`${path}${key} is not in the schema`];
    return isMap(value) ? differences(value, resolved(child), `${path}${key}.`) : [];
  });
  return [...added, ...missing];
}

/** Groups whose misspelt keys must be refused. */
function groups({ properties = {} }: Schema, path: readonly string[]): (readonly string[])[] {
  return [
    path,
    ...Object.entries(properties).flatMap(([key, child]) => {
      const schema = resolved(child);
      return schema.properties === undefined || key === "global" ? [] : groups(schema, [...path, key]);
    }),
  ];
}

describe("values", () => {
  /** Kubernetes knows more of a probe than the chart's defaults set. */
  const optional = /^(startup|liveness|readiness)Probe\.(successThreshold|initialDelaySeconds) /;

  it("are all in the schema, and the schema has no more", () => {
    expect(differences(DEFAULTS, ROOT, "").filter((line) => !optional.test(line))).toEqual([]);
  });

  it("the comparison can fail, deep inside a definition", () => {
    const service = { ...(DEFAULTS["api"] as { service: object }).service, extra: 1 };
    expect(differences({ ...DEFAULTS, api: { ...(DEFAULTS["api"] as object), service } }, ROOT, "")).toContain(
      "api.service.extra is not in the schema",
    );
  });

  it("refuse a misspelt key in every group", async () => {
    const all = groups(ROOT, []);
    expect(all.length).toBeGreaterThan(35);
    const values = {};
    for (const path of all) {
      const at = path.reduce<Record<string, any>>((map, key) => (map[key] ??= {}), values); // oxlint-disable-line typescript/no-explicit-any
      at["mispelt"] = 1;
    }
    const refusal = await helm(HELM, ["template", "pr", CHART], values).catch(String);
    for (const path of all) {
      const place = path.length === 0 ? "at '':" : `at '/${path.join("/")}':`;
      expect(refusal, place).toContain(`${place} additional properties 'mispelt' not allowed`);
    }
  });

  it.each([
    [{ secretAccess: "all" }],
    [{ ingest: { auth: [] } }],
    [{ ingest: { auth: ["none"] } }],
    [{ image: { digest: "sha256:1" } }],
    [{ persistence: { accessMode: "ReadWriteMany" } }],
    [{ namespaces: ["Not_A_Name"] }],
    [{ maxInFlight: 0 }],
    [{ extraArgs: ["run"] }],
    [{ podDisruptionBudget: { maxUnavailable: 2 } }],
    [{ extraVolumes: [{ emptyDir: {} }] }],
    [{ commonLabels: { team: 1 } }],
    [{ networkPolicy: { egressExcept: ["everything"] } }],
  ])("refuse %j", async (values) => {
    await expect(render(values)).rejects.toThrow(/specifications of the schema/);
  });

  it("of an older chart, as --reuse-values keeps them, are refused with the flag to use", async () => {
    for (const [values, path] of [
      [{ tls: null }, "tls"],
      [{ rbac: { create: true, aggregate: null } }, "rbac.aggregate"],
      [{ ingest: { httpRoute: null } }, "ingest.httpRoute"],
    ] as const) {
      await expect(render(values)).rejects.toThrow(
        `the value ${path} is missing: these are the values of an older chart, as \`helm upgrade --reuse-values\` keeps them. Use --reset-then-reuse-values`,
      );
    }
  });

  it("take null where Helm removes a default with it", async () => {
    const values = {
      resources: { limits: null },
      podSecurityContext: { runAsUser: null },
      commonLabels: null,
      podLabels: null,
      extraVolumes: null,
      image: { pullSecrets: null },
      tolerations: null,
      serviceMonitor: { enabled: true, labels: null },
      prometheusRule: { enabled: true, rules: null, extraRuleLabels: null, labels: null },
    };
    await expect(render(values)).resolves.toBeDefined();
  });
});
