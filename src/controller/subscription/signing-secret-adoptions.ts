import type { SecretObject, SubscriptionKey } from "../objects.ts";
import { SIGNING_FOR_LABEL } from "../objects.ts";
import type { WorkQueue } from "../work-queue.ts";
import { laterWrites } from "./later-writes.ts";
import { needsAdoption } from "./signing-keys.ts";
import { signingForLabel } from "./signing-secret.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/**
 * Turns generated Secrets of version 0.1 into ours of today: with the label, without an owner. Until then the garbage collector deletes the key
 * with its subscription, which is what it did before; the key signs meanwhile.
 */
export function signingSecretAdoptions(parts: SubscriptionParts): WorkQueue<SubscriptionKey> {
  /** Subscriptions whose Secret may not be written: told once a process, and not asked for again before the next look. */
  const refused = new Set<string>();
  return laterWrites(parts, {
    settle: (key) => settle(parts, key, refused),
    retrying: "the signing Secret could not be adopted: retrying",
  });
}

async function settle({ resources, known: book, sink }: SubscriptionParts, key: SubscriptionKey, refused: Set<string>): Promise<void> {
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
  if (refused.has(known.uid)) return;
  refused.add(known.uid);
  const message = `${result.message}; until this is fixed, deleting the subscription also deletes its key. ${commandFor(secret, known.name)}`;
  sink.recordEvent(known.object, { type: "Warning", reason: "SecretNotAdopted", message });
}

/** What an admin can do in our place. */
function commandFor({ metadata }: SecretObject, subscription: string): string {
  const { name, namespace = "" } = metadata;
  const patch = { metadata: { labels: { [SIGNING_FOR_LABEL]: signingForLabel(subscription) }, ownerReferences: null } };
  return `Run: kubectl patch secret ${name} -n ${namespace} --type merge -p '${JSON.stringify(patch)}'`;
}
