import { describe, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import type { CustomResource } from "../../../src/api/custom-resource.ts";
import { readManifestFile } from "../../../src/api/manifest.ts";
import type { Problem } from "../../../src/core/problem.ts";
import { badManifests, goodManifests } from "../../corpus/manifests/table.ts";

function read(yaml: string, old?: CustomResource): ReturnType<typeof readCustomResource> {
  const { manifests, problems } = readManifestFile(yaml);
  expect(problems).toEqual([]);
  expect(manifests).toHaveLength(1);
  return readCustomResource(manifests[0]?.object, old);
}

function accepted(yaml: string): CustomResource {
  const result = read(yaml);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

describe("bad manifests", () => {
  it("are many, of all kinds, each under its own name", () => {
    expect(badManifests.length).toBeGreaterThanOrEqual(60);
    expect(new Set(badManifests.map((one) => one.name)).size).toBe(badManifests.length);
    expect(new Set(badManifests.map((one) => one.name.split(":")[0])).size).toBe(4);
  });

  it.each(badManifests.map((one) => [one.name, one] as const))("%s", (_name, one) => {
    const result = one.update === undefined ? read(one.yaml) : read(one.update, accepted(one.yaml));
    const problems: readonly Problem[] = result.ok ? [] : result.problems;
    expect(problems.map((problem) => problem.field)).toContain(one.field);
    expect(
      problems
        .filter((problem) => problem.field === one.field)
        .map((problem) => problem.message)
        .join("\n"),
    ).toContain(one.message);
  });
});

describe("good manifests", () => {
  it.each(goodManifests.map((one) => [one.name, one.yaml] as const))("%s", (_name, yaml) => {
    expect(read(yaml)).toMatchObject({ ok: true });
  });
});
