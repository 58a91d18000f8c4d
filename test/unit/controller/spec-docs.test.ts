import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import * as reasons from "../../../src/core/reasons.ts";

const SPEC = join(import.meta.dirname, "../../../docs/spec");

it("docs/spec explains every condition and every reason that the controller gives", () => {
  const text = readdirSync(SPEC)
    .map((file) => readFileSync(join(SPEC, file), "utf8"))
    .join("\n");
  const missing = Object.values(reasons).filter((reason) => !text.includes(`\`${reason}\``));
  expect(missing).toEqual([]);
});
