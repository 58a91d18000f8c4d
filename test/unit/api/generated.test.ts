import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
const GENERATED = ["crds", "docs/spec", "docs/cli.md", "src/api/generated", "src/store/sqlite/generated", "charts/postrider"];

let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), "postrider-generated-"));
  for (const path of GENERATED) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
});

afterEach(() => rmSync(copy, { recursive: true, force: true }));

function check(): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(ROOT, "scripts/generate.ts"), "--check", "--root", copy], { encoding: "utf8" });
}

it("finds the committed files up to date", () => {
  expect(check()).toMatchObject({ status: 0, stdout: "generated files are up to date\n" });
});

it.each([
  "crds/webhooksubscriptions.postrider.dev.yaml",
  "crds/deliveryreplays.postrider.dev.yaml",
  "src/api/generated/custom-resources.ts",
  "src/api/generated/schemas.json",
  "charts/postrider/dashboards/fleet.json",
  "charts/postrider/rules/alerts.yaml",
  "charts/postrider/rules/slo.yaml",
  "charts/postrider/templates/_generated.tpl",
  "src/store/sqlite/generated/rows.ts",
  "docs/spec/coverage.md",
])("fails when %s was edited by hand", (path) => {
  appendFileSync(join(copy, path), "\n");
  const { status, stdout } = check();
  expect(status).toBe(1);
  expect(stdout).toContain(`not up to date (run: npm run generate): ${path}`);
});

it("fails when a value was changed or added and the chart's page was not", () => {
  appendFileSync(join(copy, "charts/postrider/values.yaml"), "# What it is.\nnew: 1\n");
  expect(check().stdout).toContain("charts/postrider/README.md");
  appendFileSync(join(copy, "charts/postrider/values.yaml"), "silent: 1\n");
  expect(check().stderr).toContain("values.yaml says nothing about silent");
});

it("fails when a file is missing", () => {
  rmSync(join(copy, "crds/deliverypolicies.postrider.dev.yaml"));
  expect(check().status).toBe(1);
});
