import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { testsWithoutAssertion } from "./support/house/assertions.ts";
import { cycles, importGraph, importsOf, sourceFiles } from "./support/house/import-graph.ts";
import { earlyCaptures, longConstructors } from "./support/house/constructors.ts";
import { laneBreaches } from "./support/house/lane-writers.ts";
import { importBreaches, lockBreaches, textBreaches } from "./support/house/rules.ts";

const ROOT = resolve(import.meta.dirname, "..");

describe("house rules", () => {
  const graph = importGraph(ROOT, "src");

  it("sees the whole house", () => {
    expect(graph.length).toBeGreaterThan(50);
  });

  it("keeps who may import whom", () => {
    expect(importBreaches(graph)).toEqual([]);
  });

  it("has no cycles, type imports included", () => {
    expect(cycles(graph)).toEqual([]);
  });

  it("keeps one owner per sharp edge and names that say something", () => {
    expect(sourceFiles(ROOT, "src").flatMap((file) => textBreaches(file, readFileSync(join(ROOT, file), "utf8")))).toEqual([]);
  });

  it("captures no field before it exists", () => {
    expect(sourceFiles(ROOT, "src").flatMap((file) => earlyCaptures(file, readFileSync(join(ROOT, file), "utf8")))).toEqual([]);
  });

  it("keeps the constructors of the engine short", () => {
    const files = sourceFiles(ROOT, "src").filter((file) => file.startsWith("src/delivery/"));
    expect(files.flatMap((file) => longConstructors(file, readFileSync(join(ROOT, file), "utf8")))).toEqual([]);
  });

  it("lets nobody but its parts write the fields of a lane", () => {
    expect(sourceFiles(ROOT, "src").flatMap((file) => laneBreaches(file, readFileSync(join(ROOT, file), "utf8")))).toEqual([]);
  });

  it("has no test that can only fail by time-out", () => {
    const files = sourceFiles(ROOT, "test").filter((file) => file.endsWith(".test.ts"));
    expect(files.length).toBeGreaterThan(200);
    expect(files.flatMap((file) => testsWithoutAssertion(file, readFileSync(join(ROOT, file), "utf8")))).toEqual([]);
  });

  it("holds no private addresses in lock files", () => {
    expect(lockBreaches("package-lock.json", readFileSync(join(ROOT, "package-lock.json"), "utf8"))).toEqual([]);
  });
});

describe("the gates themselves can fail", () => {
  const one = (file: string, text: string) => importBreaches(importsOf(ROOT, file, text));

  it.each([
    ["src/core/a.ts", `import { x } from "../store/store.ts";`],
    ["src/delivery/a.ts", `import type { X } from "../ingest/intake.ts";`],
    ["src/delivery/a.ts", `import { X } from "../store/sqlite/sqlite-store.ts";`],
    ["src/delivery/a.ts", `import { Dispatcher } from "../attempt/http/dispatcher.ts";`],
    ["src/attempt/a.ts", `import { Engine } from "../delivery/engine.ts";`],
    ["src/lib/a.ts", `import { x } from "../core/event.ts";`],
    ["src/cli/a.ts", `import { x } from "../app/compose.ts";`],
    ["src/delivery/engine.ts", `import { Agent } from "undici";`],
    ["src/controller/a.ts", `const k = await import("@kubernetes/client-node");`],
    ["src/ingest/a.ts", `import { DatabaseSync } from "node:sqlite";`],
  ])("refuses %s with %s", (file, text) => {
    expect(one(file, text)).toHaveLength(1);
  });

  it("finds a cycle", () => {
    const imports = [
      ...importsOf(ROOT, "src/core/a.ts", `import type { B } from "./b.ts";`),
      ...importsOf(ROOT, "src/core/b.ts", `import type { A } from "./a.ts";`),
    ];
    expect(cycles(imports)).toHaveLength(1);
  });

  it.each([
    ["src/core/a.ts", "const t = Date.now();"],
    ["src/core/a.ts", "const r = Math.random();"],
    ["src/ingest/a.ts", "const e = process.env.HOME;"],
    ["src/core/utils.ts", ""],
    ["src/core/a.ts", `export * from "./b.ts";`],
    ["src/delivery/a.ts", `await fetch("https://example.com");`],
    ["src/cli/a.ts", "process.stdout.write(text);"],
    ["src/cli/a.ts", "console.log(text);"],
  ])("refuses in %s: %s", (file, text) => {
    expect(textBreaches(file, text)).toHaveLength(1);
  });

  const constructor = (...lines: string[]): string =>
    ["class A {", "  constructor(b: B) {", ...lines.map((line) => `    ${line}`), "  }", "}"].join("\n");

  it.each([
    [["this.#queue = new Queue(() => this.#claims.soon());", "this.#claims = new Claims();"], 1],
    [["const made = make({", "  wake: () => this.#claims.soon(),", "});", "this.#claims = new Claims(made);"], 1],
    [["this.#claims = new Claims();", "this.#queue = new Queue(() => this.#claims.soon());"], 0],
    [["this.#queue = new Queue(() => this.refresh());", "this.#atMs = 0;"], 0],
  ] as const)("finds in a constructor of %j closures over fields that do not exist yet: %i", (lines, found) => {
    expect(earlyCaptures("src/delivery/a.ts", constructor(...lines))).toHaveLength(found);
  });

  it("refuses a constructor of more than 30 lines", () => {
    const lines = Array.from({ length: 31 }, (_, n) => `this.#a${n} = ${n};`);
    expect(longConstructors("src/delivery/a.ts", constructor(...lines))).toHaveLength(1);
    expect(longConstructors("src/delivery/a.ts", constructor(...lines.slice(1)))).toEqual([]);
  });

  it.each([
    "lane.ending = how;",
    "turn.lane.count.pending -= 1;",
    "letters.count.oldestAcceptedAtMs ??= nowMs;",
    "lane.gate.pauses[reason] = untilMs;",
    "lane.backlog.held++;",
    "--flight.lane.backlog.held;",
    "gate.cap = 1;",
    "delete lane.gate.pauses.RetryAfter;",
    "Object.assign(lane.standing, { record });",
  ])("refuses a write to a lane: %s", (text) => {
    expect(laneBreaches("src/delivery/flight/a.ts", text)).toHaveLength(1);
    expect(laneBreaches("src/delivery/queue/lane-gate.ts", text)).toEqual([]);
  });

  it.each([
    "if (lane.ending === undefined) return;",
    "const far = lane.openAtMs(nowMs) >= atMs;",
    "// lane.ending = how",
    "lanes.delete(lane);",
  ])("allows what reads a lane: %s", (text) => {
    expect(laneBreaches("src/delivery/flight/a.ts", text)).toEqual([]);
  });

  const HELPED = "async function sees(n: number): Promise<void> {\n  expect(n).toBe(1);\n}\n";

  it.each([
    ['it("a", async () => {\n  await done;\n});\n', 1],
    ['describe("a", () => {\n  test.each([1])("b", async (n) => {\n    await done(n);\n  });\n});\n', 1],
    [`${HELPED}it("a", async () => {\n  await done;\n});\n`, 1],
    ['it("a", async () => {\n  await done;\n});\nit("b", () => {\n  expect(1).toBe(1);\n});\n', 1],
    ['it("a", () => expect(1).toBe(1));\n', 0],
    ['it.each([\n  [1],\n])("a", (n) => {\n  expect(n).toBe(1);\n});\n', 0],
    [`${HELPED}it("a", async () => {\n  await sees(1);\n});\n`, 0],
  ])("finds in %j tests without an assertion: %i", (text, found) => {
    expect(testsWithoutAssertion("test/a.test.ts", text)).toHaveLength(found);
  });

  it("refuses a lock file with addresses", () => {
    expect(lockBreaches("package-lock.json", `"resolved": "https://registry.example/x.tgz"`)).toHaveLength(1);
  });
});
