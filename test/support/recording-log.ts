import type { Log } from "../../src/observe/log.ts";

export interface RecordedLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A log whose lines a test reads. `level`: the lowest that is written. */
export function recordingLog(level: "info" | "warn" = "info"): { readonly log: Log; readonly lines: RecordedLine[] } {
  const lines: RecordedLine[] = [];
  const write =
    (of: string) =>
    (fields: object, msg = ""): void =>
      void lines.push({ level: of, ...fields, msg });
  const log = {
    info: level === "info" ? write("info") : () => undefined,
    warn: write("warn"),
    error: write("error"),
    isLevelEnabled: (of: string) => of !== "info" || level === "info",
  };
  return { log: log as unknown as Log, lines };
}
