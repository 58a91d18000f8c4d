import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { MANIFEST_FILE_BYTES_MAX } from "../api/manifest.ts";
import { errorCode } from "../lib/error-code.ts";
import { CommandFailure } from "./program.ts";
import { cannotRead } from "./read-fault.ts";
import { readStdin } from "./stdin.ts";

/** A manifest file; `file` is only a name for messages. */
export interface ManifestText {
  readonly file: string;
  readonly text: string;
}

/** The same files that `run --manifests` reads: YAML and JSON, no dot files, no editor backups; `-` is stdin. @throws CommandFailure */
export function manifestFiles(path: string): ManifestText[] {
  if (path === "-") return [{ file: "stdin", text: readStdin().toString("utf8") }];
  try {
    if (!statSync(path).isDirectory()) return [readManifestText(path)];
    return readdirSync(path, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ya?ml|json)$/i.test(name) && !name.split("/").some((part) => part.startsWith(".")))
      .toSorted()
      .map((name) => join(path, name))
      .filter((file) => statSync(file).isFile())
      .map(readManifestText);
  } catch (error) {
    throw error instanceof Error && errorCode(error) !== undefined ? cannotRead(path, error) : error;
  }
}

function readManifestText(file: string): ManifestText {
  const { size } = statSync(file);
  if (size > MANIFEST_FILE_BYTES_MAX)
    throw new CommandFailure(`${file} has ${size} bytes; at most ${MANIFEST_FILE_BYTES_MAX} are read: split it`);
  return { file, text: readFileSync(file, "utf8") };
}
