import { httpMessageSignature } from "../http-message-signature.ts";
import { judgeMessage } from "../message-verification.ts";
import { messageKey } from "../receiver-key.ts";
import { NO_STYLE, noNames, nothing } from "../scheme.ts";
import type { Scheme } from "../scheme.ts";
import { newWhsec, parsePrefixed } from "../signing-key.ts";

/** RFC 9421. All keys sign: the headers hold one entry for each. */
export const HTTP_MESSAGE_SIGNATURES: Scheme = {
  needsKey: true,
  parseKey: parsePrefixed,
  newSecret: newWhsec,
  sign: (_style, keys, input) => httpMessageSignature(keys, { method: "POST", ...input }),
  ownHeaders: ["content-digest", "signature-input", "signature"],
  chosenHeaders: noNames,
  shownHeaders: new Set(["content-digest", "signature-input"]),
  unboundProof: nothing,
  bodyField: nothing,
  verify: (_style, request, judged) => judgeMessage(request, judged),
  secretFault: (secret) =>
    messageKey(secret) === undefined ? "the secret is neither whsec_ or whpk_ + base64, nor a text of at least 16 bytes" : undefined,
  proves: "sender and body",
  verifiedAs: ["hmac-sha256", "ed25519"],
  named: new Map([["http-message", NO_STYLE]]),
  otherNames: ["http-message-signatures", "rfc9421"],
};
