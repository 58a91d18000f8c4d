import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/security.md"), "utf8");
const MIB = 1_048_576;
const UNITS: Readonly<Record<string, number>> = { KiB: 1_024, MiB: MIB, s: 1_000 };

/** Cells of the rows of the table under a heading, without its head. */
function rowsUnder(heading: string): string[][] {
  const section = PAGE.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

/** The items under "Threats": who wants what, what stops it, and the tests that show it. */
function threatsOf(page: string): { who: string; wants: string; stoppedBy: string; tests: string[] }[] {
  const section = page.split(/^## /m).find((part) => part.startsWith("Threats")) ?? "";
  return section.split(/^- /m).flatMap((item) => {
    const text = item.replaceAll(/\s+/g, " ").trim();
    const [, who = "", wants = "", stoppedBy = "", shownBy = ""] =
      /^\*\*(.+?)\*\*: (.+?)(?: - Stopped by: (.+?))?(?: - Shown by: (.+))?$/.exec(text) ?? [];
    return who === "" ? [] : [{ who, wants, stoppedBy, tests: Array.from(shownBy.matchAll(/`([^`]+)`/g), ([, path = ""]) => path) }];
  });
}

/** The value of a name in a source: numbers and products of them only. */
function valueOf(file: string, name: string): number | undefined {
  const text = existsSync(join(ROOT, file)) ? readFileSync(join(ROOT, file), "utf8") : "";
  const found = new RegExp(`(?:const ${name} =|^  ${name}:) ([\\d_ *.]+)[;,]`, "m").exec(text)?.[1];
  return found?.split("*").reduce((product, factor) => product * Number(factor.replaceAll("_", "").trim()), 1);
}

/** `256 KiB`, `1,000`, `30 s`: in bytes, as it is, in ms. */
function numberOf(cell: string): number {
  const [, digits = "", unit = ""] = /^([\d,.]+)(?: (KiB|MiB|s)\b)?/.exec(cell) ?? [];
  return Number(digits.replaceAll(",", "")) * (UNITS[unit] ?? 1);
}

describe("docs/security.md", () => {
  const bounds = rowsUnder("The bounds");
  const inCode = bounds.flatMap(([bound = "", number = "", where = ""]) => {
    const [, name, file] = /^`(\w+)` in `(src\/[\w/.-]+)`$/.exec(where) ?? [];
    return name === undefined || file === undefined ? [] : [{ bound, number, name, file }];
  });

  it.each(inCode)("tells the bound of $bound as it stands in $file", ({ number, name, file }) => {
    expect(valueOf(file, name), `${name} in ${file}`).toBe(numberOf(number));
  });

  it("says of every bound where it is set: in the code, by a flag or by a policy", () => {
    const flags = readFileSync(join(ROOT, "src/config/settings.ts"), "utf8");
    for (const [bound = "", , where = ""] of bounds) {
      const flag = /^`--([\w-]+)`$/.exec(where)?.[1];
      const isKnown = flag === undefined ? /^`limits\.|^`\w+` in `src\//.test(where) : flags.includes(`"${flag}":`);
      expect(isKnown, bound).toBe(true);
    }
    expect(inCode.length).toBeGreaterThan(20);
  });

  it.each(threatsOf(PAGE))("names a test that exists for: $who $wants", ({ stoppedBy, tests }) => {
    expect(stoppedBy).not.toBe("");
    expect(tests.filter((path) => !/^test\/.*\.test\.ts$/.test(path) || !existsSync(join(ROOT, path)))).toEqual([]);
    expect(tests.length).toBeGreaterThan(0);
  });

  it("has a list of threats, and links to it from where people start", () => {
    expect(threatsOf(PAGE).length).toBeGreaterThan(25);
    for (const page of ["README.md", "docs/ARCHITECTURE.md", "SECURITY.md"])
      expect(readFileSync(join(ROOT, page), "utf8")).toContain("security.md)");
  });
});

it("the checks can fail", () => {
  expect(numberOf("256 KiB")).toBe(262_144);
  expect(numberOf("30 s")).toBe(30_000);
  expect(valueOf("src/core/event.ts", "NO_SUCH_BOUND")).toBeUndefined();
  expect(valueOf("src/nowhere.ts", "EVENT_BYTES_MAX")).toBeUndefined();
  expect(threatsOf("## Threats\n\n- **Tenant**: to read\n  more\n  - Stopped by: a rule\n- **Reader**: to wait\n")).toEqual([
    { who: "Tenant", wants: "to read more", stoppedBy: "a rule", tests: [] },
    { who: "Reader", wants: "to wait", stoppedBy: "", tests: [] },
  ]);
});
