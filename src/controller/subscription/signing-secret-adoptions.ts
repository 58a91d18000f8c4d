import type { SecretObject, SubscriptionKey } from "../objects.ts";
import { refOfKey, SIGNING_FOR_LABEL } from "../objects.ts";
import { WorkQueue } from "../work-queue.ts";
import { needsAdoption } from "./signing-keys.ts";
import { signingForLabel } from "./signing-secret.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/**
 * Turns generated Secrets of version 0.1 into ours of today: with the label, without an owner. Until then the garbage collector deletes the key
 * with its subscription, which is what it did before; the key signs meanwhile. Not part of a look: ten thousand subscriptions must not wait for as many
 * writes after an upgrade. A crash loses nothing: at the next start every subscription is looked at.
 */
export class SigningSecretAdoptions {
  readonly #parts: SubscriptionParts;
  readonly #queue: WorkQueue<SubscriptionKey>;
  /** Subscriptions whose Secret may not be written: told once a process, and not asked for again before the next look. */
  readonly #refused = new Set<string>();

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
    this.#queue = new WorkQueue({
      clock: parts.clock,
      namespaceOf: (key) => refOfKey(key).namespace,
      work: (key) => this.#settle(key),
      onFailure: (key, error) => {
        const { namespace, name } = refOfKey(key);
        parts.log.warn({ err: error, subscription: `${namespace}/${name}` }, "the signing Secret could not be adopted: retrying");
      },
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** Looks whether the Secret of a subscription has to be adopted. */
  add(key: SubscriptionKey): void {
    this.#queue.add(key);
  }

  /** Rejects to be called again. */
  async #settle(key: SubscriptionKey): Promise<void> {
    const { resources, known: book, sink } = this.#parts;
    const known = book.get(key);
    const looked = known?.verdict.ownKey;
    if (known === undefined || looked === undefined) return;
    // The newest version of it: the look may have been at one before.
    const secret = resources.get("Secret", known.namespace, looked.metadata.name) ?? looked;
    if (secret.metadata.uid !== looked.metadata.uid || !needsAdoption(secret)) return;
    const result = await sink.adoptSigningSecret(secret, signingForLabel(known.name));
    if (result.kind === "conflict") throw new Error("the Secret has changed in the meantime");
    if (result.kind !== "failed") return;
    if (result.refused !== true) throw new Error(result.message);
    if (this.#refused.has(known.uid)) return;
    this.#refused.add(known.uid);
    const message = `${result.message}; until this is fixed, deleting the subscription also deletes its key. ${commandFor(secret, known.name)}`;
    sink.recordEvent(known.object, { type: "Warning", reason: "SecretNotAdopted", message });
  }
}

/** What an admin can do in our place. */
function commandFor({ metadata }: SecretObject, subscription: string): string {
  const { name, namespace = "" } = metadata;
  const patch = { metadata: { labels: { [SIGNING_FOR_LABEL]: signingForLabel(subscription) }, ownerReferences: null } };
  return `Run: kubectl patch secret ${name} -n ${namespace} --type merge -p '${JSON.stringify(patch)}'`;
}
