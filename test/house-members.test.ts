import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { memberUses, unusedMembers, type Member } from "./support/house/class-members.ts";

const ROOT = resolve(import.meta.dirname, "..");

/** Members that no source reads, and why they stay. An entry that is read again, or gone, must be taken out. */
const KEPT: Readonly<Record<string, string>> = {
  listDeliveries: "tests look at what a store holds through it",
  deliveriesOf: "tests look at what a store holds through it",
  failingInFlight: "test/unit/core/fair-queue-model.test.ts compares it with the model",
  slowInFlight: "test/unit/core/fair-queue-model.test.ts compares it with the model",
  statusOf: "with files no API server keeps the status: tests read it here",
};

const SAMPLE = `
export class A {
  field = 1;
  unusedField = 2;
  #private = 3;
  constructor(readonly given: number) {}
  called(): number { return this.field + this.#private; }
  taken(): void {}
  indexed(): void {}
  unused(): void {}
  get unusedGetter(): number { return 4; }
}
const a = new A(1);
const { taken } = a;
a.called(); a["indexed"](); taken();
`;

const named = ({ file, owner, name }: Member): string => `${file}: ${owner}.${name}`;

it("no member of a class is unused, but for those that are kept for a reason", { timeout: 60_000 }, () => {
  const uses = memberUses(ROOT, ["src"]);
  const unused = unusedMembers(uses.values());
  expect(uses.size).toBeGreaterThan(300);
  expect(unused.filter(({ name }) => !(name in KEPT)).map(named)).toEqual([]);
  expect(Object.keys(KEPT).filter((name) => !unused.some((member) => member.name === name))).toEqual([]);
});

it("the gate can fail: it sees methods, fields and accessors that nobody reads", () => {
  const declared = ["run", "size", "limit"].map((name) => ({ file: "src/a.ts", owner: "A", name }));
  expect(unusedMembers([{ declared, read: new Set(["run"]) }]).map(named)).toEqual(["src/a.ts: A.size", "src/a.ts: A.limit"]);
});

it("the gate can fail: it finds methods, fields and accessors; calls, destructuring and names in brackets are reads", () => {
  const root = mkdtempSync(join(tmpdir(), "members-"));
  try {
    mkdirSync(join(root, "src"));
    writeFileSync(join(root, "tsconfig.json"), '{"include": ["src"]}');
    writeFileSync(join(root, "src/a.ts"), SAMPLE);
    const uses = [...memberUses(realpathSync(root), ["src"]).values()];
    expect(uses.flatMap(({ declared }) => declared)).toHaveLength(7);
    expect(unusedMembers(uses).map(named)).toEqual(["src/a.ts: A.unusedField", "src/a.ts: A.unused", "src/a.ts: A.unusedGetter"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
