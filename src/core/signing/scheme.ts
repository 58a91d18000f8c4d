import type { ReceivedRequest } from "./received-request.ts";
import type { Judged } from "./signature-claim.ts";
import type { KeyParsed } from "./signing-key.ts";
import type { SigningKey, SigningStyle } from "./style.ts";
import type { Verification } from "./verdict.ts";

export interface SignInput {
  readonly id: string;
  /** Seconds since the epoch, of this attempt. */
  readonly timestampSec: number;
  readonly body: Uint8Array;
  /** What HTTP Message Signatures cover beside the body. */
  readonly url: string;
  readonly contentType: string | undefined;
}

export type SignedHeader = readonly [name: string, value: string];

/**
 * One value of `signing.scheme`: everything that is particular to it. A new scheme is a file in schemes/ and a line in scheme-registry.ts. Every
 * scheme is an object literal with all fields in this order, so that they share one hidden class and calls through them stay fast.
 */
export interface Scheme {
  /** False: it signs nothing, needs no key and generates none. */
  readonly needsKey: boolean;
  /** A Secret's value as a signing key. The problem (reason `SecretInvalid`) never holds any of the secret. */
  readonly parseKey: (secret: Uint8Array) => KeyParsed;
  /** The text of a new Secret, from 32 random bytes. */
  readonly newSecret: (bytes: Uint8Array) => string;
  /** The headers that prove who sent exactly these bytes. A style with a single value signs with the first key. */
  readonly sign: (style: SigningStyle, keys: readonly SigningKey[], input: SignInput) => readonly SignedHeader[];
  /** Names of headers that it always sets; each may be sent only once. */
  readonly ownHeaders: readonly string[];
  /** Names of headers that its style chooses; they must be allowed as extra headers are. */
  readonly chosenHeaders: (style: SigningStyle) => readonly string[];
  /** Of its headers, in lower case, those that history shows: they say how the proof was made and hold nothing that could be sent again. */
  readonly shownHeaders: ReadonlySet<string>;
  /**
   * A proof that holds for any body. Whoever reads it can send other bytes with it, so it is hidden where a receiver repeats it. Undefined
   * where the scheme has none, or no key.
   */
  readonly unboundProof: (style: SigningStyle, keys: readonly SigningKey[], timestampSec: number) => string | undefined;
  /** The field of the body in which that proof stands; undefined = it is not in the body. */
  readonly bodyField: (style: SigningStyle) => string | undefined;
  /** Whether a received request is genuine, and if not why. Never throws for what the request holds. */
  readonly verify: (style: SigningStyle, request: ReceivedRequest, judged: Judged) => Verification;
  /** Why no request can be judged with this secret, in words that hold none of it; undefined where it will do. */
  readonly secretFault: (secret: Uint8Array) => string | undefined;
  /** What a genuine request proves: who sent it and what, or only who. */
  readonly proves: "sender and body" | "sender";
  /** What `Genuine.scheme` says of its requests. */
  readonly verifiedAs: readonly string[];
  /** Ways of signing that have a name on the command line. A scheme that says too little by its name alone names its styles. */
  readonly named: ReadonlyMap<string, SigningStyle>;
  /** Other usual names of the only one in `named`, in lower case. */
  readonly otherNames: readonly string[];
}

/** The style of a scheme without parameters. */
export const NO_STYLE: SigningStyle = { hmac: undefined, token: undefined };

export const NO_NAMES: ReadonlySet<string> = new Set();

export function nothing(): undefined {
  return undefined;
}

export function noNames(): readonly string[] {
  return [];
}
