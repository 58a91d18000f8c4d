import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MANIFEST_FILE_BYTES_MAX, readManifestFile } from "../api/manifest.ts";
import type { Manifest } from "../api/manifest.ts";
import { unknownKind } from "../api/custom-resource.ts";
import { objectKey } from "../controller/objects.ts";
import type { ObjectRef, WatchedObject } from "../controller/objects.ts";
import type { Problem } from "../core/problem.ts";
import type { Reason } from "../core/reasons.ts";
import { errorCode } from "../lib/error-code.ts";
import { manifestRef, objectOf } from "./manifest-object.ts";

/** Something wrong in a manifest file, with its place. */
export interface FileProblem {
  /** Path below the watched directory. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly field: string;
  readonly reason: Reason;
  readonly message: string;
  /** `WebhookSubscription shop/orders`; absent where the file could not be read that far. */
  readonly object?: string;
}

/** What one file gave when it was last whole. */
interface FileState {
  /** Tells whether the file has changed since it was read. */
  readonly mark: string;
  readonly objects: ReadonlyMap<string, ReadObject>;
  readonly problems: readonly FileProblem[];
  /** Of the objects that go on in an older form, by key: why the newer one is refused. */
  readonly refusals: ReadonlyMap<string, Problem>;
  readonly unread: Unread | undefined;
}

/**
 * What may stand in a file that has not been whole since the start: nobody knows what it held before. `rules`: policies or namespaces too, so
 * that nobody knows either what the other files' subscriptions may do.
 */
export type Unread = "objects" | "rules";

export interface ReadObject {
  readonly ref: ObjectRef;
  readonly object: WatchedObject;
}

/** What a look at the directory found: every object that holds now, and what is wrong. */
export interface DirectoryScan {
  readonly objects: ReadonlyMap<string, ReadObject>;
  readonly problems: readonly FileProblem[];
  /** Of the objects that go on in an older form, by key: why the newer one is refused. */
  readonly refusals: ReadonlyMap<string, Problem>;
  /** Files that have not been whole since the start, by path. */
  readonly unread: ReadonlyMap<string, { readonly what: Unread; readonly message: string }>;
}

/** What a walk through the directory came upon; paths are below it. */
interface Listing {
  readonly files: string[];
  /** Every folder, and what tells it from another one that is put in its place. */
  readonly folders: Map<string, string>;
  /** Folders and links that could not be looked at, and why: nobody knows whether what was there has been deleted. */
  readonly troubled: Map<string, string>;
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
  #folders: ReadonlyMap<string, string> = new Map();

  constructor(root: string) {
    this.#root = root;
  }

  /** The folders that the last look found, the directory itself ("") included, each with a mark that another folder in its place does not have. */
  get folders(): ReadonlyMap<string, string> {
    return this.#folders;
  }

  /** Reads what has changed. @throws when the directory itself cannot be read: then nothing has changed either. */
  async scan(): Promise<DirectoryScan> {
    const listing: Listing = { files: [], folders: new Map(), troubled: new Map() };
    await this.#walk("", 0, listing);
    const { troubled } = listing;
    // A disk or a mount that has trouble for a moment has deleted nothing.
    const standing = new Set([...this.#files.keys()].filter((path) => isBelow(path, troubled)));
    const files = new Map<string, FileState>();
    for (const path of [...new Set([...listing.files, ...standing, ...troubled.keys()])].toSorted()) {
      const before = this.#files.get(path);
      const trouble = troubled.get(path);
      let state = before;
      if (trouble !== undefined) state = broken(before, "", path, `it cannot be read: ${trouble}`);
      else if (!standing.has(path)) state = await this.#read(path, before);
      if (state !== undefined) files.set(path, state);
    }
    this.#files = files;
    this.#folders = listing.folders;
    return this.#whole();
  }

  #whole(): DirectoryScan {
    const objects = new Map<string, ReadObject>();
    const problems: FileProblem[] = [];
    const refusals = new Map<string, Problem>();
    const homes = new Map<string, string>();
    const unread = new Map<string, { readonly what: Unread; readonly message: string }>();
    for (const [file, state] of this.#files) {
      if (state.unread !== undefined) unread.set(file, { what: state.unread, message: state.problems[0]?.message ?? "" });
      problems.push(...state.problems);
      for (const [key, refusal] of state.refusals) if (!homes.has(key)) refusals.set(key, refusal);
      for (const [key, read] of state.objects) {
        const home = homes.get(key);
        if (home === undefined) {
          objects.set(key, read);
          homes.set(key, file);
        } else {
          const { kind, name } = read.ref;
          const message = `${kind} ${name} is in ${home} too, which is in force: remove one of them`;
          problems.push({ file, line: 1, field: "metadata.name", reason: "Duplicate", message });
        }
      }
    }
    return { objects, problems, refusals, unread };
  }

  async #walk(folder: string, depth: number, listing: Listing): Promise<void> {
    const { files, folders, troubled } = listing;
    const full = join(this.#root, folder);
    try {
      const { dev, ino } = await stat(full, { bigint: true });
      const entries = await readdir(full, { withFileTypes: true });
      folders.set(folder, `${dev}:${ino}`);
      for (const entry of entries) {
        if (entry.name.startsWith(".") || entry.name.endsWith("~")) continue;
        const path = join(folder, entry.name);
        const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await this.#isFolder(path, troubled)));
        if (!isFolder && /\.(ya?ml|json)$/i.test(entry.name)) files.push(path);
        if (isFolder && depth < DIRECTORY_DEPTH_MAX) await this.#walk(path, depth + 1, listing);
      }
    } catch (error) {
      if (folder === "") throw error;
      if (!isGone(error)) troubled.set(folder, messageOf(error));
    }
  }

  async #isFolder(link: string, troubled: Map<string, string>): Promise<boolean> {
    try {
      return (await stat(join(this.#root, link))).isDirectory();
    } catch (error) {
      if (!isGone(error)) troubled.set(link, messageOf(error));
      return false;
    }
  }

  /** Undefined when the file is gone. */
  async #read(path: string, before: FileState | undefined): Promise<FileState | undefined> {
    const full = join(this.#root, path);
    const found = await stat(full, { bigint: true }).catch((error: NodeJS.ErrnoException) => error);
    if (found instanceof Error) {
      return isGone(found) ? undefined : broken(before, "", path, `the file cannot be read: ${found.message}`);
    }
    if (!found.isFile()) return undefined;
    const mark = `${found.ino}:${found.size}:${found.mtimeNs}`;
    if (before?.mark === mark) return before;
    if (found.size > MANIFEST_FILE_BYTES_MAX) {
      return broken(before, mark, path, `the file has over ${MANIFEST_FILE_BYTES_MAX} bytes, which is the limit: split it`);
    }
    try {
      return parsed(await readFile(full, "utf8"), path, mark, before);
    } catch (error) {
      // Read again at the next look: the mark is not kept.
      return isGone(error) ? undefined : broken(before, "", path, `the file cannot be read: ${messageOf(error)}`);
    }
  }
}

function isBelow(path: string, folders: ReadonlyMap<string, string>): boolean {
  for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) if (folders.has(parent)) return true;
  return false;
}

/** Nothing else means that somebody has deleted it. */
function isGone(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function broken(before: FileState | undefined, mark: string, file: string, message: string): FileState {
  const problems: FileProblem[] = [{ file, line: 1, field: "", reason: "Unreadable", message }];
  const objects = before?.objects ?? new Map<string, ReadObject>();
  return { mark, objects, problems, refusals: ofAll(objects, problems), unread: before === undefined ? "rules" : before.unread };
}

function parsed(text: string, file: string, mark: string, before: FileState | undefined): FileState {
  const { manifests, problems: syntax } = readManifestFile(text);
  const problems: FileProblem[] = syntax.map(({ line, field, reason, message }) => ({ file, line, field, reason, message }));
  const objects = new Map<string, ReadObject>();
  const refusals = new Map<string, Problem>();
  let hidesRules = syntax.length > 0 && RULES.test(text);
  for (const manifest of manifests) {
    const ref = manifestRef(manifest);
    if (ref === undefined) {
      if (isMistyped(manifest)) problems.push(mistyped(manifest, file));
      continue;
    }
    const key = objectKey(ref);
    const read = objectOf(manifest, ref, before?.objects.get(key)?.object);
    if (objects.has(key)) {
      problems.push({
        file,
        // Only where it is needed: to find a line, the document is parsed once more.
        line: manifest.locate("metadata.name"),
        field: "metadata.name",
        reason: "Duplicate",
        object: objectName(ref),
        message: `${ref.kind} ${ref.name} appears twice in this file`,
      });
    } else if (read.ok) objects.set(key, { ref, object: read.value });
    else {
      const object = objectName(ref);
      problems.push(
        ...read.problems.map(({ field, reason, message }) => ({ file, line: manifest.locate(field), field, reason, message, object })),
      );
      refusals.set(key, placed(file, problems.at(-read.problems.length)));
      // A whole manifest that is refused is as one that the API server refused: it does not exist. But a fence with a slip in it was meant to stand.
      hidesRules ||= ref.kind === "ClusterDeliveryPolicy";
    }
  }
  const keep = problems.length > 0 && before !== undefined && before.objects.size > 0;
  if (problems.length === 0) return { mark, objects, problems, refusals, unread: undefined };
  const state = {
    mark,
    objects: keep ? before.objects : objects,
    problems,
    refusals: keep ? kept(before.objects, objects, { refusals, problems }) : refusals,
  };
  if (before !== undefined && before.unread === undefined) return { ...state, unread: undefined };
  return { ...state, unread: hidesRules ? "rules" : "objects" };
}

/** A file counts as a whole: objects of it that are fine themselves but have changed wait with the one that is not. */
function kept(
  before: ReadonlyMap<string, ReadObject>,
  read: ReadonlyMap<string, ReadObject>,
  { refusals, problems }: { readonly refusals: ReadonlyMap<string, Problem>; readonly problems: readonly FileProblem[] },
): ReadonlyMap<string, Problem> {
  const all = new Map<string, Problem>();
  for (const [key, refusal] of ofAll(before, problems)) {
    const own = refusals.get(key);
    const now = read.get(key)?.object;
    if (own !== undefined) all.set(key, own);
    else if (now === undefined || !isDeepStrictEqual(contentOf(now), contentOf(before.get(key)?.object))) all.set(key, refusal);
  }
  return all;
}

/** The problem of a file for each of its objects that go on as they were. */
function ofAll(objects: ReadonlyMap<string, ReadObject>, problems: readonly FileProblem[]): ReadonlyMap<string, Problem> {
  const [first] = problems;
  if (first === undefined) return new Map();
  const whole = placed(first.file, first);
  const problem = { ...whole, field: "", message: `its file is not read: ${whole.message}` };
  return new Map([...objects.keys()].map((key) => [key, problem]));
}

function placed(file: string, problem: FileProblem | undefined): Problem {
  const { line = 1, field = "", reason = "Invalid", message = "" } = problem ?? {};
  return { field: "", reason, message: `${file}:${line}: ${field === "" || message.includes(field) ? "" : `${field}: `}${message}` };
}

function objectName({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

/** What a manifest says, without what is counted. */
function contentOf(object: WatchedObject | undefined): unknown {
  return object === undefined ? undefined : { ...object, metadata: { ...object.metadata, generation: 0 } };
}

/** In a file that cannot be read as YAML the words still stand. */
const RULES = /\bkind["']?\s*:\s*["']?(?:ClusterDeliveryPolicy|DeliveryPolicy|Namespace)\b/;

/** Other groups' manifests beside ours are none of our business; a kind of ours that does not exist is a slip that must be seen. */
function isMistyped({ apiVersion }: Manifest): boolean {
  return apiVersion.startsWith("postrider.dev/");
}

function mistyped(manifest: Manifest, file: string): FileProblem {
  return { file, line: manifest.locate("kind"), ...unknownKind(manifest.kind), object: `${manifest.kind} ${manifest.name}` };
}
