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
