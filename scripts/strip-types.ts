import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, resolve } from "node:path";

/**
 * Writes a folder of TypeScript anew as JavaScript, for the image: a process that strips types itself loads the stripper (12 MiB) in each of
 * its threads and takes half a second longer to start. Lines and columns stay where they were. Used by the Dockerfile, so it may import
 * nothing but Node.
 */
export function stripFolder(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith(".ts") });
  for (const path of globSync("**/*.ts", { cwd: from })) {
    const target = join(to, path.replace(/\.ts$/, ".js"));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, stripped(readFileSync(join(from, path), "utf8")));
  }
}

/** Types blanked out, and every string that is a path to a TypeScript file and nothing else names the JavaScript file: imports and workers. */
export function stripped(source: string): string {
  return stripTypeScriptTypes(source).replace(/(["'])((?:\.{1,2}\/)?[\w./-]+)\.ts\1/g, "$1$2.js$1");
}

const [script, from, to] = process.argv.slice(1);
if (script !== undefined && resolve(script) === import.meta.filename) {
  if (from === undefined || to === undefined) {
    console.error("usage: node scripts/strip-types.ts FROM TO");
    process.exit(2);
  }
  stripFolder(from, to);
}
