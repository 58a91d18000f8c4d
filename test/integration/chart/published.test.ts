import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { CI_VALUES } from "../../support/chart/ci-values.ts";
import { CHART, helm, manifestsIn, renderChart } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";
import { attempt } from "../../support/node/command.ts";

const ROOT = join(CHART, "../..");
const { helm: HELM, "kube-score": KUBE_SCORE } = await binaries(["helm", "kube-score"]);
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

interface ChartFile {
  readonly version: string;
  readonly appVersion: string;
  readonly icon: string;
  readonly annotations: Readonly<Record<string, string>>;
}
const chart = parse(read("charts/postrider/Chart.yaml")) as ChartFile;

/** An entry of a list in an annotation: a change, a kind, an image. */
interface Listed {
  readonly kind: string;
  readonly version: string;
  readonly name: string;
  readonly image: string;
}
const listed = (name: string): readonly Listed[] => parse(chart.annotations[`artifacthub.io/${name}`] ?? "[]") as Listed[];

describe("what Artifact Hub shows", () => {
  it("is the version of the package", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    expect([chart.version, chart.appVersion]).toEqual([version, version]);
  });

  it("has every annotation that can be answered", () => {
    const names =
      "category changes containsSecurityUpdates crds crdsExamples images license links maintainers operator operatorCapabilities prerelease";
    expect(Object.keys(chart.annotations).sort()).toEqual(names.split(" ").map((name) => `artifacthub.io/${name}`));
    expect(Buffer.from(chart.icon.replace("data:image/svg+xml;base64,", ""), "base64").toString()).toMatch(/^<svg /);
    expect(listed("changes").every(({ kind }) => /^(added|changed|fixed|security)$/.test(kind))).toBe(true);
    expect(listed("changes").length).toBeGreaterThan(3);
  });

  it("names the four kinds, with examples that are accepted", async () => {
    const definitions = (await renderChart(HELM)).filter(({ kind }) => kind === "CustomResourceDefinition");
    const expected = definitions.map(({ metadata, spec }) => ({
      kind: spec.names.kind,
      version: spec.versions[0].name,
      name: metadata.name,
    }));
    const shown = listed("crds").map(({ kind, version, name }) => ({
      kind,
      version,
      name,
    }));
    expect(new Set(shown)).toEqual(new Set(expected));
    for (const example of listed("crdsExamples")) expect(readCustomResource(example), example.kind).toMatchObject({ ok: true });
    expect(listed("crdsExamples").length).toBe(3);
  });

  it("names the base image of the Dockerfile, because no other is published", () => {
    const [, base] = /^ARG BASE_IMAGE=(.+)$/m.exec(read("Dockerfile")) ?? [];
    expect(listed("images").map(({ image }) => image)).toEqual([base]);
  });
});

/** What kube-score finds and is meant to be so, and with which values only. charts/postrider/README.md says why to those who install it. */
const REASONS: readonly { readonly finding: string; readonly why: string; readonly only?: string }[] = [
  { finding: "CPU limit is not set", why: "a limit delays deliveries while the node has time to spare" },
  { finding: "Ephemeral Storage limit is not set", why: "only /tmp is ephemeral, and its emptyDir is limited to 256Mi" },
  { finding: "Ephemeral Storage request is not set", why: "as above" },
  { finding: "ImagePullPolicy is not set to Always", why: "a version is one image, and a restart must not need the registry" },
  { finding: "The pod does not have a matching NetworkPolicy", why: "networkPolicy.enabled is off: not every cluster enforces them" },
  { finding: "The service is of type NodePort", why: "these values choose it", only: "everything" },
  { finding: "The container is running with a low user ID", why: "OpenShift chooses the number", only: "openshift" },
  { finding: "The container running with a low group ID", why: "OpenShift chooses the number", only: "openshift" },
];

/** Findings as kube-score prints them, without the object and the container. */
async function findings(manifests: string): Promise<string[]> {
  const { stdout, stderr } = await attempt([KUBE_SCORE, "score", "--output-format=ci", "--kubernetes-version=v1.33", "-"], {
    stdin: manifests,
  });
  expect(stderr).toBe("");
  expect(stdout).toContain("[OK]");
  return stdout.split("\n").filter((line) => /^\[(CRITICAL|WARNING)\]/.test(line));
}

const reasonOf = (line: string, values: string) =>
  REASONS.find(({ finding, only }) => line.endsWith(finding) && (only === undefined || only === values));

describe.each(CI_VALUES)("with the values of ci/%s", (name, values) => {
  it("helm lint finds nothing", async () => {
    expect(await helm(HELM, ["lint", "--strict", CHART], values)).not.toMatch(/\[(INFO|WARNING|ERROR)\]/);
  });

  it("kube-score finds nothing without a reason", async () => {
    const text = await helm(HELM, ["template", "pr", CHART, "--namespace", "hooks"], values);
    expect(manifestsIn(text).length).toBeGreaterThan(8);
    expect((await findings(text)).filter((line) => reasonOf(line, name) === undefined)).toEqual([]);
  });
});

describe("ci/*-values.yaml", () => {
  it("together make every kind that the templates know", async () => {
    const rendered = await Promise.all(CI_VALUES.map(([, values]) => renderChart(HELM, values)));
    const kinds = new Set(rendered.flat().map(({ kind }) => kind));
    const templates = globSync("templates/**/*", { cwd: CHART }).filter((file) => /\.(yaml|tpl)$/.test(file));
    const known = templates.flatMap((file) =>
      [...read(`charts/postrider/${file}`).matchAll(/^kind: (\w+)/gm)].map(([, kind = ""]) => kind),
    );
    expect(new Set(known).size).toBeGreaterThan(18);
    expect(known.filter((kind) => !kinds.has(kind))).toEqual([]);
  });

  it("need every reason that is given for a finding", async () => {
    const used = await Promise.all(
      CI_VALUES.map(async ([name, values]) => {
        const text = await helm(HELM, ["template", "pr", CHART, "--namespace", "hooks"], values);
        return (await findings(text)).map((line) => reasonOf(line, name));
      }),
    );
    expect(REASONS.filter((reason) => !used.flat().includes(reason))).toEqual([]);
  });
});
