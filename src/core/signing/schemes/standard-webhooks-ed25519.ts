import { ed25519Public } from "../receiver-key.ts";
import { NO_STYLE } from "../scheme.ts";
import type { Scheme } from "../scheme.ts";
import { newWhsk, parseWhsk } from "../signing-key.ts";
import { STANDARD_WEBHOOKS } from "./standard-webhooks.ts";

const { sign, ownHeaders, chosenHeaders, shownHeaders, unboundProof, bodyField, verify } = STANDARD_WEBHOOKS;

/** Standard Webhooks with a private key; receivers verify with the public one. */
export const STANDARD_WEBHOOKS_ED25519: Scheme = {
  needsKey: true,
  parseKey: parseWhsk,
  newSecret: newWhsk,
  sign,
  ownHeaders,
  chosenHeaders,
  shownHeaders,
  unboundProof,
  bodyField,
  verify,
  secretFault: (secret) =>
    ed25519Public(secret) === undefined ? "the key is not whpk_ + base64 of 32 bytes (the sender's public key)" : undefined,
  proves: "sender and body",
  verifiedAs: ["v1a"],
  named: new Map([["ed25519", NO_STYLE]]),
  otherNames: [],
};
