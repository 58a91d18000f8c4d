import type { Breach } from "./rules.ts";

/** Where a test, or a function that may hold the assertions of several, begins in formatted source. */
const TEST = /^( *)(?:it|test)(?:\.\w+)*\(/;
const FUNCTION =
  /^ *(?:(?:export )?(?:async )?function (\w+)|(?:export )?const (\w+) = (?:async )?(?:<.*>)?\((?:.*=>|$)|(?:async )?#?(\w+)\((?!.*=>).*\{$)/;
const STATEMENTS: ReadonlySet<string> = new Set(["if", "for", "while", "switch", "constructor", "catch"]);
const ASSERTS = /\bexpect\b|\bassert\w*\b/;

/** Tests of a formatted file in which nothing is asserted, neither there nor in a function of the file that they call: they can only fail by time-out. */
export function testsWithoutAssertion(file: string, source: string): Breach[] {
  const lines = source.split("\n");
  const asserting = assertingFunctions(lines);
  const calls = asserting.size === 0 ? undefined : new RegExp(`\\b(?:${[...asserting].join("|")})\\b`);
  return lines.flatMap((line, at) => {
    if (!TEST.test(line)) return [];
    const text = blockAt(lines, at);
    if (ASSERTS.test(text) || calls?.test(text) === true) return [];
    return [{ file, message: `line ${at + 1}: a test without an assertion is not allowed, say with expect what it shows` }];
  });
}

/** Names of functions that assert, or call one that does. */
function assertingFunctions(lines: readonly string[]): Set<string> {
  const functions = lines.flatMap((line, at) => {
    const found = FUNCTION.exec(line);
    const name = found?.[1] ?? found?.[2] ?? found?.[3];
    return name === undefined || STATEMENTS.has(name) ? [] : [{ name, text: blockAt(lines, at) }];
  });
  const asserting = new Set(functions.filter(({ text }) => ASSERTS.test(text)).map(({ name }) => name));
  for (let before = -1; before !== asserting.size;) {
    before = asserting.size;
    const calls = new RegExp(`\\b(?:${[...asserting].join("|") || "$^"})\\(`);
    for (const { name, text } of functions) if (calls.test(text.slice(text.indexOf(name) + name.length))) asserting.add(name);
  }
  return asserting;
}

/** From a line to the one that closes it: the first of the same depth that ends a statement. */
function blockAt(lines: readonly string[], at: number): string {
  const first = lines[at] ?? "";
  const depth = first.search(/\S/);
  if (first.endsWith(";")) return first;
  const length = lines.slice(at + 1).findIndex((line) => line.search(/\S/) === depth && (line.endsWith(";") || line.trim() === "}"));
  return lines.slice(at, length < 0 ? undefined : at + length + 2).join("\n");
}
