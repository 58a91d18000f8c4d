import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../support/operator/node-flags.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PINNED = /^[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}$/;

/** Images that a Dockerfile begins from, build arguments replaced by their defaults. */
function basesOf(text: string): string[] {
  const defaults = new Map(Array.from(text.matchAll(/^ARG (\w+)=(\S+)$/gm), ([, name, value]) => [name, value]));
  const stages = new Set(Array.from(text.matchAll(/^FROM .* AS (\S+)$/gim), ([, name]) => name));
  return Array.from(text.matchAll(/^FROM (?:--\S+ )*(\S+)/gim), ([, image = ""]) =>
    image.replace(/\$\{(\w+)\}/, (_, name: string) => defaults.get(name) ?? ""),
  ).filter((image) => !stages.has(image));
}

it("the image is built from images that nobody can exchange: name, tag and digest", () => {
  const bases = basesOf(readFileSync(resolve(ROOT, "Dockerfile"), "utf8"));
  expect(bases).toHaveLength(2);
  for (const base of bases) expect(base).toMatch(PINNED);
});

it.each([
  "FROM node:24-slim",
  "ARG A=node:24-slim\nFROM ${A}",
  "FROM ${B}",
  `FROM node@sha256:${"0".repeat(64)}`,
  `FROM node:24@sha256:${"0".repeat(63)}`,
])("would see %j", (text) => {
  const [base = ""] = basesOf(text);
  expect(base).not.toMatch(PINNED);
});

it("the page on installing names the same images", () => {
  const page = readFileSync(resolve(ROOT, "docs/install.md"), "utf8");
  for (const base of basesOf(readFileSync(resolve(ROOT, "Dockerfile"), "utf8"))) {
    expect(page).toContain(`\`${base.replace("docker.io/library/", "").replace(/@.*$/, "")}\``);
  }
});

it("image, scripts and tests start Node with the same flags and settings of malloc", () => {
  const flags = NODE_FLAGS.join(" ");
  const settings = Object.entries(NODE_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
  const image = readFileSync(resolve(ROOT, "Dockerfile"), "utf8");
  for (const setting of settings) expect(image).toMatch(new RegExp(`^    ${setting} \\\\$`, "m"));
  const { scripts } = JSON.parse(readFileSync(resolve(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };
  expect(scripts["postrider"]).toBe(`${settings.join(" ")} exec node ${flags} src/main.ts`);
  expect(scripts["demo"]).toBe(`${settings.join(" ")} exec node ${flags} src/main.ts demo`);
  const entry = /^ENTRYPOINT (\[.*\])$/m.exec(image)?.[1] ?? "[]";
  expect(JSON.parse(entry)).toEqual(["node", ...NODE_FLAGS, "/app/src/main.js"]);
  const example = readFileSync(resolve(ROOT, "scripts/example/operator-child.ts"), "utf8");
  for (const flag of NODE_FLAGS) expect(example).toContain(JSON.stringify(flag));
});
