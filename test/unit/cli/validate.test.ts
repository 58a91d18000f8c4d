import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createProgram, EXIT_FAILED, EXIT_USAGE, runProgram } from "../../../src/cli/program.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { validateCommand } from "../../../src/cli/validate.ts";

const GOOD = "apiVersion: postrider.dev/v1alpha1\nkind: DeliveryPolicy\nmetadata: {name: a, namespace: shop}\nspec: {timeout: 5s}\n";
const BAD = "apiVersion: postrider.dev/v1alpha1\nkind: DeliveryPolicy\nmetadata:\n  name: b\nspec:\n  timeout: 5d\n";

let folder: string;
let printed: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postrider-validate-"));
  printed = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function validate(...argv: string[]): Promise<number> {
  const unused = (): never => {
    throw new Error("there is no expression in these manifests");
  };
  return await runProgram(createProgram("0.0.0", [validateCommand({ filter: unused, body: unused }, new ManualClock(), "0.0.0")]), [
    "validate",
    ...argv,
  ]);
}

it("says all good and exits 0", async () => {
  writeFileSync(join(folder, "a.yaml"), GOOD);
  expect(await validate("-f", folder)).toBe(0);
  expect(printed).toBe("1 file, 1 Postrider object: all good\n");
});

it("names file, line and field, and exits 1", async () => {
  mkdirSync(join(folder, "deep"));
  writeFileSync(join(folder, "a.yaml"), GOOD);
  writeFileSync(join(folder, "deep/b.yml"), BAD);
  writeFileSync(join(folder, ".hidden.yaml"), BAD);
  writeFileSync(join(folder, "notes.txt"), BAD);
  expect(await validate("-f", folder)).toBe(EXIT_FAILED);
  expect(printed).toContain(
    `${join(folder, "deep/b.yml")}:6: DeliveryPolicy default/b spec.timeout: must be a duration from 100ms to 5m, written`,
  );
  expect(printed).toMatch(/2 files, 2 Postrider objects: \d refused\n$/);
});

it("speaks JSON", async () => {
  writeFileSync(join(folder, "b.yaml"), BAD);
  expect(await validate("-f", join(folder, "b.yaml"), "-o", "json")).toBe(EXIT_FAILED);
  expect(JSON.parse(printed)).toMatchObject({
    objects: 1,
    files: 1,
    findings: [
      { line: 3, field: "metadata", reason: "NoNamespace", severity: "note" },
      { line: 6, field: "spec.timeout", severity: "error" },
    ],
  });
});

it.each([
  ["a path that is not there", ["-f", "/nothing/here"], EXIT_FAILED],
  ["no path", [], EXIT_USAGE],
])("%s is a failure", async (_name, argv, code) => {
  expect(await validate(...argv)).toBe(code);
});

it("a folder without manifests is a failure, not all good", async () => {
  expect(await validate("-f", folder)).toBe(EXIT_FAILED);
});
