import { createPrivateKey, createPublicKey, createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { ED25519_BYTES, parseWhsk, RAW_KEY_BYTES_MIN, WHSEC_BYTES_MAX, WHSEC_BYTES_MIN } from "./signing-key.ts";

const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** An Ed25519 public key in the forms that receivers' libraries take. */
export interface PublicKeyForms {
  /** `whpk_` + base64 of the 32 bytes. */
  readonly whpk: string;
  readonly pem: string;
  readonly jwk: Readonly<Record<string, unknown>>;
}

/** The public half of `whsk_…`, or of a public key in any form that `ed25519Public` reads; undefined where it is none. */
export function publicKeyForms(secret: Uint8Array): PublicKeyForms | undefined {
  const key = ed25519Public(secret);
  if (key === undefined) return undefined;
  const raw = key.export({ format: "der", type: "spki" }).subarray(-ED25519_BYTES);
  return {
    whpk: `whpk_${raw.toString("base64")}`,
    pem: key.export({ format: "pem", type: "spki" }).toString(),
    jwk: key.export({ format: "jwk" }),
  };
}

/** An Ed25519 public key from `whpk_…`, `whsk_…` (its public half) or PEM; undefined where it is none. */
export function ed25519Public(secret: Uint8Array): KeyObject | undefined {
  const text = asText(secret);
  if (text.startsWith("whsk_")) {
    const parsed = parseWhsk(Buffer.from(text));
    return parsed.ok ? createPublicKey(parsed.key.key) : undefined;
  }
  if (text.startsWith("-----BEGIN ")) return fromPem(text);
  if (!text.startsWith("whpk_")) return undefined;
  const raw = Buffer.from(text.slice(5), "base64");
  const isDer = raw.length === ED25519_SPKI_PREFIX.length + ED25519_BYTES && raw.subarray(0, 12).equals(ED25519_SPKI_PREFIX);
  if (raw.length !== ED25519_BYTES && !isDer) return undefined;
  const der = Buffer.concat([ED25519_SPKI_PREFIX, raw.subarray(-ED25519_BYTES)]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

function fromPem(text: string): KeyObject | undefined {
  try {
    const key = text.includes("PRIVATE KEY") ? createPublicKey(createPrivateKey(text)) : createPublicKey(text);
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    return undefined;
  }
}

/** The bytes that sign under Standard Webhooks: base64 after `whsec_`, which may be left out; undefined where they are no such key. */
export function standardKey(secret: Uint8Array): Uint8Array | undefined {
  const text = asText(secret);
  const raw = Buffer.from(text.startsWith("whsec_") ? text.slice(6) : text, "base64");
  return raw.length < WHSEC_BYTES_MIN || raw.length > WHSEC_BYTES_MAX ? undefined : raw;
}

/** The bytes that sign under HMAC styles and TimestampToken: the Secret's, without one line end, as the sender reads them. */
export function rawKey(secret: Uint8Array): Uint8Array | undefined {
  const end = secret.at(-1) !== 0x0a ? secret.length : secret.at(-2) === 0x0d ? secret.length - 2 : secret.length - 1;
  return end < RAW_KEY_BYTES_MIN ? undefined : secret.subarray(0, end);
}

/** For the sentence "the secret is not …". */
export const RAW_KEY_FORM = "a key of at least 16 bytes (the Secret's bytes as they are)";

/** Why a secret cannot verify HMAC styles and TimestampToken; undefined where it can. */
export function rawKeyFault(secret: Uint8Array): string | undefined {
  return rawKey(secret) === undefined ? `the secret has ${secret.length} bytes; a key has at least ${RAW_KEY_BYTES_MIN}` : undefined;
}

/** A key of HTTP Message Signatures: the prefix decides, as on the sender's side. */
export function messageKey(secret: Uint8Array): KeyObject | undefined {
  const text = asText(secret);
  if (/^(whpk_|whsk_|-----BEGIN )/.test(text)) return ed25519Public(secret);
  const raw = text.startsWith("whsec_") ? Buffer.from(text.slice(6), "base64") : rawKey(secret);
  return raw === undefined || raw.length < RAW_KEY_BYTES_MIN ? undefined : createSecretKey(raw);
}

function asText(secret: Uint8Array): string {
  return Buffer.from(secret).toString("utf8").trim();
}
