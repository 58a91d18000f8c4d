import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { identityOf, type IdentityPart, type IdentityRead } from "./identity.ts";

/** Where the files are. */
export interface IdentityFiles {
  readonly certificate: string;
  readonly key: string;
  readonly clientAuthorities?: string | undefined;
}

/** A bundle of all public authorities has 250 KB; what is longer is another file. */
export const FILE_BYTES_MAX = 512 * 1024;

/**
 * Reads and checks all of them. A Secret that Kubernetes exchanges meanwhile gives a pair that does not match: read again a moment later. What has
 * not changed since the last time is not checked again: a few hundred authorities take 0.1 s of the event loop.
 */
export class IdentityReader {
  readonly files: IdentityFiles;
  #last: { readonly hash: string; readonly read: IdentityRead } | undefined;

  constructor(files: IdentityFiles) {
    this.files = files;
  }

  async read(): Promise<IdentityRead> {
    const texts: { [K in IdentityPart]?: string } = {};
    for (const part of ["certificate", "key", "clientAuthorities"] as const) {
      const file = this.files[part];
      if (file === undefined) continue;
      const read = await readText(file);
      if (!read.ok) return { ok: false, part, fault: read.fault };
      texts[part] = read.text;
    }
    const { certificate = "", key = "", clientAuthorities } = texts;
    const hash = createHash("sha256")
      .update(JSON.stringify([certificate, key, clientAuthorities ?? null]))
      .digest("hex");
    if (this.#last?.hash !== hash) this.#last = { hash, read: identityOf({ certificate, key, clientAuthorities }) };
    return this.#last.read;
  }
}

async function readText(
  file: string,
): Promise<{ readonly ok: true; readonly text: string } | { readonly ok: false; readonly fault: string }> {
  try {
    // A pipe would be waited for without end.
    const found = await stat(file);
    if (!found.isFile() && !found.isDirectory()) return { ok: false, fault: "it is not a regular file" };
    const handle = await open(file, "r");
    try {
      const { size } = await handle.stat();
      if (size > FILE_BYTES_MAX) return { ok: false, fault: `it has ${size} bytes; ${FILE_BYTES_MAX} are the most` };
      return { ok: true, text: await handle.readFile("utf8") };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return { ok: false, fault: unreadable(error as NodeJS.ErrnoException) };
  }
}

function unreadable({ code, message }: NodeJS.ErrnoException): string {
  if (code === "ENOENT") return "there is no such file: mount the Secret, or correct the path";
  if (code === "EACCES" || code === "EPERM") return "this process may not read it: set the file's mode, or fsGroup for a mounted Secret";
  if (code === "EISDIR") return "it is a folder: name the file in it";
  return `it cannot be read: ${message}`;
}
