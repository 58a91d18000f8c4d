import { chmod, mkdir, open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { CreateSecretResult, NewSigningSecret, SecretObject } from "../controller/objects.ts";
import { USE_LABEL } from "../controller/objects.ts";
import { uidOf } from "./manifest-object.ts";

interface StoredSecret {
  readonly namespace: string;
  readonly name: string;
  readonly ownerUid: string;
  readonly key: string;
  readonly value: string;
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
  async create(secret: NewSigningSecret): Promise<{ readonly result: CreateSecretResult; readonly secret?: SecretObject }> {
    const { namespace, uid } = secret.owner.metadata;
    const stored: StoredSecret = { namespace, name: secret.name, ownerUid: uid ?? "", key: secret.key, value: secret.value };
    // A namespace holds no dot, so the two names cannot run into one another.
    const file = join(this.#dir, `${namespace}.${secret.name}.json`);
    try {
      const temporary = join(this.#dir, `.${namespace}.${secret.name}.new`);
      const handle = await open(temporary, "w", 0o600);
      try {
        await handle.writeFile(JSON.stringify(stored));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
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
  const { namespace, name, ownerUid, key, value } = stored;
  return {
    kind: "Secret",
    metadata: { name, namespace, uid: uidOf({ kind: "Secret", namespace, name }), labels: { [USE_LABEL]: "true" } },
    type: "Opaque",
    data: { [key]: Buffer.from(value) },
    controllerUid: ownerUid,
  };
}
