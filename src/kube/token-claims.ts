/** What a JSON Web Token says about itself. Nothing of it is proven before its signature is. */
export interface TokenClaims {
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch; undefined for a token that does not expire. */
  readonly expiresAtMs: number | undefined;
  /** Milliseconds since the epoch, as its issuer's clock said. */
  readonly issuedAtMs: number | undefined;
  /** Milliseconds since the epoch; undefined for a token that may be used at once. */
  readonly notBeforeMs: number | undefined;
}

const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;

/** A signed token's three parts (RFC 7519 3.1, compact form), still encoded; undefined for anything else, one without a signature included. */
export function tokenParts(token: string): readonly [header: string, payload: string, signature: string] | undefined {
  const [, header, payload, signature] = COMPACT.exec(token) ?? [];
  return header === undefined || payload === undefined || signature === undefined ? undefined : [header, payload, signature];
}

/** Reads a signed token in compact form; undefined for anything else. */
export function tokenClaims(token: string): TokenClaims | undefined {
  const parts = tokenParts(token);
  const claims = parts === undefined ? undefined : jsonPart(parts[1]);
  if (claims === undefined) return undefined;
  const { iss, sub, aud, exp, iat, nbf } = claims;
  const audiences = (Array.isArray(aud) ? aud : [aud]).filter((one) => typeof one === "string");
  return {
    issuer: text(iss),
    subject: text(sub),
    audiences,
    expiresAtMs: instant(exp),
    issuedAtMs: instant(iat),
    notBeforeMs: instant(nbf),
  };
}

/** The JSON object in a part of a token; undefined when there is none. */
export function jsonPart(part: string): Readonly<Record<string, unknown>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function instant(seconds: unknown): number | undefined {
  return typeof seconds === "number" ? seconds * 1_000 : undefined;
}
