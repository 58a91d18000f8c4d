import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { allCommands, commandsOf } from "../../../src/cli/commands.ts";
import { SystemClock } from "../../../src/lib/clock.ts";

const ROOT = join(import.meta.dirname, "../../..");
const random = { next: () => 0, bytes: (length: number) => new Uint8Array(length) };
const never = (): never => {
  throw new Error("no command runs here");
};
const parts = {
  version: "test",
  start: never,
  connect: never,
  signals: { onStop: never, onReload: never } as never,
  clock: new SystemClock(),
  random,
};
const commands = await allCommands(parts);
const names = new Set(commands.map((command) => command.name()));

/** Commands that a text tells its reader to run: in backticks, or alone on a line of a code block. */
function namedIn(text: string): string[] {
  return Array.from(
    text.matchAll(/(?:`|^ *(?:\$ )?)(?:npx )?postrider ([a-z][a-z-]*)(?= [-A-Za-z"'.<[]|`|\\`|$)/gm),
    ([, name = ""]) => name,
  );
}

describe("commands that people are told to run", () => {
  const files = globSync(["*.md", "{docs,examples,charts,crds}/**/*.{md,yaml,txt}", "{src,scripts}/**/*.ts"], { cwd: ROOT });

  it("exist", () => {
    const told = files.flatMap((file) => namedIn(readFileSync(join(ROOT, file), "utf8")).map((name) => ({ file, name })));
    expect(told.length).toBeGreaterThan(20);
    expect(told.filter(({ name }) => !names.has(name))).toEqual([]);
  });

  it.each([
    ["resend deliveries with `postrider resend`", ["resend"]],
    ["resend deliveries with \\`postrider resend\\`", ["resend"]],
    ["```sh\npostrider replay --all\n```", ["replay"]],
    ["Postrider is a name, and `postrider-system` a namespace", []],
  ])("are found in %j", (text, found) => {
    expect(namedIn(text)).toEqual(found);
  });
});

it("the help of all commands says of each what its own help says", async () => {
  const lines = await commandsOf(parts, []);
  expect(lines.map((command) => [command.name(), command.description()])).toEqual(
    commands.map((command) => [command.name(), command.description()]),
  );
});
