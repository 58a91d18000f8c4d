/** What a JSON Web Token says about itself. Nothing of it is proven: only the API server's review is. */
export interface TokenClaims {
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch; undefined for a token that does not expire. */
  readonly expiresAtMs: number | undefined;
  /** Milliseconds since the epoch, as its issuer's clock said. */
  readonly issuedAtMs: number | undefined;
}

const COMPACT = /^[\w-]+\.([\w-]+)\.[\w-]+$/;

/** Reads a signed token in compact form (RFC 7519 3.1); undefined for anything else, one without a signature included. */
export function tokenClaims(token: string): TokenClaims | undefined {
  const payload = COMPACT.exec(token)?.[1];
  if (payload === undefined) return undefined;
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof claims !== "object" || claims === null) return undefined;
  const { aud, exp, iat } = claims as { readonly aud?: unknown; readonly exp?: unknown; readonly iat?: unknown };
  const audiences = (Array.isArray(aud) ? aud : [aud]).filter((one) => typeof one === "string");
  return { audiences, expiresAtMs: instant(exp), issuedAtMs: instant(iat) };
}

function instant(seconds: unknown): number | undefined {
  return typeof seconds === "number" ? seconds * 1_000 : undefined;
}
