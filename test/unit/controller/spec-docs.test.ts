import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ConditionDraft } from "../../../src/core/conditions.ts";
import type { Problem } from "../../../src/core/problem.ts";
import { CONDITION_REASONS, EVENT_REASONS, MANIFEST_REASONS } from "../../../src/core/reasons.ts";

const DOCS = join(import.meta.dirname, "../../../docs");
const SRC = join(import.meta.dirname, "../../../src");

it("docs/spec explains every condition and every reason that the controller gives", () => {
  const text = readdirSync(join(DOCS, "spec"))
    .map((file) => readFileSync(join(DOCS, "spec", file), "utf8"))
    .join("\n");
  const words = [...Object.keys(CONDITION_REASONS), ...Object.values(CONDITION_REASONS).flat()];
  expect(words.length).toBeGreaterThan(50);
  expect(words.filter((word) => !text.includes(`\`${word}\``))).toEqual([]);
});

/** The words that the first column of a section's table explains. */
function explainedUnder(heading: string, page: string): string[] {
  const [, section = ""] = new RegExp(`^##+ ${heading}\\n(.*?)(?=^##|$(?![\\s\\S]))`, "ms").exec(page) ?? [];
  return [...section.matchAll(/^\| `(\w+)` +\|/gm)].map(([, word]) => word ?? "");
}

describe("docs/reasons.md lists exactly the reasons there are", () => {
  const page = readFileSync(join(DOCS, "reasons.md"), "utf8");
  const sections = { ...CONDITION_REASONS, Events: EVENT_REASONS, Manifests: MANIFEST_REASONS };

  it.each(Object.entries(sections))("under %s", (heading, reasons) => {
    expect(explainedUnder(heading, page).toSorted()).toEqual([...reasons].toSorted());
  });

  it("and has no table but theirs", () => {
    const listed = [...page.matchAll(/^\| `/gm)].length;
    expect(listed).toBe(Object.values(sections).flat().length);
  });

  it.each([
    ["a reason that is not explained", page.replace("| `BySpec` ", "| BySpec ")],
    ["an explained reason that nobody gives", page.replace("| `BySpec` ", "| `Bored`  |  x |\n| `BySpec` ")],
  ])("and the test sees %s", (_, changed) => {
    expect(changed).not.toBe(page);
    expect(explainedUnder("Suspended", changed).toSorted()).not.toEqual([...CONDITION_REASONS.Suspended].toSorted());
  });
});

it("every reason in the union is given somewhere", () => {
  const sources = globSync("**/*.ts", { cwd: SRC }).filter((file) => file !== "core/reasons.ts");
  const text = sources.map((file) => readFileSync(join(SRC, file), "utf8")).join("\n");
  const all = [...Object.values(CONDITION_REASONS).flat(), ...EVENT_REASONS, ...MANIFEST_REASONS];
  expect(all.filter((reason) => !text.includes(`"${reason}"`))).toEqual([]);
});

it("a reason or condition outside the union does not compile", () => {
  // @ts-expect-error: there is no such reason
  const problem: Problem = { field: "", reason: "NotAReason", message: "" };
  // @ts-expect-error: there is no such condition
  const draft: ConditionDraft = { type: "NotACondition", status: "True", reason: "Ready", message: "" };
  expect([problem.reason, draft.type]).toEqual(["NotAReason", "NotACondition"]);
});
