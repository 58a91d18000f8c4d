import { chmod, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { NewSigningSecret, SecretObject, WriteResult } from "../controller/objects.ts";
import { SIGNING_FOR_LABEL, USE_LABEL } from "../controller/objects.ts";
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

/**
 * Generated signing keys where there is no cluster to keep them: one file a Secret, mode 0600, in a directory of mode 0700 beside the
 * store. Written whole, synced and then named, so that a crash leaves the key or nothing. They outlive their subscription: a manifest
 * that was away for a moment comes back with the key its receiver knows.
 */
export class SigningSecretFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** All that were generated. @throws when a file cannot be read or is not ours: going on would mean another key. */
  async load(): Promise<SecretObject[]> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await chmod(this.#dir, 0o700);
    const secrets: SecretObject[] = [];
    for (const name of await readdir(this.#dir)) {
      if (!name.endsWith(".json") || name.startsWith(".")) continue;
      const file = join(this.#dir, name);
      // One that another user owns stays as it is; whether it can be read is what counts.
      await chmod(file, 0o600).catch(() => undefined);
      secrets.push(secretOf(JSON.parse(await readFile(file, "utf8")) as StoredSecret));
    }
    return secrets;
  }

  /** Durable when it answers `done`. */
  create({ owner, name, key, value, signingFor }: NewSigningSecret): Promise<Written> {
    const { namespace, uid = "" } = owner.metadata;
    return this.#write({ namespace, name, ownerUid: uid, key, value, signingFor });
  }

  /** Writes into a file of version 0.1 for which subscription its key is. `undefined`: no file of ours holds that Secret. */
  async adopt({ metadata }: SecretObject, signingFor: string): Promise<Written | undefined> {
    const file = this.#fileOf(metadata.namespace ?? "", metadata.name);
    const text = await readFile(file, "utf8").catch(() => undefined);
    return text === undefined ? undefined : this.#write({ ...(JSON.parse(text) as StoredSecret), signingFor });
  }

  /** Durable when it answers `done`; also where there is no such file. */
  async delete({ metadata }: SecretObject): Promise<WriteResult> {
    try {
      await rm(this.#fileOf(metadata.namespace ?? "", metadata.name), { force: true });
      await this.#syncDirectory();
      return { kind: "done" };
    } catch (error) {
      const message = `the signing key cannot be deleted from ${this.#dir}: ${error instanceof Error ? error.message : String(error)}`;
      return { kind: "failed", message };
    }
  }

  /** A namespace holds no dot, so the two names cannot run into one another. */
  #fileOf(namespace: string, name: string): string {
    return join(this.#dir, `${namespace}.${name}.json`);
  }

  async #write(stored: StoredSecret): Promise<Written> {
    const { namespace, name } = stored;
    try {
      const temporary = join(this.#dir, `.${namespace}.${name}.new`);
      const handle = await open(temporary, "w", 0o600);
      try {
        await handle.writeFile(JSON.stringify(stored));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.#fileOf(namespace, name));
      await this.#syncDirectory();
    } catch (error) {
      const message = `the signing key cannot be stored in ${this.#dir}: ${error instanceof Error ? error.message : String(error)}`;
      return { result: { kind: "failed", message } };
    }
    return { result: { kind: "done" }, secret: secretOf(stored) };
  }

  async #syncDirectory(): Promise<void> {
    const handle = await open(this.#dir, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
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
