import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { piecesOf } from "./support/house/source-text.ts";
import { wordBreaches, wordList } from "./support/house/words.ts";

const ROOT = resolve(import.meta.dirname, "..");
const RULES = wordList(readFileSync(join(ROOT, "CONTRIBUTING.md"), "utf8"));
const READ_BY_PEOPLE = [
  "{src,scripts}/**/*.ts",
  "*.md",
  "docs/**/*.md",
  "examples/**/*.{md,yaml}",
  "charts/*/*.md",
  "charts/*/values.yaml",
  "charts/*/templates/NOTES.txt",
];
const files = globSync(READ_BY_PEOPLE, { cwd: ROOT }).map((file) => file.replaceAll("\\", "/"));

describe("words", () => {
  it("sees every string, every page and the whole list", () => {
    expect(RULES.length).toBeGreaterThan(25);
    expect(files.length).toBeGreaterThan(300);
    expect(files).toEqual(
      expect.arrayContaining(["src/ingest/refusal.ts", "scripts/crd/delivery-policy.ts", "docs/runbooks/README.md", "README.md"]),
    );
  });

  it("reads as plain English: the list in CONTRIBUTING.md", () => {
    const breaches = files
      .filter((file) => !file.includes("/generated/"))
      .flatMap((file) => wordBreaches(RULES, file, readFileSync(join(ROOT, file), "utf8")));
    expect(breaches).toEqual([]);
  });
});

describe("the gate can fail", () => {
  const found = (file: string, text: string) => wordBreaches(RULES, file, text).map(({ file: place, message }) => `${place} ${message}`);

  it.each([
    [
      "src/a.ts",
      'const problem = "Header stands twice: send it once.";',
      'src/a.ts:1 "stands twice" reads translated, write: appears twice',
    ],
    ["src/a.ts", "const a = 1;\nconst b = `the store ${name} is\n not taken`;", "src/a.ts:2"],
    ["src/a.ts", 'const problem = `${a ? `port ${"x"} is wanted` : ""} here`;', "src/a.ts:1"],
    ["scripts/crd/a.ts", 'description: "Whoever may publish."', "scripts/crd/a.ts:1"],
    ["docs/a.md", "# A\n\nThe last good state goes\non until then.", "docs/a.md:3"],
    ["docs/a.md", "| a | everybody |\n", "docs/a.md:1"],
    ["charts/a/values.yaml", "a: 1 # read anew\n", "charts/a/values.yaml:1"],
    ["charts/a/templates/NOTES.txt", "Nobody reads it.\n", "charts/a/templates/NOTES.txt:1"],
  ])("in %s: %s", (file, text, place) => {
    expect(found(file, text)).toEqual([expect.stringContaining(place)]);
  });

  it.each([
    ["src/a.ts", '// This stands twice, in a comment.\nconst name = "goes-on";'],
    ["src/a.ts", 'const found = /it is "anew"/.test(text) && a / b / c;'],
    ["docs/a.md", "Write `goes on` in code, or\n\n```sh\necho anew\n```\n"],
    ["charts/a/values.yaml", 'a: "read anew"\nb: goes on # said\n'],
  ])("lets through %s: %s", (file, text) => {
    expect(found(file, text)).toEqual([]);
  });

  it("tells strings, templates and comments from code", () => {
    const source = "const a = `one ${f({ b: `two ${c}` })} three`; // four\nconst d = x.replace(/[\"'`]/g, '\\'five');";
    expect(piecesOf(source)).toEqual([
      { kind: "string", text: "two ${}", line: 1 },
      { kind: "string", text: "one ${} three", line: 1 },
      { kind: "comment", text: "// four", line: 1 },
      { kind: "string", text: "'five", line: 2 },
    ]);
  });

  it("reads on behind a regular expression that begins with an equals sign", () => {
    expect(piecesOf('const a = [...b.matchAll(/=>[^=`]/g)];\nconst c = "d"; e /= 2;').map(({ text }) => text)).toEqual(["d"]);
  });
});
