import { hash, timingSafeEqual } from "node:crypto";

/** Shorter tokens can be guessed: they are ignored, and the owner is told. Bytes. */
export const TOKEN_BYTES_MIN = 16;
/** Longer ones are refused before anything is done with them; a ServiceAccount's token has about 1,200. Characters. */
export const TOKEN_CHARS_MAX = 8_192;

/** SHA-256 (32 bytes) of a token as it was sent; what caches and indexes hold instead of the token. */
export function tokenDigest(token: string): Buffer {
  return hash("sha256", token, "buffer");
}

/** The digest of a Secret's value as it is compared: trailing newlines trimmed; undefined when it is shorter than TOKEN_BYTES_MIN. */
export function storedTokenDigest(value: Uint8Array): Uint8Array | undefined {
  let end = value.length;
  while (end > 0 && (value[end - 1] === 0x0a || value[end - 1] === 0x0d)) end--;
  return end < TOKEN_BYTES_MIN ? undefined : hash("sha256", value.subarray(0, end), "buffer");
}

/** Where a digest stands first among those that are valid, -1 = nowhere. No early end: how long this takes says nothing about which one matched. */
export function placeAmong(given: Uint8Array, digests: readonly Uint8Array[]): number {
  let place = -1;
  for (const [index, digest] of digests.entries()) {
    const isSame = digest.length === given.length && timingSafeEqual(given, digest);
    place = isSame && place === -1 ? index : place;
  }
  return place;
}

/** Whether a digest is among those that are valid. */
export function isAmong(given: Uint8Array, digests: readonly Uint8Array[]): boolean {
  return placeAmong(given, digests) !== -1;
}

const BEARER = /^Bearer +([\w.~+/=-]+) *$/i;

/** The token of an Authorization header (RFC 6750 2.1); undefined when it is of another kind. */
export function bearerToken(authorization: string): string | undefined {
  return BEARER.exec(authorization)?.[1];
}
