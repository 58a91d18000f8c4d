import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { commentBreaches, lengthBreaches, waysToName } from "./support/house/pages.ts";

const ROOT = resolve(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const found = (...patterns: string[]): string[] => globSync(patterns, { cwd: ROOT }).map((file) => file.replaceAll("\\", "/"));

const pages = found("*.md", "docs/**/*.md", "examples/**/*.md");
const sources = found("{src,test,scripts}/**/*.ts").filter((file) => !file.includes("/generated/"));

describe("pages", () => {
  it("have lines and cells that a person can read", () => {
    expect(pages.length).toBeGreaterThan(60);
    expect(pages.flatMap((file) => lengthBreaches(file, read(file)))).toEqual([]);
  });

  it("docs/README.md leads to every page", () => {
    const index = read("docs/README.md");
    const listed = found("docs/*.md", "docs/spec/*.md", "docs/runbooks/README.md", "docs/adr/*.md")
      .map((file) => file.slice("docs/".length))
      .filter((file) => file !== "README.md");
    expect(listed.length).toBeGreaterThan(40);
    expect(listed.filter((file) => !index.includes(`](${file})`))).toEqual([]);
  });

  it("docs/promises.md says of each promise its bar, what was measured and the test", () => {
    const promises = promisesOf(read("docs/promises.md"));
    expect(promises.map(({ number }) => number)).toEqual(promises.map((_, index) => index + 1));
    expect(promises.length).toBeGreaterThanOrEqual(30);
    expect(promises.filter(({ lines }) => lines.join() !== "Bar,Measured,Test")).toEqual([]);
  });

  it("docs/ARCHITECTURE.md explains only words that the sources use", () => {
    const terms = termsOf(read("docs/ARCHITECTURE.md"));
    const code = sources
      .filter((file) => file.startsWith("src/"))
      .map(read)
      .join("\n");
    expect(terms.length).toBeGreaterThanOrEqual(30);
    expect(terms.filter((term) => !isUsed(term, code))).toEqual([]);
  });

  it("CHANGELOG.md has Added, Changed, Fixed and Security in every version, in this order and none of them empty", () => {
    expect(changelogFaults(read("CHANGELOG.md"))).toEqual([]);
  });
});

it("comments name only files that exist, and no design that is not here", () => {
  const files = waysToName(found("{src,test,scripts,docs,charts,crds,examples}/**/*", "*"));
  expect(sources.length).toBeGreaterThan(500);
  expect(sources.flatMap((file) => commentBreaches(file, read(file), files))).toEqual([]);
});

/** The promises of the page: their numbers and the names of their lines. */
function promisesOf(page: string): { number: number; lines: string[] }[] {
  return [...page.matchAll(/^## (\d+)\. .+\n((?:(?!^## ).*\n)*)/gm)].map(([, number, body = ""]) => ({
    number: Number(number),
    lines: Array.from(body.matchAll(/^- \*\*(\w+):\*\* \S/gm), ([, name = ""]) => name),
  }));
}

/** The words of the glossary, in bold. */
function termsOf(page: string): string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith("Glossary\n")) ?? "";
  return Array.from(section.matchAll(/\*\*([\w ]+)\*\*/g), ([, term = ""]) => term);
}

/** As a word of its own, or as a part of a name: `claim`, `ClaimLoop`, `dueLoader`. */
function isUsed(term: string, code: string): boolean {
  const [first = "", ...rest] = term;
  const upper = first.toUpperCase();
  const tail = rest.join("").replaceAll(/ (.)/g, (_, letter: string) => ` ?[${letter}${letter.toUpperCase()}]`);
  return new RegExp(`(?:\\b[${first}${upper}]|(?<=[a-z])${upper})${tail}(?:s?\\b|s?[A-Z])`).test(code);
}

const SECTIONS = ["Added", "Changed", "Fixed", "Security"];

function changelogFaults(page: string): string[] {
  const faults: string[] = [];
  for (const version of page.split(/^## /m).slice(1)) {
    const name = version.split("\n")[0] ?? "";
    const sections = version.split(/^### /m).slice(1);
    const headings = sections.map((section) => section.split("\n")[0] ?? "");
    const isOrdered = headings.length > 0 && headings.join() === SECTIONS.filter((heading) => headings.includes(heading)).join();
    if (!isOrdered) faults.push(`${name}: ${headings.join(", ")}`);
    for (const section of sections) if (!/^- \S/m.test(section)) faults.push(`${name}: ${section.trim()} is empty`);
  }
  return faults;
}

describe("the gates can fail", () => {
  it.each([
    ["prose", `${"word ".repeat(40)}\n`],
    ["a cell", `| a | ${"x ".repeat(60)} |\n`],
    ["a cell with a link", `| [${"x".repeat(101)}](a.md) | a |\n`],
    ["prose after code", `\`\`\`sh\nls\n\`\`\`\n${"word ".repeat(40)}\n`],
  ])("at a page with too long %s", (_what, text) => {
    expect(lengthBreaches("a.md", text)).toHaveLength(1);
  });

  it.each([
    ["code", `\`\`\`sh\n${"word ".repeat(60)}\n\`\`\`\n`],
    ["a link's address", `| [a](https://example.com/${"x".repeat(120)}) |\n`],
    ["a rule below a table's head", `| a |\n| ${"-".repeat(150)} |\n`],
  ])("not at long %s", (_what, text) => {
    expect(lengthBreaches("a.md", text)).toEqual([]);
  });

  const files = waysToName(["src/core/event.ts", "docs/ingest.md"]);
  it.each([
    ["// as 2-api.md says", 1],
    ["/** See src/core/evnt.ts. */", 1],
    ["/** Limits (design: Ingest). */", 1],
    ["/** Limits (docs/ingest.md), core/event.ts and event.ts. */", 0],
    ["const a = 'src/nowhere.ts';", 0],
  ])("%s", (text, count) => {
    expect(commentBreaches("src/a.ts", text, files)).toHaveLength(count);
  });

  it("at a word that no source uses", () => {
    expect(termsOf("## Glossary\n\n- **claim**: a note; its **engine time**\n\n## Next\n\n- **lane**")).toEqual(["claim", "engine time"]);
    const code = "class ClaimLoop {} const engineTimeMs = planes;";
    expect(["claim", "engine time", "lane"].filter((term) => isUsed(term, code))).toEqual(["claim", "engine time"]);
  });

  it.each([
    ["### Fixed\n\n- a\n\n### Added\n\n- b\n", "1: Fixed, Added"],
    ["### Added\n\n- a\n\n### Added\n\n- b\n", "1: Added, Added"],
    ["### Removed\n\n- a\n", "1: Removed"],
    ["### Added\n\n- a\n\n### Fixed\n", "1: Fixed is empty"],
    ["Nothing.\n", "1: "],
  ])("at a changelog of %j", (text, fault) => {
    expect(changelogFaults(`# Changelog\n\n## 1\n\n${text}`)).toEqual([fault]);
  });

  it("at a promise without a bar, or out of turn", () => {
    expect(
      promisesOf("## 1. A\n\n- **Measured:** met\n- **Test:** a\n\n## 3. B\n\n- **Bar:** 1\n- **Measured:** met\n- **Test:** a\n"),
    ).toEqual([
      { number: 1, lines: ["Measured", "Test"] },
      { number: 3, lines: ["Bar", "Measured", "Test"] },
    ]);
  });
});
