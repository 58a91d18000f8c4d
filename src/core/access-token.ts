import { hash, timingSafeEqual } from "node:crypto";
import { isLoopback } from "../lib/listen.ts";

/** Shorter tokens can be guessed: they are ignored, and the owner is told. Bytes. */
export const TOKEN_BYTES_MIN = 16;
/** Longer ones are refused before anything is done with them; a ServiceAccount's token has about 1,200. Characters. */
export const TOKEN_CHARS_MAX = 8_192;

/** Why a token lets nobody in. `unavailable`: whoever could say is away, and that never means yes. */
export type Denial = "unauthenticated" | "forbidden" | "unavailable";

/** Digests (SHA-256, 32 bytes) of the tokens that are valid for a namespace; labelled Secrets fill it. */
export interface StaticTokens {
  /** False until the namespace's Secrets have been listed once: till then a token that is not known may be a good one. */
  isListed?(namespace: string): boolean;
  tokens(namespace: string): readonly Uint8Array[];
}

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

/** The index of the first digest that is the given one, -1 = none. No early end: how long this takes says nothing about which one matched. */
function indexAmong(given: Uint8Array, digests: readonly Uint8Array[]): number {
  let found = -1;
  for (const [index, digest] of digests.entries()) {
    const isSame = digest.length === given.length && timingSafeEqual(given, digest);
    found = isSame && found === -1 ? index : found;
  }
  return found;
}

/** Which of the namespace's static tokens this is, -1 = none. `tokens`: undefined where static tokens are switched off. */
export function staticIndex(tokens: StaticTokens | undefined, namespace: string, token: string): number {
  return tokens === undefined ? -1 : indexAmong(tokenDigest(token), tokens.tokens(namespace));
}

/**
 * What is answered to a token that is no static one and that a review has denied. While the namespace's Secrets have not been listed, as after a
 * restart, an unknown token may be a good one: nobody can tell yet.
 */
export function finalDenial<T extends Denial>(denial: T, tokens: StaticTokens | undefined, namespace: string): T | "unavailable" {
  return denial === "unauthenticated" && tokens?.isListed?.(namespace) === false ? "unavailable" : denial;
}

/** Why a port may not be open to all on this host; undefined on loopback, where nobody else's machine reaches it. */
export function openPortFault(flag: string, host: string): string | undefined {
  if (isLoopback(host)) return undefined;
  return `${flag} none is refused on ${host || "all addresses"}: anyone who reaches the port could use it; listen on 127.0.0.1, or use kubernetes or static`;
}

const BEARER = /^Bearer +([\w.~+/=-]+) *$/i;

/** The token of an Authorization header (RFC 6750 2.1); undefined when it is of another kind. */
export function bearerToken(authorization: string): string | undefined {
  return BEARER.exec(authorization)?.[1];
}
