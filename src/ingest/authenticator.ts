import { hash, timingSafeEqual } from "node:crypto";

/** Who may publish. Kubernetes' own reviews will be another one; the server only knows this. */
export interface Authenticator {
  /** `none` lets everybody in, so the server refuses it on any address but loopback. */
  readonly mode: "static" | "none";
  /** Decides on the token given for a namespace; undefined = none was given. */
  authenticate(namespace: string, token: string | undefined): boolean;
}

/** Digests (SHA-256, 32 bytes) of the tokens valid for a namespace; the Secrets labelled `postrider.dev/ingest-token` fill it. */
export interface IngestTokens {
  tokens(namespace: string): readonly Uint8Array[];
}

/** Shorter tokens can be guessed: they are ignored, and the owner is told. */
const TOKEN_BYTES_MIN = 16;
/** Longer ones cannot be sent in a header anyway. */
const TOKEN_CHARS_MAX = 4_096;

/** The digest of a Secret's value as it is compared: trailing newlines trimmed; undefined when it is shorter than TOKEN_BYTES_MIN. */
export function tokenDigest(value: Uint8Array): Uint8Array | undefined {
  let end = value.length;
  while (end > 0 && (value[end - 1] === 0x0a || value[end - 1] === 0x0d)) end--;
  return end < TOKEN_BYTES_MIN ? undefined : sha256(value.subarray(0, end));
}

/** Static tokens: every value of a namespace's labelled Secrets. */
export class StaticTokens implements Authenticator {
  readonly mode = "static";
  readonly #source: IngestTokens;

  constructor(source: IngestTokens) {
    this.#source = source;
  }

  authenticate(namespace: string, token: string | undefined): boolean {
    if (token === undefined || token.length > TOKEN_CHARS_MAX) return false;
    const given = sha256(Buffer.from(token, "utf8"));
    let found = false;
    // No early end: how long this takes says nothing about which token matched.
    for (const digest of this.#source.tokens(namespace)) found = (digest.length === 32 && timingSafeEqual(given, digest)) || found;
    return found;
  }
}

/** Everybody: for a loopback listener on a laptop or in a test. */
export const openToAll: Authenticator = { mode: "none", authenticate: () => true };

function sha256(bytes: Uint8Array): Uint8Array {
  return hash("sha256", bytes, "buffer");
}
