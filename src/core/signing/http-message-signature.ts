import { createHash, createHmac, createPublicKey, hash, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { assert } from "../../lib/assert.ts";
import type { SigningKey } from "./style.ts";

/** A covered component with its value: a header's lower-case name, or a derived one (`@method`). */
export type Component = readonly [name: string, value: string];

/** RFC 9421, 2.3; in the order in which they are written. */
export interface SignatureParams {
  /** Seconds since the epoch. */
  readonly created?: number;
  readonly keyid?: string;
  readonly alg?: string;
}

/** RFC 9421, 3.3: how our two kinds of key are called. */
export const ALGORITHMS = { hmac: "hmac-sha256", ed25519: "ed25519" } as const;
/** Of a key's digest this much names it: enough to tell three keys apart, useless for finding the key. */
const KEY_ID_CHARS = 16;

export interface HttpMessage {
  readonly method: string;
  /** Absolute. Scheme is not covered: a receiver behind a TLS proxy does not see it. */
  readonly url: string;
  readonly contentType: string | undefined;
  /** The event's id. */
  readonly id: string;
  readonly timestampSec: number;
  readonly body: Uint8Array;
}

/**
 * HTTP Message Signatures (RFC 9421): `content-digest` (RFC 9530), `signature-input` and `signature`, one entry `sig1`, `sig2`, … for each
 * key. Covered: method, authority, path, query, digest of the body, content type and webhook-id; the time stands in `created`.
 */
export function httpMessageSignature(keys: readonly SigningKey[], message: HttpMessage): readonly (readonly [string, string])[] {
  const digest = contentDigest(message.body);
  const components = coveredComponents(message, digest);
  const inputs: string[] = [];
  const signatures: string[] = [];
  for (const [index, { kind, key }] of keys.entries()) {
    const params = signatureParams(components, { created: message.timestampSec, keyid: keyId(key), alg: ALGORITHMS[kind] });
    const label = `sig${index + 1}`;
    inputs.push(`${label}=${params}`);
    signatures.push(`${label}=:${signBase(kind, key, signatureBase(components, params)).toString("base64")}:`);
  }
  return [
    ["content-digest", digest],
    ["signature-input", inputs.join(", ")],
    ["signature", signatures.join(", ")],
  ];
}

/** RFC 9530: `sha-256=:<base64>:`. */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
}

function coveredComponents({ method, url, contentType, id }: HttpMessage, digest: string): readonly Component[] {
  const components: Component[] = [["@method", method], ...targetComponents(url), ["content-digest", digest]];
  if (contentType !== undefined) components.push(["content-type", contentType]);
  components.push(["webhook-id", id]);
  return components;
}

/** RFC 9421, 2.2.3, 2.2.6, 2.2.7: the query with its question mark, which stands there alone where the URL has none. */
export function targetComponents(url: string): readonly Component[] {
  assert(URL.canParse(url), "a target whose references are resolved has a URL");
  const { host, pathname, search } = new URL(url);
  return [
    ["@authority", host],
    ["@path", pathname],
    ["@query", search === "" ? "?" : search],
  ];
}

/** The value of `@signature-params` (RFC 9421, 2.3): what is covered and how it was signed. */
export function signatureParams(components: readonly Component[], { created, keyid, alg }: SignatureParams): string {
  const names = components.map(([name]) => `"${name}"`).join(" ");
  const at = created === undefined ? "" : `;created=${created}`;
  const by = keyid === undefined ? "" : `;keyid="${keyid}"`;
  const how = alg === undefined ? "" : `;alg="${alg}"`;
  return `(${names})${at}${by}${how}`;
}

/** The signature base (RFC 9421, 2.5): what is signed. */
export function signatureBase(components: readonly Component[], params: string): string {
  return [...components.map(([name, value]) => `"${name}": ${value}`), `"@signature-params": ${params}`].join("\n");
}

/** Signs a base (RFC 9421, 3.3.3 and 3.3.6). */
export function signBase(kind: SigningKey["kind"], key: KeyObject, base: string): Buffer {
  return kind === "hmac" ? createHmac("sha256", key).update(base).digest() : sign(null, Buffer.from(base), key);
}

/** Names a key without telling it: from the public key, or from an HMAC by the secret one. Receivers tell by it which key signed. */
export function keyId(key: KeyObject): string {
  const known = keyIds.get(key);
  if (known !== undefined) return known;
  const id =
    key.type === "secret"
      ? createHmac("sha256", key).update("postrider keyid").digest("base64url")
      : hash("sha256", publicBytes(key), "base64url");
  const short = id.slice(0, KEY_ID_CHARS);
  keyIds.set(key, short);
  return short;
}

const keyIds = new WeakMap<KeyObject, string>();

function publicBytes(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ format: "der", type: "spki" });
}
