import type { SigningSpec } from "../subscription.ts";
import { SCHEME_LIST } from "./scheme-registry.ts";
import type { SigningScheme } from "./scheme-registry.ts";
import { hmacStyle } from "./schemes/hmac.ts";
import type { HmacStyle, SigningStyle } from "./style.ts";

/** An HMAC style with what the schema fills in. */
export function hmacSigning(style: Partial<HmacStyle> & Pick<HmacStyle, "header">): SigningSpec {
  return signingOf("HMAC", hmacStyle(style));
}

/** Every way of signing that has a name: the HMAC styles that docs/receivers.md names, and the schemes that need no more than their name. */
export const NAMED_SIGNINGS: ReadonlyMap<string, SigningSpec> = new Map(
  SCHEME_LIST.flatMap(([scheme, { named }]) => [...named].map(([name, style]) => [name, signingOf(scheme, style)] as const)),
);

/** The same by the words of `signing.scheme` and by other usual ones, lower case. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map(
  SCHEME_LIST.flatMap(([scheme, { named, otherNames }]) => {
    const [name] = named.size === 1 ? named.keys() : [];
    return name === undefined ? [] : [scheme.toLowerCase(), ...otherNames].map((other) => [other, name] as const);
  }),
);

/** The words of `signing.scheme` that may be written as names. */
export const SCHEME_NAMES: readonly string[] = SCHEME_LIST.filter(([, { named }]) => named.size === 1).map(([scheme]) => scheme);

/** How a scheme signs, by name in any case; undefined for one that is not known, and for HMAC, which says too little. */
export function namedSigning(name: string): SigningSpec | undefined {
  const lower = name.toLowerCase();
  return NAMED_SIGNINGS.get(OTHER_NAMES.get(lower) ?? lower);
}

function signingOf(scheme: SigningScheme, { hmac, token }: SigningStyle): SigningSpec {
  return { scheme, secretRefs: [], hmac, token };
}
