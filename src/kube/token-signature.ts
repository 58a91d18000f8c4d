import { constants, createPublicKey, type JsonWebKey, type KeyObject, verify } from "node:crypto";
import { jsonPart, tokenParts } from "./token-claims.ts";

/** A key by which the cluster's tokens are signed. */
export interface TokenKey {
  /** Undefined for a key that fits any token. */
  readonly kid: string | undefined;
  /** The one algorithm that the key is for; undefined = all that fit its kind. */
  readonly alg: string | undefined;
  readonly key: KeyObject;
}

interface Algorithm {
  readonly kind: "rsa" | "ec";
  readonly digest: "sha256" | "sha384" | "sha512";
  readonly pss?: true;
  /** As OpenSSL names it. */
  readonly curve?: string;
}

/** RFC 7518 3.1, those with a public key. Nothing else is a signature: `none` is not, and one by a secret (HS256) would take our public key for it. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ["RS256", { kind: "rsa", digest: "sha256" }],
  ["RS384", { kind: "rsa", digest: "sha384" }],
  ["RS512", { kind: "rsa", digest: "sha512" }],
  ["PS256", { kind: "rsa", digest: "sha256", pss: true }],
  ["PS384", { kind: "rsa", digest: "sha384", pss: true }],
  ["PS512", { kind: "rsa", digest: "sha512", pss: true }],
  ["ES256", { kind: "ec", digest: "sha256", curve: "prime256v1" }],
  ["ES384", { kind: "ec", digest: "sha384", curve: "secp384r1" }],
  ["ES512", { kind: "ec", digest: "sha512", curve: "secp521r1" }],
]);

/** RFC 7518 3.3. */
const RSA_BITS_MIN = 2_048;
/** Keys read from one set; the API server has two while they are rotated. */
const KEYS_MAX = 64;

/** The keys of a JSON Web Key Set (RFC 7517 5) that can check a signature; others are passed over. */
export function readTokenKeys(set: unknown): readonly TokenKey[] {
  const keys = typeof set === "object" && set !== null && "keys" in set ? set.keys : undefined;
  return Array.isArray(keys) ? keys.slice(0, KEYS_MAX).flatMap((key: unknown) => readKey(key) ?? []) : [];
}

function readKey(found: unknown): TokenKey | undefined {
  if (typeof found !== "object" || found === null) return undefined;
  const { kty, n, e, crv, x, y, kid, alg, use } = found as Readonly<Record<string, string | undefined>>;
  if ((use !== undefined && use !== "sig") || (alg !== undefined && !ALGORITHMS.has(alg))) return undefined;
  if (kid !== undefined && typeof kid !== "string") return undefined;
  const parts = kty === "RSA" ? { kty, n, e } : kty === "EC" ? { kty, crv, x, y } : undefined;
  if (parts === undefined) return undefined;
  try {
    const key = createPublicKey({ key: parts as JsonWebKey, format: "jwk" });
    if (kty === "RSA" && (key.asymmetricKeyDetails?.modulusLength ?? 0) < RSA_BITS_MIN) return undefined;
    return { kid, alg, key };
  } catch {
    return undefined;
  }
}

/** `unknown-key`: it names a key that is not among these, which may be a newer one. */
export type SignatureVerdict = "good" | "forged" | "unknown-key";

/** Whether one of these keys made a token's signature (RFC 7515 5.2). */
export function signatureVerdict(token: string, keys: readonly TokenKey[]): SignatureVerdict {
  const parts = tokenParts(token);
  const header = parts === undefined ? undefined : jsonPart(parts[0]);
  if (parts === undefined || header === undefined) return "forged";
  const { alg, kid, crit } = header;
  const algorithm = typeof alg === "string" ? ALGORITHMS.get(alg) : undefined;
  // What is critical (RFC 7515 4.1.11) is something that we do not understand, for we understand nothing of the kind.
  if (algorithm === undefined || crit !== undefined || (kid !== undefined && typeof kid !== "string")) return "forged";
  const named = keys.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid);
  if (named.length === 0) return "unknown-key";
  const signature = Buffer.from(parts[2], "base64url");
  // Else one token could be spelled in several ways, each of them new to every memory of tokens.
  if (signature.toString("base64url") !== parts[2]) return "forged";
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`, "latin1");
  const isGood = named.some((key) => fits(key, algorithm, alg) && isSignedBy(key.key, algorithm, { signed, signature }));
  return isGood ? "good" : "forged";
}

function fits({ alg, key }: TokenKey, { kind, curve }: Algorithm, wanted: unknown): boolean {
  if (alg !== undefined && alg !== wanted) return false;
  return key.asymmetricKeyType === kind && (curve === undefined || key.asymmetricKeyDetails?.namedCurve === curve);
}

function isSignedBy(
  key: KeyObject,
  { kind, digest, pss }: Algorithm,
  { signed, signature }: { readonly signed: Buffer; readonly signature: Buffer },
): boolean {
  if (kind === "ec") return verify(digest, signed, { key, dsaEncoding: "ieee-p1363" }, signature);
  if (pss === undefined) return verify(digest, signed, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return verify(digest, signed, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature);
}
