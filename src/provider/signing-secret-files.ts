import { chmod, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { NewSigningSecret, SecretObject, WriteResult } from "../controller/objects.ts";
import { SIGNING_FOR_LABEL, USE_LABEL } from "../controller/objects.ts";
import type { Clock } from "../lib/clock.ts";
import { KeyPacks, type KeyFile } from "./key-packs.ts";
import { uidOf } from "./manifest-object.ts";

interface StoredSecret {
  readonly namespace: string;
  readonly name: string;
  readonly ownerUid: string;
  readonly key: string;
  readonly value: string;
  /** Absent in files of version 0.1, which know the subscription by its uid. */
  readonly signingFor?: string;
}

/** What was written, and the Secret as it is now. */
interface Written {
  readonly result: WriteResult;
  readonly secret?: SecretObject;
}

/** A key that waits for its turn, and who is told. */
interface Waiting {
  readonly stored: StoredSecret;
  readonly done: (written: Written) => void;
}

/** As many keys are made durable together at most; the controller generates 32 at once. */
const BATCH_MAX = 64;
/** Packs are settled once no key has been generated for this long: ten thousand new subscriptions wait for packs alone. */
const SETTLE_AFTER_MS = 1_000;

/**
 * Generated signing keys where there is no cluster to keep them: one file a Secret, mode 0600, in a directory of mode 0700 beside the
 * store. Written whole, synced and then named, so that a crash leaves the key or nothing; those that are generated at the same time are
 * synced together (key-packs.ts). They outlive their subscription: a manifest that was away for a moment comes back with the key its
 * receiver knows.
 */
export class SigningSecretFiles {
  readonly #dir: string;
  readonly #packs: KeyPacks;
  readonly #waiting: Waiting[] = [];
  readonly #clock: Clock;
  /** Writes what waits, then settles packs; undefined when there is nothing to do. */
  #line: Promise<void> | undefined;
  #settles = false;
  #cancelSettling = (): void => undefined;

  constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
    this.#packs = new KeyPacks(dir);
  }

  /** All that were generated. @throws when a file cannot be read or is not ours: going on would mean another key. */
  async load(): Promise<SecretObject[]> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await chmod(this.#dir, 0o700);
    const secrets: SecretObject[] = [];
    for (const file of await this.#packs.load()) {
      if (!(await this.#packs.isThere(file))) secrets.push(secretOf(JSON.parse(file.text) as StoredSecret));
    }
    for (const name of await readdir(this.#dir)) {
      if (!name.endsWith(".json") || name.startsWith(".")) continue;
      const file = join(this.#dir, name);
      // One that another user owns stays as it is; whether it can be read is what counts.
      await chmod(file, 0o600).catch(() => undefined);
      if (!this.#packs.isPack(name)) secrets.push(secretOf(JSON.parse(await readFile(file, "utf8")) as StoredSecret));
    }
    this.#settleLater();
    return secrets;
  }

  /** Durable when it answers `done`. */
  create({ owner, name, key, value, signingFor }: NewSigningSecret): Promise<Written> {
    const { namespace, uid = "" } = owner.metadata;
    return new Promise((done) => {
      this.#waiting.push({ stored: { namespace, name, ownerUid: uid, key, value, signingFor }, done });
      this.#settleLater();
      this.#begin();
    });
  }

  /** Writes into a file of version 0.1 for which subscription its key is. `undefined`: no file of ours holds that Secret. */
  async adopt({ metadata }: SecretObject, signingFor: string): Promise<Written | undefined> {
    const name = nameOf(metadata.namespace ?? "", metadata.name);
    await this.#packs.settle(name).catch(() => undefined);
    const text = await readFile(join(this.#dir, name), "utf8").catch(() => undefined);
    return text === undefined ? undefined : this.#write({ ...(JSON.parse(text) as StoredSecret), signingFor });
  }

  /** Durable when it answers `done`; also where there is no such file. */
  async delete({ metadata }: SecretObject): Promise<WriteResult> {
    const name = nameOf(metadata.namespace ?? "", metadata.name);
    return this.#attempt("deleted from", async () => {
      await this.#packs.settle(name);
      await rm(join(this.#dir, name), { force: true });
      await this.#packs.syncDirectory();
    });
  }

  /** Settles no further pack; what waits is still written. */
  async end(): Promise<void> {
    this.#settles = false;
    this.#cancelSettling();
    await this.#line;
  }

  #settleLater(): void {
    this.#settles = false;
    this.#cancelSettling();
    this.#cancelSettling = this.#clock.after(SETTLE_AFTER_MS, () => {
      this.#settles = true;
      this.#begin();
    });
  }

  #begin(): void {
    this.#line ??= this.#work().finally(() => {
      this.#line = undefined;
      if (this.#waiting.length > 0) this.#begin();
    });
  }

  async #work(): Promise<void> {
    for (;;) {
      // What is asked for in the same turn goes together.
      await new Promise((resolve) => setImmediate(resolve));
      const batch = this.#waiting.splice(0, BATCH_MAX);
      if (batch.length > 0) await this.#writeTogether(batch);
      else if (!this.#settles || !(await this.#packs.settleStep())) return;
    }
  }

  async #writeTogether(batch: readonly Waiting[]): Promise<void> {
    const [only] = batch;
    if (only !== undefined && batch.length === 1) return only.done(await this.#write(only.stored));
    const result = await this.#attempt("stored in", () => this.#packs.write(batch.map(({ stored }) => fileOf(stored))));
    for (const { stored, done } of batch) done(writtenAs(stored, result));
  }

  async #write(stored: StoredSecret): Promise<Written> {
    const result = await this.#attempt("stored in", async () => {
      await this.#packs.writeFile(fileOf(stored));
      await this.#packs.syncDirectory();
    });
    return writtenAs(stored, result);
  }

  async #attempt(what: "stored in" | "deleted from", work: () => Promise<void>): Promise<WriteResult> {
    try {
      await work();
      return { kind: "done" };
    } catch (error) {
      const message = `the signing key cannot be ${what} ${this.#dir}: ${error instanceof Error ? error.message : String(error)}`;
      return { kind: "failed", message };
    }
  }
}

function writtenAs(stored: StoredSecret, result: WriteResult): Written {
  return result.kind === "done" ? { result, secret: secretOf(stored) } : { result };
}

/** A namespace holds no dot, so the two names cannot run into one another. */
function nameOf(namespace: string, name: string): string {
  return `${namespace}.${name}.json`;
}

function fileOf(stored: StoredSecret): KeyFile {
  return { name: nameOf(stored.namespace, stored.name), text: JSON.stringify(stored) };
}

function secretOf(stored: StoredSecret): SecretObject {
  const { namespace, name, ownerUid, key, value, signingFor } = stored;
  const labels = { [USE_LABEL]: "true", ...(signingFor === undefined ? {} : { [SIGNING_FOR_LABEL]: signingFor }) };
  return {
    kind: "Secret",
    metadata: { name, namespace, uid: uidOf({ kind: "Secret", namespace, name }), labels },
    type: "Opaque",
    data: { [key]: Buffer.from(value) },
    controllerUid: ownerUid,
  };
}
