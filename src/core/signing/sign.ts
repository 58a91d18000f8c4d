import type { SigningSpec } from "../subscription.ts";
import type { SignedHeader, SignInput } from "./scheme.ts";
import { SCHEMES } from "./scheme-registry.ts";
import type { SigningScheme } from "./scheme-registry.ts";
import { trimNewline } from "./signing-key.ts";
import type { KeyParsed } from "./signing-key.ts";
import type { SigningKey } from "./style.ts";

/** A Secret's value as a signing key of the scheme. One trailing newline is cut off. The problem never holds any of the secret. */
export function parseKey(scheme: SigningScheme, secret: Uint8Array): KeyParsed {
  return SCHEMES[scheme].parseKey(trimNewline(secret));
}

/** The headers that prove who sent exactly these bytes. A proof in the body is not made here (`Scheme.bodyField`). */
export function signatureHeaders(signing: SigningSpec, keys: readonly SigningKey[], input: SignInput): readonly SignedHeader[] {
  return SCHEMES[signing.scheme].sign(signing, keys, input);
}
