import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/cluster-tests.md"), "utf8");

interface Finding {
  readonly id: string;
  readonly tests: readonly { readonly file: string; readonly title: string }[];
}

/** The findings of the page, each with the tests that it names. Lines are wrapped anywhere. */
function findingsOf(page: string): Finding[] {
  return page.split(/^(?=- \*\*[DA]\d+\*\*)/m).flatMap((item) => {
    const id = /^- \*\*([DA]\d+)\*\*/.exec(item)?.[1];
    const text = item.replaceAll(/\s+/g, " ");
    const tests = Array.from(text.matchAll(/`(test\/[\w./-]+)`: "(.+?)"(?= - `| - \*\*| ##| ?$)/g), ([, file = "", title = ""]) => ({
      file,
      title,
    }));
    return id === undefined ? [] : [{ id, tests }];
  });
}

/** Whether a test file has a test of this title, however its line is written. */
function hasTitle(source: string, title: string): boolean {
  return [`"${title}"`, `\`${title}\``, `"${title.replaceAll('"', String.raw`\"`)}"`].some((literal) => source.includes(literal));
}

describe("docs/cluster-tests.md", () => {
  const findings = findingsOf(PAGE);

  it("has every finding, in order", () => {
    const expected = [["D", 25] as const, ["A", 14] as const].flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, at) => `${letter}${at + 1}`),
    );
    expect(findings.map(({ id }) => id)).toEqual(expected);
  });

  it.each(findings)("$id names tests that exist", ({ tests }) => {
    expect(tests.length).toBeGreaterThan(0);
    const missing = tests.filter(({ file, title }) => {
      const path = join(ROOT, file);
      return !existsSync(path) || !hasTitle(readFileSync(path, "utf8"), title);
    });
    expect(missing).toEqual([]);
  });

  it("reads every test that the page names", () => {
    const named = PAGE.match(/`test\/[\w./-]+`/g) ?? [];
    expect(findings.flatMap(({ tests }) => tests)).toHaveLength(named.length);
  });

  it("would notice a title that is gone", () => {
    expect(hasTitle('it("keeps the key", () => {', "keeps the key")).toBe(true);
    expect(hasTitle('it("keeps the keys", () => {', "keeps the key")).toBe(false);
  });
});
