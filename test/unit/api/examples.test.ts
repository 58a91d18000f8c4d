import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
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
