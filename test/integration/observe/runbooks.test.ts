import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

const ROOT = join(import.meta.dirname, "../../..");
const RUNBOOKS = join(ROOT, "docs/runbooks");

interface Rule {
  readonly alert?: string;
  readonly annotations?: { readonly runbook_url?: string };
}

const rules = ["alerts", "slo"].flatMap((name) => {
  const { groups } = parse(readFileSync(join(ROOT, `charts/postrider/rules/${name}.yaml`), "utf8")) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules).filter(({ alert }) => alert !== undefined);
});
const alerts = [...new Set(rules.map(({ alert = "" }) => alert))];

describe("the runbooks", () => {
  it("have one page for each alert and no other, linked from it", () => {
    expect(alerts.length).toBeGreaterThan(25);
    expect(rules.map(({ annotations }) => annotations?.runbook_url)).toEqual(
      rules.map(({ alert = "" }) => `https://postrider.dev/runbooks/${alert}`),
    );
    const pages = readdirSync(RUNBOOKS).filter((file) => file !== "README.md");
    expect(pages.sort()).toEqual(alerts.map((alert) => `${alert}.md`).sort());
  });

  it.each(alerts)("%s says what it means, what is at stake, where to look and what to do", (alert) => {
    const file = join(RUNBOOKS, `${alert}.md`);
    const page = existsSync(file) ? readFileSync(file, "utf8") : "";
    expect(page.match(/^#+ .*/gm)).toEqual([`# ${alert}`, "## What it means", "## What is at stake", "## Where to look", "## What to do"]);
    expect(page).toMatch(/```/);
  });
});
