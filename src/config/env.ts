import { enableCompileCache, getCompileCacheDir } from "node:module";

/** The only place that reads the environment. Every flag `--some-flag` of `run` is also `POSTRIDER_SOME_FLAG`. */
export function readEnv(source: Readonly<Record<string, string | undefined>> = process.env): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(source)) {
    if (value !== undefined && value !== "" && name.startsWith("POSTRIDER_")) found[name] = value;
  }
  return found;
}

/** The environment's name of a flag: `ingest-listen` -> `POSTRIDER_INGEST_LISTEN`. */
export function envName(flag: string): string {
  return `POSTRIDER_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/** NO_COLOR that is not empty (https://no-color.org), or a terminal that knows no colours. */
export function refusesColour(source: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return (source["NO_COLOR"] ?? "") !== "" || source["TERM"] === "dumb";
}

/** Colour is asked for although nobody seems to look (CLICOLOR_FORCE, as the BSDs have it). */
export function forcesColour(source: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return !["", "0"].includes(source["CLICOLOR_FORCE"] ?? "");
}

/**
 * Keeps stripped and compiled sources between starts (NODE_COMPILE_CACHE, else Node's own folder below the temporary one), for worker
 * threads too, which read the environment. A folder that cannot be written is no error: the start is slower.
 */
export function useCompileCache(): void {
  enableCompileCache();
  const directory = getCompileCacheDir();
  if (directory !== undefined) process.env["NODE_COMPILE_CACHE"] ??= directory;
}
