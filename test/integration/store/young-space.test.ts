import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { NODE_FLAGS } from "../../support/operator/node-flags.ts";

const PROGRAM = join(import.meta.dirname, "young-space-child.ts");

function measured(flags: readonly string[]): number[] {
  return execFileSync(process.execPath, [...flags, PROGRAM], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map(Number);
}

it("the flags of the image bound what is new on the main thread, and leave the smaller bounds of the store's threads in force", () => {
  expect(measured(NODE_FLAGS)).toEqual([32, 16, 8]);
});

it("a flag that would lift those bounds is seen", () => {
  expect(measured(["--max-semi-space-size=16"])).toEqual([32, 32, 32]);
});
