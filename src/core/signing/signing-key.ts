import { createPrivateKey, createPublicKey, createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Problem } from "../problem.ts";
import type { SigningKey } from "./style.ts";

/** Standard Webhooks: a symmetric key has 24 to 64 bytes. */
export const WHSEC_BYTES_MIN = 24;
export const WHSEC_BYTES_MAX = 64;
/** Keys of the HMAC and TimestampToken styles: the Secret's raw bytes. */
export const RAW_KEY_BYTES_MIN = 16;
/** Of a seed, and of a public key. */
export const ED25519_BYTES = 32;
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export type KeyParsed = { readonly ok: true; readonly key: SigningKey } | { readonly ok: false; readonly problem: Problem };

/** `whsk_` is Ed25519, `whsec_` HMAC with what it encodes, anything else HMAC with the bytes as they are. */
export function parsePrefixed(bytes: Uint8Array): KeyParsed {
  const start = Buffer.from(bytes.subarray(0, 6)).toString("latin1");
  if (start.startsWith("whsk_")) return parseWhsk(bytes);
  if (start.startsWith("whpk_")) return invalidKey("whpk_ is a public key, for receivers; signing needs the private one: whsk_<base64>");
  return start === "whsec_" ? parseWhsec(bytes) : parseRaw(bytes);
}

/** The Secret's bytes as they are, at least 16. */
export function parseRaw(bytes: Uint8Array): KeyParsed {
  if (bytes.length >= RAW_KEY_BYTES_MIN) return hmacKey(bytes);
  return invalidKey(`the signing key has ${bytes.length} bytes; it needs at least ${RAW_KEY_BYTES_MIN}`);
}

/** `whsec_` + base64 of 24 to 64 bytes. */
export function parseWhsec(bytes: Uint8Array): KeyParsed {
  const raw = decodePrefixed(bytes, "whsec_");
  if (raw === undefined)
    return invalidKey(
      "the signing key is not of the form whsec_<base64>: create one with `postrider key new`, or as whsec_ and what `openssl rand -base64 32` prints",
    );
  if (raw.length < WHSEC_BYTES_MIN || raw.length > WHSEC_BYTES_MAX) {
    return invalidKey(
      `the signing key has ${raw.length} bytes after whsec_; Standard Webhooks requires ${WHSEC_BYTES_MIN} to ${WHSEC_BYTES_MAX}`,
    );
  }
  return hmacKey(raw);
}

/** `whsk_` + base64 of the 32-byte seed, or of seed and public key. */
export function parseWhsk(bytes: Uint8Array): KeyParsed {
  const raw = decodePrefixed(bytes, "whsk_");
  if (raw === undefined) return invalidKey("the signing key is not of the form whsk_<base64> (an Ed25519 private key)");
  if (raw.length !== ED25519_BYTES && raw.length !== 2 * ED25519_BYTES) {
    return invalidKey(
      `the Ed25519 key has ${raw.length} bytes after whsk_; it needs ${ED25519_BYTES} (seed) or ${2 * ED25519_BYTES} (seed and public key)`,
    );
  }
  return { ok: true, key: { kind: "ed25519", key: ed25519Private(raw.subarray(0, ED25519_BYTES)) } };
}

function ed25519Private(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([ED25519_PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
}

/** A new HMAC key: `whsec_` + base64. Schemes that take raw bytes sign with the text. */
export function newWhsec(bytes: Uint8Array): string {
  return `whsec_${Buffer.from(bytes).toString("base64")}`;
}

/** A new Ed25519 key: `whsk_` + base64 of the seed and the public key. */
export function newWhsk(seed: Uint8Array): string {
  const spki = createPublicKey(ed25519Private(seed)).export({ format: "der", type: "spki" });
  return `whsk_${Buffer.concat([seed, spki.subarray(-ED25519_BYTES)]).toString("base64")}`;
}

function hmacKey(bytes: Uint8Array): KeyParsed {
  return { ok: true, key: { kind: "hmac", key: createSecretKey(bytes) } };
}

/** Strict base64 after the prefix; Buffer alone would skip over characters it does not know. */
function decodePrefixed(bytes: Uint8Array, prefix: string): Buffer | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  if (!text.startsWith(prefix)) return undefined;
  const base64 = text.slice(prefix.length);
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, "base64") : undefined;
}

/** Without one line end, which editors and `echo` add. */
export function trimNewline(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

export function invalidKey(message: string): KeyParsed {
  return { ok: false, problem: { field: "spec.signing.secretRefs", reason: "SecretInvalid", message } };
}
