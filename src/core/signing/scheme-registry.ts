import type { Scheme } from "./scheme.ts";
import { HMAC } from "./schemes/hmac.ts";
import { HTTP_MESSAGE_SIGNATURES } from "./schemes/http-message-signatures.ts";
import { NONE } from "./schemes/none.ts";
import { STANDARD_WEBHOOKS } from "./schemes/standard-webhooks.ts";
import { STANDARD_WEBHOOKS_ED25519 } from "./schemes/standard-webhooks-ed25519.ts";
import { TIMESTAMP_TOKEN } from "./schemes/timestamp-token.ts";

/** Every value of `signing.scheme`, in the order in which help names them. */
export const SCHEMES = {
  StandardWebhooks: STANDARD_WEBHOOKS,
  StandardWebhooksEd25519: STANDARD_WEBHOOKS_ED25519,
  HMAC,
  TimestampToken: TIMESTAMP_TOKEN,
  HTTPMessageSignatures: HTTP_MESSAGE_SIGNATURES,
  None: NONE,
} as const satisfies Readonly<Record<string, Scheme>>;

export type SigningScheme = keyof typeof SCHEMES;

/** Pairs of name and scheme, for whoever looks through all of them. */
export const SCHEME_LIST = Object.entries(SCHEMES) as readonly (readonly [SigningScheme, Scheme])[];
