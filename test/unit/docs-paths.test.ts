import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).map((file) => `docs/${file}`),
];

it.each(PAGES.filter((page) => page.endsWith(".md")))("%s names only files that are there", (page) => {
  const text = readFileSync(join(ROOT, page), "utf8");
  const named = [...text.matchAll(/`((?:test|docs|src|scripts|examples|charts|crds)\/[\w./-]*[\w/])`/g)].map((match) => match[1] ?? "");
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
