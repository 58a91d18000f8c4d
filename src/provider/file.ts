import { join } from "node:path";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Problem } from "../core/problem.ts";
import { errorCode } from "../lib/error-code.ts";
import type { Log } from "../observe/log.ts";
import { objectKey, USE_LABEL } from "../controller/objects.ts";
import type {
  CreateSecretResult,
  EventNote,
  NamedKind,
  NamedLookup,
  NewSigningSecret,
  ObjectKind,
  ObjectRef,
  ObjectsByKind,
  ReportedObject,
  Resources,
  ResultSink,
  SecretLookup,
  SecretObject,
  SecretsState,
  Unlisted,
  WriteResult,
} from "../controller/objects.ts";
import { FolderWatch } from "./folder-watch.ts";
import { ManifestDirectory } from "./manifest-directory.ts";
import type { DirectoryScan, FileProblem, ReadObject } from "./manifest-directory.ts";
import { ObjectCache, refOf } from "./object-cache.ts";
import { SigningSecretFiles } from "./signing-secret-files.ts";

/** An editor writes a file in several steps; a look follows the last of them by this much. */
export const SETTLE_MS = 50;
/** The directory is looked at this often although nothing was heard: some file systems and mounts tell nothing. */
export const RESCAN_MS = 2_000;

/** A ServiceAccount is an identity of a cluster; a manifest alone cannot vouch for anybody. */
const NO_CLUSTER =
  "with manifests from files no API server can create a ServiceAccount's token: use auth.bearer or auth.oauth2ClientCredentials, or run with the cluster provider";

export interface FileProviderOptions {
  /** Directory of manifests. */
  readonly directory: string;
  /** Where generated signing keys are kept (created with mode 0700). */
  readonly secretsDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Told how many manifests are refused, or files not readable, after each look. */
  readonly onRefused?: (count: number) => void;
}

/** Manifests from a directory, watched: the same YAML as for kubectl, read by the same rules. Status goes to the log and to memory. */
export class FileProvider implements Resources, ResultSink, Service {
  readonly name = "manifests";
  readonly #options: FileProviderOptions;
  readonly #directory: ManifestDirectory;
  readonly #keys: SigningSecretFiles;
  readonly #cache = new ObjectCache();
  readonly #callbacks: ((ref: ObjectRef | undefined) => void)[] = [];
  readonly #statuses = new Map<string, object>();
  /** What the last look found, by key; generated Secrets are not among them. */
  #found: ReadonlyMap<string, ReadObject> = new Map();
  #problems: readonly FileProblem[] = [];
  #refusals: DirectoryScan["refusals"] = new Map();
  #unread: DirectoryScan["unread"] = new Map();
  /** Why the directory itself cannot be read now, although it could before. */
  #unreadable: string | undefined;
  #synced = false;
  /** Why the directory could not be read so far. */
  #trouble: string | undefined;
  #watch: FolderWatch | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;

  constructor(options: FileProviderOptions) {
    this.#options = options;
    this.#directory = new ManifestDirectory(options.directory);
    this.#keys = new SigningSecretFiles(options.secretsDirectory, options.clock);
  }

  /** Reads keys and manifests, then follows changes. Rejects when the directory cannot be read at the start. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      if (!this.#synced) for (const secret of await this.#keys.load()) this.#cache.set("Secret", secret);
      await this.rescan();
    } catch (error) {
      this.#trouble = `${error instanceof Error ? error.message : String(error)}; Postrider retries by itself: check that the folder is mounted and readable`;
      throw error;
    }
    const stop = this.#follow();
    try {
      await aborted(signal);
    } finally {
      stop();
      await this.#look;
      await this.#keys.end();
    }
  }

  /** Looks at the directory now; what has changed is told before it resolves. */
  async rescan(): Promise<void> {
    const { objects, problems, refusals, unread } = await this.#directory.scan();
    this.#tellProblems(problems);
    const changed = [...this.#apply(objects), ...this.#refuse(refusals)];
    const knowsMore = !this.#synced || unread.size < this.#unread.size || (this.#isBlind() && !isBlind(unread));
    this.#unread = unread;
    this.#synced = true;
    for (const ref of knowsMore ? [undefined, ...changed] : changed) for (const callback of this.#callbacks) callback(ref);
  }

  #isBlind(): boolean {
    return isBlind(this.#unread);
  }

  #apply(objects: ReadonlyMap<string, ReadObject>): ObjectRef[] {
    const changed: ObjectRef[] = [];
    for (const [key, { ref }] of this.#found) {
      if (objects.has(key)) continue;
      this.#cache.delete(ref);
      this.#statuses.delete(key);
      changed.push(ref);
    }
    for (const [key, { ref, object }] of objects) {
      if (this.#found.get(key)?.object === object) continue;
      this.#cache.set(ref.kind, object);
      changed.push(ref);
    }
    this.#found = objects;
    return changed;
  }

  /** Answers whose status must tell something else from now on. */
  #refuse(refusals: DirectoryScan["refusals"]): ObjectRef[] {
    const before = this.#refusals;
    this.#refusals = refusals;
    const keys = [...new Set([...before.keys(), ...refusals.keys()])];
    const moved = keys.filter((key) => before.get(key)?.message !== refusals.get(key)?.message);
    return moved.map((key) => this.#found.get(key)?.ref).filter((ref) => ref !== undefined);
  }

  #follow(): () => void {
    const { clock, log, directory } = this.#options;
    let cancel = clock.after(RESCAN_MS, look);
    const again = (): void => this.#lookSoon();
    function look(): void {
      again();
      cancel = clock.after(RESCAN_MS, look);
    }
    let cancelSettle = (): void => undefined;
    const heard = (): void => {
      cancelSettle();
      cancelSettle = clock.after(SETTLE_MS, again);
    };
    const watch = new FolderWatch(directory, heard, (error) =>
      log.warn({ err: error, directory }, "manifests cannot be watched: reading them every 2 s"),
    );
    this.#watch = watch;
    if (watch.follow(this.#directory.folders)) heard();
    return () => {
      cancel();
      cancelSettle();
      this.#watch = undefined;
      watch.close();
    };
  }

  /** One look at a time; a change during a look asks for one more. */
  #lookSoon(): void {
    if (this.#look !== undefined) {
      this.#lookAgain = true;
      return;
    }
    this.#look = this.rescan()
      .then(() => {
        // What was written into a folder before it was watched was not heard.
        if (this.#watch?.follow(this.#directory.folders) === true) this.#lookAgain = true;
      })
      .catch((error: unknown) => this.#tellUnreadable(error))
      .finally(() => {
        this.#look = undefined;
        if (!this.#lookAgain) return;
        this.#lookAgain = false;
        this.#lookSoon();
      });
  }

  /** A folder that is not mounted is looked at every 2 s: told once, and shown until it can be read. */
  #tellUnreadable(error: unknown): void {
    const { directory, log } = this.#options;
    const why = errorCode(error) === "ENOENT" ? "it does not exist" : error instanceof Error ? error.message : String(error);
    if (this.#unreadable === why) return;
    this.#unreadable = why;
    log.error({ event: "manifests.unreadable", directory }, this.#unreadableText(why));
    this.#options.onRefused?.(this.#refusedCount());
  }

  #unreadableText(why: string): string {
    return `the folder ${this.#options.directory} cannot be read (${why}): the last good state stays in force; check that it is mounted and readable`;
  }

  #refusedCount(): number {
    return refusedCount(this.#problems) + (this.#unreadable === undefined ? 0 : 1);
  }

  #tellProblems(problems: readonly FileProblem[]): void {
    const wasReadable = this.#unreadable === undefined;
    this.#unreadable = undefined;
    const known = new Set(this.#problems.map((problem) => JSON.stringify(problem)));
    for (const problem of problems) {
      if (known.has(JSON.stringify(problem))) continue;
      const place = `${join(this.#options.directory, problem.file)}:${problem.line}`;
      const field = problem.field === "" ? "" : ` ${problem.field}:`;
      this.#options.log.error({ event: "manifest.refused", ...problem }, `${place}:${field} ${problem.message}`);
    }
    if (problems.length === 0 && (this.#problems.length > 0 || !wasReadable))
      this.#options.log.info({ event: "manifest.mended" }, "all manifests are valid again");
    this.#problems = problems;
    this.#options.onRefused?.(this.#refusedCount());
  }

  /** What is refused now, for people; undefined when all is well. */
  refusedNote(): string | undefined {
    if (this.#unreadable !== undefined) return this.#unreadableText(this.#unreadable);
    const [first] = this.#problems;
    if (first === undefined) return undefined;
    const count = refusedCount(this.#problems);
    const field = first.field === "" || first.message.includes(first.field) ? "" : `${first.field}: `;
    const what = `${join(this.#options.directory, first.file)}:${first.line}: ${field}${first.message}`;
    return `${count} ${count === 1 ? "manifest is" : "manifests are"} rejected, and the last good state stays in force: ${what}${count === 1 ? "" : "; …"}`;
  }

  refusalOf(ref: ObjectRef): Problem | undefined {
    return this.#refusals.get(objectKey(ref));
  }

  /** What is wrong with the files now; empty when all is well. */
  problems(): readonly FileProblem[] {
    return this.#problems;
  }

  get synced(): boolean {
    return this.isListed();
  }

  /** One look reads every kind, of all namespaces, and the Secrets. A file that may hold policies must have been whole once. */
  isListed(): boolean {
    return this.#synced && !this.#isBlind();
  }

  /** A file that is half written may have held it. */
  isGone(kind: ObjectKind, namespace: string, name: string): boolean {
    return this.#synced && this.#unread.size === 0 && this.get(kind, namespace, name) === undefined;
  }

  /** One without a manifest has no labels. */
  knowsNamespace(): boolean {
    return this.isListed();
  }

  secretsOf(): SecretsState {
    return this.#synced ? "read" : "pending";
  }

  unlisted(): readonly Unlisted[] {
    const { directory } = this.#options;
    if (!this.#synced) return [{ what: `manifests in ${directory}`, trouble: this.#trouble }];
    const rules = [...this.#unread].filter(([, { what }]) => what === "rules");
    return rules.map(([file, { message }]) => ({
      what: `manifest file ${join(directory, file)}`,
      trouble: `${message}; it may contain policies, so no subscription is checked until it is valid: fix or remove it`,
    }));
  }

  get<K extends ObjectKind>(kind: K, namespace: string, name: string): ObjectsByKind[K] | undefined {
    return this.#cache.get(kind, namespace, name);
  }

  list<K extends ObjectKind>(kind: K, namespace?: string): Iterable<ObjectsByKind[K]> {
    return this.#cache.list(kind, namespace);
  }

  findSecret(namespace: string, name: string): SecretLookup {
    const secret = this.#cache.get("Secret", namespace, name);
    if (secret === undefined) return { state: "absent" };
    return secret.metadata.labels?.[USE_LABEL] === "true" ? { state: "usable", secret } : { state: "unlabelled" };
  }

  findNamed<K extends NamedKind>(kind: K, namespace: string, name: string): NamedLookup<K> {
    if (kind === "ServiceAccount") return { state: "forbidden", message: NO_CLUSTER };
    const object = this.#cache.get(kind, namespace, name);
    return object === undefined ? { state: "absent" } : { state: "found", object };
  }

  onChange(callback: (ref: ObjectRef | undefined) => void): void {
    this.#callbacks.push(callback);
  }

  /** The status last written for an object of ours. */
  statusOf(ref: ObjectRef): object | undefined {
    return this.#statuses.get(objectKey(ref));
  }

  writeStatus(object: ReportedObject, status: object): Promise<WriteResult> {
    const { kind } = object;
    const { namespace, name } = refOf(kind, object);
    this.#statuses.set(objectKey({ kind, namespace, name }), status);
    this.#options.log.debug({ event: "status", kind, namespace, name, status }, "status");
    return Promise.resolve({ kind: "done" });
  }

  recordEvent(object: ReportedObject | SecretObject, note: EventNote): void {
    const { kind } = object;
    const { namespace, name } = refOf(kind, object);
    const level = note.type === "Warning" ? "warn" : "info";
    this.#options.log[level]({ event: "object.event", kind, namespace, name, reason: note.reason }, note.message);
  }

  /** Nothing holds a file back from being deleted: the controller drains without one. */
  setFinalizer(): Promise<WriteResult> {
    return Promise.resolve({ kind: "done" });
  }

  async createSigningSecret(secret: NewSigningSecret): Promise<CreateSecretResult> {
    if (this.#cache.get("Secret", secret.owner.metadata.namespace, secret.name) !== undefined) return { kind: "exists" };
    return this.#shelve(await this.#keys.create(secret));
  }

  async adoptSigningSecret(secret: SecretObject, signingFor: string): Promise<WriteResult> {
    if (this.#isManifest(secret)) return { kind: "done" };
    const written = await this.#keys.adopt(secret, signingFor);
    return written === undefined ? { kind: "gone" } : this.#shelve(written);
  }

  /** One that is written in a manifest stays: its file is not ours. */
  async deleteSigningSecret(secret: SecretObject): Promise<WriteResult> {
    if (this.#isManifest(secret)) return { kind: "done" };
    const result = await this.#keys.delete(secret);
    const ref = refOf("Secret", secret);
    if (result.kind === "done" && this.#cache.delete(ref)) this.#tell(ref);
    return result;
  }

  #isManifest(secret: SecretObject): boolean {
    return this.#found.has(objectKey(refOf("Secret", secret)));
  }

  #shelve({ result, secret }: { readonly result: WriteResult; readonly secret?: SecretObject }): WriteResult {
    if (secret !== undefined) this.#tell(this.#cache.set("Secret", secret));
    return result;
  }

  #tell(ref: ObjectRef): void {
    for (const callback of this.#callbacks) callback(ref);
  }
}

/** A manifest with three faults is one. */
function refusedCount(problems: readonly FileProblem[]): number {
  return new Set(problems.map(({ file, object = "" }) => `${file} ${object}`)).size;
}

function isBlind(unread: DirectoryScan["unread"]): boolean {
  for (const { what } of unread.values()) if (what === "rules") return true;
  return false;
}
