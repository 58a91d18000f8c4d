import { timingSafeEqual } from "node:crypto";

/** The algorithms of `signing.hmac` and `signing.token`, as node:crypto names them. */
export const HASHES = { SHA256: "sha256", SHA512: "sha512", SHA1: "sha1" } as const;
export const ENCODINGS = { Hex: "hex", Base64: "base64" } as const;
/** What a value in each encoding looks like, as part of a regular expression. */
export const SPELLINGS = { Hex: "[0-9A-Fa-f]+", Base64: "[A-Za-z0-9+/_-]+={0,2}" } as const;

/** Compares in constant time. */
export function isOneOf(expected: Buffer, given: readonly Buffer[]): boolean {
  return given.some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected));
}
