import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FAULTS } from "../../../scripts/mutants/faults.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** A fault whose place has moved would be found by nobody, and nobody would know until the long run. */
it.each(FAULTS.map((fault) => [fault.number, fault.name, fault] as const))(
  "fault %i can be planted: %s",
  (_number, _name, { file, find }) => {
    expect(readFileSync(join(ROOT, file), "utf8").split(find).length - 1).toBe(1);
  },
);
