import { exactText, parseExact } from "../api/exact-json.ts";

/** One place of a manifest that differs; undefined where there is nothing. */
export interface Difference {
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Places at which two JSON values differ, in the order of the second. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name) => differences(before[name], after[name], path === "" ? name : `${path}.${name}`));
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length)
    return before.flatMap((item, at) => differences(item, after[at], `${path}[${at}]`));
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Longer texts are compared as a whole: finding their common lines costs their lengths multiplied. */
const LINES_MAX = 1_000;
const CONTEXT = 2;

/** A diff by lines: `-` only before, `+` only after, two lines of what is around them. Empty where both are the same. */
export function lineDiff(before: readonly string[], after: readonly string[]): string[] {
  if (before.length > LINES_MAX || after.length > LINES_MAX)
    return before.join("\n") === after.join("\n")
      ? []
      : [`(they differ; ${before.length} and ${after.length} lines are too many to compare by lines)`];
  const marked = markedLines(before, after);
  const isNear = marked.map((_, at) => marked.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some((line) => !line.startsWith(" ")));
  return marked.flatMap((line, at) => (isNear[at] === true ? [line] : isNear[at - 1] === true ? ["  …"] : []));
}

/** Longest common subsequence; the tables stay below LINES_MAX squared. */
function markedLines(a: readonly string[], b: readonly string[]): string[] {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        a[i] === b[j] ? lengths[(i + 1) * width + j + 1]! + 1 : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
  const marked: string[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      marked.push(`  ${a[i]}`);
      [i, j] = [i + 1, j + 1];
    } else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!)) marked.push(`- ${a[i++]}`);
    else marked.push(`+ ${b[j++]}`);
  }
  return marked;
}

/** A body by lines: JSON is laid out, numbers as they are spelled, so that one value that differs is one line. */
export function bodyAsLines(body: string): string[] {
  try {
    return exactText(parseExact(body), 2).split("\n");
  } catch {
    return body.split("\n");
  }
}
