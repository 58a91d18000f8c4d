import type { Breach } from "./rules.ts";
import { piecesOf } from "./source-text.ts";

/** One row of the word list in CONTRIBUTING.md: the words that read translated, and what to write instead. */
export interface WordRule {
  readonly write: string;
  readonly not: RegExp;
}

const ROW = /^\| (.+?) +\| (.+?) +\|$/;

/** The list under "## Words", which is the only place that holds it. */
export function wordList(contributing: string): WordRule[] {
  const section = contributing.split(/^## /m).find((part) => part.startsWith("Words\n")) ?? "";
  return section.split("\n").flatMap((line) => {
    const [, write = "", not = ""] = ROW.exec(line) ?? [];
    const phrases = [...not.matchAll(/`(\w)([^`]+)`/g)].map(
      ([, first = "", rest = ""]) => `[${first.toUpperCase()}${first}]${rest.replaceAll(" ", String.raw`\s+`)}`,
    );
    return phrases.length === 0 ? [] : [{ write, not: new RegExp(String.raw`(?<![\w-])(?:${phrases.join("|")})(?![\w-])`, "g") }];
  });
}

/** What a person reads of a file: prose without code in it. Lines stay where they are. */
export function proseOf(file: string, text: string): string {
  if (file.endsWith(".ts")) return stringsOf(text);
  if (/\.ya?ml$/.test(file)) return text.replaceAll(/^(?:[^#\n]|(?<!\s)#)*/gm, blank);
  return text.replaceAll(/^ *```[\s\S]*?^ *```/gm, blank).replaceAll(/`[^`]*`|\]\([^)]*\)/g, blank);
}

/** The same length, so that what is found can be pointed to. */
function blank(code: string): string {
  return code.replaceAll(/[^\n]/g, "_");
}

/** Strings with a space in them are for people; the others are names and codes. SQL is for nobody. */
function stringsOf(source: string): string {
  const lines: string[] = [];
  for (const { kind, text, line } of piecesOf(source)) {
    if (kind !== "string" || !/\w\s+\w/.test(text)) continue;
    const first = text.replaceAll("`", "").split("\n");
    for (const [index, part] of first.entries()) lines[line - 1 + index] = `${lines[line - 1 + index] ?? ""} ${part}`;
  }
  return Array.from(lines, (line) => line ?? "").join("\n");
}

export function wordBreaches(rules: readonly WordRule[], file: string, text: string): Breach[] {
  const prose = proseOf(file, text);
  return rules.flatMap(({ write, not }) =>
    [...prose.matchAll(not)].map((found) => ({
      file: `${file}:${prose.slice(0, found.index).split("\n").length}`,
      message: `"${found[0].replaceAll(/\s+/g, " ")}" reads translated, write: ${write}`,
    })),
  );
}
