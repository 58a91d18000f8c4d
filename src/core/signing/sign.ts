import { createHmac, createPrivateKey, createSecretKey, sign as signBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { unreachable } from "../../lib/assert.ts";
import { httpMessageSignature } from "./http-message-signature.ts";
import type { Problem } from "../problem.ts";
import type { HmacStyle, SigningKey, SigningScheme, SigningSpec, TokenStyle } from "../subscription.ts";

/** Standard Webhooks: a symmetric key has 24 to 64 bytes. */
const WHSEC_BYTES_MIN = 24;
const WHSEC_BYTES_MAX = 64;
/** Keys of the HMAC and TimestampToken styles: the Secret's raw bytes. */
const RAW_KEY_BYTES_MIN = 16;
const ED25519_SEED_BYTES = 32;
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const HASHES = { SHA256: "sha256", SHA512: "sha512", SHA1: "sha1" } as const;
const ENCODINGS = { Hex: "hex", Base64: "base64" } as const;

export type KeyParsed = { readonly ok: true; readonly key: SigningKey } | { readonly ok: false; readonly problem: Problem };

/**
 * A Secret's value as a signing key of the scheme. One trailing newline is cut off. The problem (reason `SecretInvalid`) never holds any of the
 * secret. StandardWebhooks: `whsec_` + base64 of 24-64 bytes; Ed25519: `whsk_` + base64 of the 32-byte seed (or seed + public key);
 * HTTPMessageSignatures: any of these, the prefix decides; the others: raw bytes, at least 16.
 */
export function parseKey(scheme: SigningScheme, secret: Uint8Array): KeyParsed {
  const bytes = trimNewline(secret);
  switch (scheme) {
    case "StandardWebhooks":
      return parseWhsec(bytes);
    case "StandardWebhooksEd25519":
      return parseWhsk(bytes);
    case "HMAC":
    case "TimestampToken":
      return parseRaw(bytes);
    case "HTTPMessageSignatures":
      return parseMessageKey(bytes);
    case "None":
      return invalid("signing.scheme None uses no key: remove signing.secretRefs");
    default:
      return unreachable(scheme);
  }
}

export interface SignInput {
  readonly id: string;
  /** Seconds since the epoch, of this attempt. */
  readonly timestampSec: number;
  readonly body: Uint8Array;
  /** What HTTP Message Signatures cover beside the body. */
  readonly url: string;
  readonly contentType: string | undefined;
}

export type SignedHeader = readonly [name: string, value: string];

/**
 * The headers that prove who sent exactly these bytes. All keys sign where the scheme has a list (Standard Webhooks, space separated);
 * styles with a single value use the first. A token placed in the body is not made here (see `timestampToken`).
 */
export function signatureHeaders(signing: SigningSpec, keys: readonly SigningKey[], input: SignInput): readonly SignedHeader[] {
  switch (signing.scheme) {
    case "StandardWebhooks":
    case "StandardWebhooksEd25519":
      return [
        ["webhook-timestamp", String(input.timestampSec)],
        ["webhook-signature", standardSignatures(keys, input)],
      ];
    case "HMAC":
      return signing.hmac === undefined || keys[0] === undefined ? [] : hmacHeaders(signing.hmac, keys[0].key, input);
    case "TimestampToken":
      if (signing.token?.placement !== "Header" || keys[0] === undefined) return [];
      return [[signing.token.field, timestampToken(signing.token, keys[0], input.timestampSec)]];
    case "HTTPMessageSignatures":
      return httpMessageSignature(keys, { method: "POST", ...input });
    case "None":
      return [];
    default:
      return unreachable(signing.scheme);
  }
}

/** The headers that a scheme sets; each may be sent only once. */
export function signingHeaderNames({ scheme, hmac, token }: SigningSpec): readonly string[] {
  switch (scheme) {
    case "StandardWebhooks":
    case "StandardWebhooksEd25519":
      return ["webhook-timestamp", "webhook-signature"];
    case "HMAC":
      return [hmac?.header, hmac?.timestampHeader].filter((name) => name !== undefined);
    case "TimestampToken":
      return token?.placement === "Header" ? [token.field] : [];
    case "HTTPMessageSignatures":
      return ["content-digest", "signature-input", "signature"];
    case "None":
      return [];
    default:
      return unreachable(scheme);
  }
}

/** `<unix seconds><separator><hmac over the seconds>`, to stand in the body's or a header's field (Perculus). */
export function timestampToken(style: TokenStyle, key: SigningKey, timestampSec: number): string {
  const seconds = String(timestampSec);
  const mac = createHmac(HASHES[style.algorithm], key.key).update(seconds).digest(ENCODINGS[style.encoding]);
  return `${seconds}${style.separator}${mac}`;
}

/** Standard Webhooks: `v1,<base64 HMAC-SHA256>` or `v1a,<base64 Ed25519>` over `id.timestamp.body`. */
function standardSignatures(keys: readonly SigningKey[], input: SignInput): string {
  const prefix = `${input.id}.${input.timestampSec}.`;
  let list = "";
  for (const { kind, key } of keys) {
    const one =
      kind === "hmac"
        ? `v1,${createHmac("sha256", key).update(prefix).update(input.body).digest("base64")}`
        : `v1a,${signBytes(null, Buffer.concat([Buffer.from(prefix), input.body]), key).toString("base64")}`;
    list = list === "" ? one : `${list} ${one}`;
  }
  return list;
}

function hmacHeaders(style: HmacStyle, key: KeyObject, input: SignInput): readonly SignedHeader[] {
  const timestamp = String(input.timestampSec);
  const hmac = createHmac(HASHES[style.algorithm], key);
  // The template is walked rather than filled: the body is bytes, and what it holds is never taken for a placeholder.
  for (const part of style.signedContent.split(/(\{body\}|\{timestamp\}|\{id\})/)) {
    if (part === "{body}") hmac.update(input.body);
    else if (part === "{timestamp}") hmac.update(timestamp);
    else if (part === "{id}") hmac.update(input.id);
    else if (part !== "") hmac.update(part);
  }
  const signature = hmac.digest(ENCODINGS[style.encoding]);
  const values: Readonly<Record<string, string>> = { "{prefix}": style.prefix, "{signature}": signature, "{timestamp}": timestamp };
  const value = style.value.replace(/\{prefix\}|\{signature\}|\{timestamp\}/g, (name) => values[name] ?? name);
  const headers: SignedHeader[] = [[style.header, value]];
  if (style.timestampHeader !== undefined) headers.push([style.timestampHeader, timestamp]);
  return headers;
}

/** `whsk_` is Ed25519, `whsec_` HMAC with what it encodes, anything else HMAC with the bytes as they are. */
function parseMessageKey(bytes: Uint8Array): KeyParsed {
  const start = Buffer.from(bytes.subarray(0, 6)).toString("latin1");
  if (start.startsWith("whsk_")) return parseWhsk(bytes);
  if (start.startsWith("whpk_")) return invalid("whpk_ is a public key, for receivers; signing needs the private one: whsk_<base64>");
  return start === "whsec_" ? parseWhsec(bytes) : parseRaw(bytes);
}

function parseRaw(bytes: Uint8Array): KeyParsed {
  if (bytes.length >= RAW_KEY_BYTES_MIN) return hmacKey(bytes);
  return invalid(`the signing key has ${bytes.length} bytes; it needs at least ${RAW_KEY_BYTES_MIN}`);
}

function parseWhsec(bytes: Uint8Array): KeyParsed {
  const raw = decodePrefixed(bytes, "whsec_");
  if (raw === undefined)
    return invalid("the signing key is not of the form whsec_<base64>: create one with `whsec_` and base64 of 32 random bytes");
  if (raw.length < WHSEC_BYTES_MIN || raw.length > WHSEC_BYTES_MAX) {
    return invalid(
      `the signing key has ${raw.length} bytes after whsec_; Standard Webhooks requires ${WHSEC_BYTES_MIN} to ${WHSEC_BYTES_MAX}`,
    );
  }
  return hmacKey(raw);
}

function parseWhsk(bytes: Uint8Array): KeyParsed {
  const raw = decodePrefixed(bytes, "whsk_");
  if (raw === undefined) return invalid("the signing key is not of the form whsk_<base64> (an Ed25519 private key)");
  if (raw.length !== ED25519_SEED_BYTES && raw.length !== 2 * ED25519_SEED_BYTES) {
    return invalid(
      `the Ed25519 key has ${raw.length} bytes after whsk_; it needs ${ED25519_SEED_BYTES} (seed) or ${2 * ED25519_SEED_BYTES} (seed and public key)`,
    );
  }
  const der = Buffer.concat([ED25519_PKCS8_PREFIX, raw.subarray(0, ED25519_SEED_BYTES)]);
  return { ok: true, key: { kind: "ed25519", key: createPrivateKey({ key: der, format: "der", type: "pkcs8" }) } };
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

function trimNewline(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

function invalid(message: string): KeyParsed {
  return { ok: false, problem: { field: "spec.signing.secretRefs", reason: "SecretInvalid", message } };
}
