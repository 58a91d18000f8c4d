import type { KeyObject } from "node:crypto";

/** What a subscription says about its scheme beside the name: one field for each scheme that has parameters. */
export interface SigningStyle {
  readonly hmac: HmacStyle | undefined;
  readonly token: TokenStyle | undefined;
}

/** HMAC styles as parameters: GitHub, Shopify, Stripe, Slack (`signing.hmac`). */
export interface HmacStyle {
  readonly algorithm: "SHA256" | "SHA512" | "SHA1";
  readonly encoding: "Hex" | "Base64";
  readonly header: string;
  readonly prefix: string;
  readonly timestampHeader: string | undefined;
  /** Template over {body}, {timestamp}, {id}. */
  readonly signedContent: string;
  /** Template over {prefix}, {signature}, {timestamp}. */
  readonly value: string;
}

/** A token `<unix seconds><separator><hmac over the seconds>` in the body or a header (Perculus). */
export interface TokenStyle {
  readonly field: string;
  readonly placement: "Body" | "Header";
  readonly separator: string;
  readonly algorithm: "SHA256" | "SHA512" | "SHA1";
  readonly encoding: "Hex" | "Base64";
}

/** A signing key, ready to use: a cached KeyObject is 5x faster than raw bytes. */
export interface SigningKey {
  readonly kind: "hmac" | "ed25519";
  readonly key: KeyObject;
}
