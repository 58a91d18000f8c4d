import type { Breach } from "./rules.ts";
import { piecesOf } from "./source-text.ts";

/** A page is read in a terminal and in a diff, too: longer prose wraps there, and a longer cell makes every row of its table as long. */
export const PROSE_LINE_MAX = 170;
export const TABLE_CELL_MAX = 100;

/** Lines and cells of a page that are too long. Code may be as long as it must; of a link its text counts. */
export function lengthBreaches(file: string, text: string): Breach[] {
  const breaches: Breach[] = [];
  let isCode = false;
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*```/.test(line)) isCode = !isCode;
    if (isCode || isLink(line)) continue;
    const place = `${file}:${index + 1}`;
    if (!line.startsWith("|")) {
      if (line.length > PROSE_LINE_MAX) breaches.push({ file: place, message: `${line.length} characters, break at ${PROSE_LINE_MAX}` });
      continue;
    }
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll(/\]\([^)]*\)/g, "]"));
    const long = cells.find((cell) => cell.length > TABLE_CELL_MAX && !/^[-:]+$/.test(cell));
    if (long !== undefined)
      breaches.push({ file: place, message: `a cell of ${long.length} characters: at most ${TABLE_CELL_MAX}, or write a list` });
  }
  return breaches;
}

/** A link that stands alone cannot be broken. */
function isLink(line: string): boolean {
  return /^\s*(?:[-*] )?\S+$/.test(line);
}

const NAMED_FILE = /(?<![\w./:@-])(?:\.\.?\/)*([\w.-]+(?:\/[\w.-]+)*\.(?:ts|md|mjs|yaml|json|go))\b(?!\.\w)/g;

/** Comments that name a file which is not among `files` (whole paths, or the end of one), or a design that is not in this repository. */
export function commentBreaches(file: string, text: string, files: ReadonlySet<string>): Breach[] {
  return piecesOf(text).flatMap((piece) => {
    if (piece.kind !== "comment") return [];
    const place = `${file}:${piece.line}`;
    const missing = [...piece.text.matchAll(NAMED_FILE)].map(([, path = ""]) => path).filter((path) => !files.has(path));
    const breaches = missing.map((path) => ({ file: place, message: `names ${path}, which does not exist` }));
    if (/\(design\b/i.test(piece.text)) breaches.push({ file: place, message: "names a design: name the page in docs/ that says it" });
    return breaches;
  });
}

/** Every way in which a comment may name one of these files: its path from any folder on. */
export function waysToName(paths: Iterable<string>): Set<string> {
  const ways = new Set<string>();
  for (const path of paths) {
    const parts = path.split("/");
    for (let from = 0; from < parts.length; from++) ways.add(parts.slice(from).join("/"));
  }
  return ways;
}
