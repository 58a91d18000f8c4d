import { errorCode } from "../lib/error-code.ts";
import { CommandFailure } from "./program.ts";

/** The usual reasons, in the words of people who do not know the system's. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "you have no permission to read it",
  EPERM: "you have no permission to read it",
  EISDIR: "it is a folder: name a file in it",
  ENOTDIR: "a part of its path is a file, not a folder",
  ELOOP: "its links lead in a circle",
  EMFILE: "too many files are open",
};

/** Why a file that a flag names cannot be read. */
export function cannotRead(path: string, error: unknown): CommandFailure {
  const words = WORDS[errorCode(error) ?? ""] ?? (error instanceof Error ? error.message : "unknown");
  return new CommandFailure(`cannot read ${path}: ${words}`);
}
