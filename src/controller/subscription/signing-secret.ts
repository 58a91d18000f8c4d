import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import type { SigningScheme } from "../../core/subscription.ts";
import type { Random } from "../../lib/random.ts";

/** Key of a generated Secret that holds the signing key. */
export const SIGNING_SECRET_KEY = "secret";
const KEY_BYTES = 32;
const NAME_CHARS_MAX = 253;
const SUFFIX = "-signing";
const HASH_CHARS = 8;
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** `<subscription>-signing`; a name too long for that is cut and made unique by a hash. */
export function signingSecretName(subscription: string): string {
  if (subscription.length + SUFFIX.length <= NAME_CHARS_MAX) return subscription + SUFFIX;
  const hash = createHash("sha256").update(subscription).digest("hex").slice(0, HASH_CHARS);
  const room = NAME_CHARS_MAX - SUFFIX.length - HASH_CHARS - 1;
  return `${subscription.slice(0, room).replace(/[-.]+$/, "")}-${hash}${SUFFIX}`;
}

/** A new key: `whsec_` + base64 of 32 random bytes; for Ed25519 `whsk_` + base64 of seed and public key. Other schemes sign with the text. */
export function newSigningSecret(scheme: SigningScheme, random: Random): string {
  const bytes = Buffer.from(random.bytes(KEY_BYTES));
  if (scheme !== "StandardWebhooksEd25519") return `whsec_${bytes.toString("base64")}`;
  const key = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8_PREFIX, bytes]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return `whsk_${Buffer.concat([bytes, spki.subarray(-KEY_BYTES)]).toString("base64")}`;
}
