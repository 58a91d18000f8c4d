import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { MANIFEST_FILE_BYTES_MAX, readManifestFile } from "../api/manifest.ts";
import type { Manifest } from "../api/manifest.ts";
import { KIND_NAMES } from "../api/schema.ts";
import { refKey } from "../controller/objects.ts";
import type { ObjectRef, WatchedObject } from "../controller/objects.ts";
import { manifestRef, objectOf } from "./manifest-object.ts";

/** Something wrong in a manifest file, with its place. */
export interface FileProblem {
  /** Path below the watched directory. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

/** What one file gave when it was last whole. */
interface FileState {
  /** Tells whether the file has changed since it was read. */
  readonly mark: string;
  readonly objects: ReadonlyMap<string, ReadObject>;
  readonly problems: readonly FileProblem[];
}

export interface ReadObject {
  readonly ref: ObjectRef;
  readonly object: WatchedObject;
}

/** What a look at the directory found: every object that holds now, and what is wrong. */
export interface DirectoryScan {
  readonly objects: ReadonlyMap<string, ReadObject>;
  readonly problems: readonly FileProblem[];
}

/** Folders nested deeper are not read: a link that leads back up must not be followed for ever. */
export const DIRECTORY_DEPTH_MAX = 16;

/**
 * Reads the manifests of a directory, again and again. A file that has become broken keeps its last good objects; a file that
 * has never been whole gives those of its objects that are.
 */
export class ManifestDirectory {
  readonly #root: string;
  #files = new Map<string, FileState>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Reads what has changed. @throws when the directory itself cannot be read: then nothing has changed either. */
  async scan(): Promise<DirectoryScan> {
    const files = new Map<string, FileState>();
    for (const path of (await this.#paths("", 0)).toSorted()) {
      const state = await this.#read(path, this.#files.get(path));
      if (state !== undefined) files.set(path, state);
    }
    this.#files = files;
    return this.#whole();
  }

  #whole(): DirectoryScan {
    const objects = new Map<string, ReadObject>();
    const problems: FileProblem[] = [];
    const homes = new Map<string, string>();
    for (const [file, state] of this.#files) {
      problems.push(...state.problems);
      for (const [key, read] of state.objects) {
        const home = homes.get(key);
        if (home === undefined) {
          objects.set(key, read);
          homes.set(key, file);
        } else {
          const { kind, name } = read.ref;
          const message = `${kind} ${name} is in ${home} too, which is the one obeyed: remove one of them`;
          problems.push({ file, line: 1, field: "metadata.name", reason: "Duplicate", message });
        }
      }
    }
    return { objects, problems };
  }

  async #paths(folder: string, depth: number): Promise<string[]> {
    const paths: string[] = [];
    for (const entry of await readdir(join(this.#root, folder), { withFileTypes: true })) {
      if (entry.name.startsWith(".") || entry.name.endsWith("~")) continue;
      const path = join(folder, entry.name);
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await this.#isFolder(path)));
      if (!isFolder && /\.(ya?ml|json)$/i.test(entry.name)) paths.push(path);
      if (isFolder && depth < DIRECTORY_DEPTH_MAX) paths.push(...(await this.#paths(path, depth + 1)));
    }
    return paths;
  }

  async #isFolder(path: string): Promise<boolean> {
    const found = await stat(join(this.#root, path)).catch(() => undefined);
    return found?.isDirectory() ?? false;
  }

  /** Undefined when the file is gone. */
  async #read(path: string, before: FileState | undefined): Promise<FileState | undefined> {
    const full = join(this.#root, path);
    const found = await stat(full, { bigint: true }).catch((error: NodeJS.ErrnoException) => error);
    if (found instanceof Error) {
      // A disk or a mount that has trouble for a moment has deleted nothing.
      return found.code === "ENOENT" ? undefined : broken(before, "", path, `the file cannot be read: ${found.message}`);
    }
    if (!found.isFile()) return undefined;
    const mark = `${found.ino}:${found.size}:${found.mtimeNs}`;
    if (before?.mark === mark) return before;
    if (found.size > MANIFEST_FILE_BYTES_MAX) {
      return broken(before, mark, path, `the file has over ${MANIFEST_FILE_BYTES_MAX} bytes, the most that is read: split it`);
    }
    try {
      return parsed(await readFile(full, "utf8"), path, mark, before);
    } catch (error) {
      // Read again at the next look: the mark is not kept.
      return broken(before, "", path, `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function broken(before: FileState | undefined, mark: string, file: string, message: string): FileState {
  return { mark, objects: before?.objects ?? new Map(), problems: [{ file, line: 1, field: "", reason: "Unreadable", message }] };
}

function parsed(text: string, file: string, mark: string, before: FileState | undefined): FileState {
  const { manifests, problems: syntax } = readManifestFile(text);
  const problems: FileProblem[] = syntax.map(({ line, field, reason, message }) => ({ file, line, field, reason, message }));
  const objects = new Map<string, ReadObject>();
  for (const manifest of manifests) {
    const ref = manifestRef(manifest);
    if (ref === undefined) {
      if (isMistyped(manifest)) problems.push(mistyped(manifest, file));
      continue;
    }
    const key = refKey(ref);
    const read = objectOf(manifest, ref, before?.objects.get(key)?.object);
    const at = { file, line: manifest.locate("metadata.name") };
    if (objects.has(key)) {
      problems.push({ ...at, field: "metadata.name", reason: "Duplicate", message: `${ref.kind} ${ref.name} stands in this file twice` });
    } else if (read.ok) objects.set(key, { ref, object: read.value });
    else
      problems.push(...read.problems.map(({ field, reason, message }) => ({ file, line: manifest.locate(field), field, reason, message })));
  }
  const keep = problems.length > 0 && before !== undefined && before.objects.size > 0;
  return { mark, objects: keep ? before.objects : objects, problems };
}

/** Other groups' manifests beside ours are none of our business; a kind of ours that does not exist is a slip that must be seen. */
function isMistyped({ apiVersion }: Manifest): boolean {
  return apiVersion.startsWith("postrider.dev/");
}

function mistyped(manifest: Manifest, file: string): FileProblem {
  const message = `${manifest.kind} is not a kind of postrider.dev: write ${KIND_NAMES.join(", ")}`;
  return { file, line: manifest.locate("kind"), field: "kind", reason: "NotSupported", message };
}
