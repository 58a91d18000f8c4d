import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** One import statement: who imports what, types included. */
export interface Import {
  /** Path below the root, with forward slashes. */
  readonly from: string;
  readonly specifier: string;
  /** Path below the root for a relative import; undefined for a package. */
  readonly to: string | undefined;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;"'`]*?from\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

/** All imports of one source text. */
export function importsOf(root: string, file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? match[3];
    if (specifier === undefined) continue;
    const to = specifier.startsWith(".") ? relative(root, resolve(root, dirname(file), specifier)).replaceAll("\\", "/") : undefined;
    found.push({ from: file, specifier, to });
  }
  return found;
}

/** Every TypeScript file below `folder`, as paths below `root`. */
export function sourceFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .toSorted();
}

/** The whole graph below `folder`. */
export function importGraph(root: string, folder: string): Import[] {
  return sourceFiles(root, folder).flatMap((file) => importsOf(root, file, readFileSync(join(root, file), "utf8")));
}

/** Cycles among files, type imports included: each as the list of files that closes it. */
export function cycles(imports: readonly Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) {
    if (to === undefined) continue;
    const list = next.get(from);
    if (list === undefined) next.set(from, [to]);
    else list.push(to);
  }
  const found: string[][] = [];
  const state = new Map<string, "open" | "done">();
  const walk = (file: string, path: string[]): void => {
    state.set(file, "open");
    for (const target of next.get(file) ?? []) {
      if (state.get(target) === "open") found.push([...path.slice(path.indexOf(target)), target]);
      else if (state.get(target) === undefined) walk(target, [...path, target]);
    }
    state.set(file, "done");
  };
  for (const file of next.keys()) if (state.get(file) === undefined) walk(file, [file]);
  return found;
}
