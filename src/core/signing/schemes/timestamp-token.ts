import { createHmac } from "node:crypto";
import { scalarAt } from "../../json-scalar.ts";
import { ENCODINGS, HASHES, isOneOf, SPELLINGS } from "../mac.ts";
import { headersByName } from "../received-request.ts";
import type { ReceivedRequest } from "../received-request.ts";
import { RAW_KEY_FORM, rawKey, rawKeyFault } from "../receiver-key.ts";
import { NO_NAMES } from "../scheme.ts";
import type { Scheme } from "../scheme.ts";
import { judgeClaim } from "../signature-claim.ts";
import type { Claim } from "../signature-claim.ts";
import { newWhsec, parseRaw } from "../signing-key.ts";
import type { SigningKey, TokenStyle } from "../style.ts";
import { failed, headerMissing } from "../verdict.ts";
import type { Failure } from "../verdict.ts";

/** `signing.token` where nothing is said. */
export const TOKEN_STYLE: TokenStyle = { field: "token", placement: "Body", separator: "|", algorithm: "SHA256", encoding: "Hex" };

/** A token over the time, in the body or a header: it proves who sent a request, not what. */
export const TIMESTAMP_TOKEN: Scheme = {
  needsKey: true,
  parseKey: parseRaw,
  newSecret: newWhsec,
  sign: ({ token }, keys, { timestampSec }) =>
    token?.placement !== "Header" || keys[0] === undefined ? [] : [[token.field, timestampToken(token, keys[0], timestampSec)]],
  ownHeaders: [],
  chosenHeaders: ({ token }) => (token?.placement === "Header" ? [token.field] : []),
  shownHeaders: NO_NAMES,
  unboundProof: ({ token }, keys, timestampSec) =>
    token === undefined || keys[0] === undefined ? undefined : timestampToken(token, keys[0], timestampSec),
  bodyField: ({ token }) => (token?.placement === "Body" ? token.field : undefined),
  verify: ({ token = TOKEN_STYLE }, request, judged) => judgeClaim(tokenClaim(token, request), judged),
  secretFault: rawKeyFault,
  proves: "sender",
  verifiedAs: ["token"],
  named: new Map([["token", { hmac: undefined, token: TOKEN_STYLE }]]),
  otherNames: [],
};

/** `<unix seconds><separator><hmac over the seconds>`, to stand in the body's or a header's field (Perculus). */
export function timestampToken(style: TokenStyle, key: SigningKey, timestampSec: number): string {
  const seconds = String(timestampSec);
  const mac = createHmac(HASHES[style.algorithm], key.key).update(seconds).digest(ENCODINGS[style.encoding]);
  return `${seconds}${style.separator}${mac}`;
}

/** What a request says under TimestampToken: it proves who sent it, not what. */
export function tokenClaim(style: TokenStyle, request: ReceivedRequest): Claim | Failure {
  const headers = headersByName(request.headers);
  const token = style.placement === "Header" ? headers[style.field.toLowerCase()] : bodyField(request.body, style.field);
  if (token === undefined && style.placement === "Header") return headerMissing(style.field, headers);
  if (token === undefined)
    return failed(
      "SignatureMalformed",
      `the body is neither a JSON object nor a form with a field '${style.field}' that holds the token`,
      "does the subscription place the token in a header, or in another field? `-f subscription.yaml` shows it",
    );
  const at = token.indexOf(style.separator);
  const [timestamp, mac] = [token.slice(0, Math.max(at, 0)), token.slice(at + style.separator.length)];
  if (at <= 0 || !new RegExp(`^${SPELLINGS[style.encoding]}$`).test(mac))
    return failed("SignatureMalformed", `the token in ${style.field} is not of the form <seconds>${style.separator}<hmac>`);
  const matches = (secret: Uint8Array): boolean | undefined => {
    const key = rawKey(secret);
    const given = [Buffer.from(mac, ENCODINGS[style.encoding])];
    return key && isOneOf(createHmac(HASHES[style.algorithm], key).update(timestamp).digest(), given);
  };
  const mismatch = `the token in ${style.field} does not match: a different secret was used`;
  return { ok: true, scheme: "token", id: headers["webhook-id"] ?? "", timestamp, keyForm: RAW_KEY_FORM, mismatch, matches };
}

/** A top-level string of a JSON object, or a form's parameter. */
function bodyField(body: Uint8Array, field: string): string | undefined {
  const found = scalarAt(body, [field]);
  if (found !== undefined) return found;
  const text = Buffer.from(body).toString("latin1");
  // The sender adds the token after what the form holds already.
  return /^[^={}[\]"\s]+=/.test(text) ? new URLSearchParams(text).getAll(field).at(-1) : undefined;
}
