import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { readManifestFile } from "../../../src/api/manifest.ts";
import { isKind } from "../../../src/api/schema.ts";

const ROOT = join(import.meta.dirname, "../../..");

const examples = globSync("examples/**/*.yaml", { cwd: ROOT }).map((file) => [file, readFileSync(join(ROOT, file), "utf8")] as const);
const pages = globSync("docs/spec/*.md", { cwd: ROOT }).flatMap((file) =>
  [...readFileSync(join(ROOT, file), "utf8").matchAll(/```yaml\n(.*?)```/gs)].map((match) => [file, match[1] ?? ""] as const),
);

it("has an example of each kind on its page", () => {
  expect(examples.length).toBeGreaterThanOrEqual(5);
  expect(pages).toHaveLength(4);
});

it.each([...examples, ...pages])("%s holds good manifests only", (_file, text) => {
  const { manifests, problems } = readManifestFile(text);
  expect(problems).toEqual([]);
  expect(manifests.length).toBeGreaterThan(0);
  for (const { kind, object } of manifests) if (isKind(kind)) expect(readCustomResource(object)).toMatchObject({ ok: true });
});

it.each(globSync("docs/spec/*.md", { cwd: ROOT }).filter((file) => !file.endsWith("coverage.md")))(
  "%s has the example first, then what the cluster answers to it, then the fields",
  (file) => {
    const text = readFileSync(join(ROOT, file), "utf8");
    const [example = -1, answers = -1, fields = -1] = ["```yaml", "## What the cluster answers", "## Fields"].map((part) =>
      text.indexOf(part),
    );
    expect(example).toBeGreaterThan(0);
    expect(answers).toBeGreaterThan(example);
    expect(fields).toBeGreaterThan(answers);
    const { kind, metadata } = parse(/```yaml\n(.*?)```/s.exec(text)?.[1] ?? "") as { kind: string; metadata: { name: string } };
    const [head = "", row = ""] = /\$ kubectl get .*\n(.*)\n(.*)\n/.exec(text)?.slice(1) ?? [];
    expect(head.split(/\s{2,}/)).toEqual(["NAME", ...columnsOf(kind).map((name) => name.toUpperCase())]);
    expect(row.split(/\s{2,}/)[0]).toBe(metadata.name);
  },
);

/** What kubectl prints without `-o wide`, as the CRD says. */
function columnsOf(kind: string): string[] {
  const crds = globSync("crds/*.yaml", { cwd: ROOT }).map((file) => parse(readFileSync(join(ROOT, file), "utf8")) as Crd);
  const { additionalPrinterColumns = [] } = crds.find(({ spec }) => spec.names.kind === kind)?.spec.versions[0] ?? {};
  return additionalPrinterColumns.filter(({ priority = 0 }) => priority === 0).map(({ name }) => name);
}

interface Crd {
  readonly spec: {
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly additionalPrinterColumns?: readonly { readonly name: string; readonly priority?: number }[] }[];
  };
}
