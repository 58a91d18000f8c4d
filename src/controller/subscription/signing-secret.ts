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

/** `<subscription>-signing`; a name too long for that is cut and made unique by a hash. */
export function signingSecretName(subscription: string): string {
  if (subscription.length + SUFFIX.length <= NAME_CHARS_MAX) return subscription + SUFFIX;
  const hash = createHash("sha256").update(subscription).digest("hex").slice(0, HASH_CHARS);
  const room = NAME_CHARS_MAX - SUFFIX.length - HASH_CHARS - 1;
  return `${subscription.slice(0, room).replace(/[-.]+$/, "")}-${hash}${SUFFIX}`;
}

/** A new key of the scheme. */
export function newSigningSecret(scheme: SigningScheme, random: Random): string {
  return SCHEMES[scheme].newSecret(random.bytes(KEY_BYTES));
}
