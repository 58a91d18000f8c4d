import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sourceFiles } from "../../support/house/import-graph.ts";

const ROOT = join(import.meta.dirname, "../../..");
const page = readFileSync(join(ROOT, "docs/log.md"), "utf8");
/** Words with a dot, and those without that are events of the log all the same: `event` is a name of other things, too. */
const DOTTED = /\bevent: "([a-z]+(?:\.[a-z_]+)+)"/g;
const PLAIN = ["handshake", "status", "stopping", "stopped"];

function written(): string[] {
  const words = sourceFiles(ROOT, "src").flatMap((file) =>
    [...readFileSync(join(ROOT, file), "utf8").matchAll(DOTTED)].map(([, word]) => word ?? ""),
  );
  return [...new Set([...words, ...PLAIN])].toSorted();
}

/** Of the list of all events. */
function listed(text: string): string[] {
  const list = text.slice(text.indexOf("## All events"));
  return [...list.matchAll(/`([a-z]+(?:\.[a-z_]+)*)`/g)].map(([, word]) => word ?? "").toSorted();
}

it("docs/log.md lists exactly the events that the log has", () => {
  expect(written().length).toBeGreaterThan(30);
  expect(listed(page)).toEqual(written());
});

it("and the test sees an event that is not listed, and one that is gone", () => {
  expect(listed(page.replace("`store.full`", "store.full"))).not.toEqual(written());
  expect(listed(page.replace("`store.full`", "`store.full`, `store.gone`"))).not.toEqual(written());
});
