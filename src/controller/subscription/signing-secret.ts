import type { SigningScheme } from "../../core/signing/scheme-registry.ts";
import { SCHEMES } from "../../core/signing/scheme-registry.ts";
import type { Random } from "../../lib/random.ts";
import { createHash } from "node:crypto";

/** Key of a generated Secret that holds the signing key. */
export const SIGNING_SECRET_KEY = "secret";
const KEY_BYTES = 32;
const NAME_CHARS_MAX = 253;
const SUFFIX = "-signing";
const HASH_CHARS = 8;
/** Kubernetes allows a label's value no more than this. */
const LABEL_CHARS_MAX = 63;
const LABEL_HASH_CHARS = 16;

/** `<subscription>-signing`; a name too long for that is cut and made unique by a hash. */
export function signingSecretName(subscription: string): string {
  if (subscription.length + SUFFIX.length <= NAME_CHARS_MAX) return subscription + SUFFIX;
  return `${cut(subscription, NAME_CHARS_MAX - SUFFIX.length, HASH_CHARS)}${SUFFIX}`;
}

/**
 * What the label `postrider.dev/signing-for` says: the subscription's name, or what fits of it and a hash. The Secret's own name says the same once
 * more, so that two names with one hash do not get each other's key.
 */
export function signingForLabel(subscription: string): string {
  return subscription.length <= LABEL_CHARS_MAX ? subscription : cut(subscription, LABEL_CHARS_MAX, LABEL_HASH_CHARS);
}

function cut(name: string, chars: number, hashChars: number): string {
  const hash = createHash("sha256").update(name).digest("hex").slice(0, hashChars);
  return `${name.slice(0, chars - hashChars - 1).replace(/[-.]+$/, "")}-${hash}`;
}

/** A new key of the scheme. */
export function newSigningSecret(scheme: SigningScheme, random: Random): string {
  return SCHEMES[scheme].newSecret(random.bytes(KEY_BYTES));
}
