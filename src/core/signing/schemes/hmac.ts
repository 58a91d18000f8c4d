import { createHmac } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { ENCODINGS, HASHES, isOneOf, SPELLINGS } from "../mac.ts";
import { headersByName } from "../received-request.ts";
import type { ReceivedRequest } from "../received-request.ts";
import { RAW_KEY_FORM, rawKey, rawKeyFault } from "../receiver-key.ts";
import { NO_NAMES, nothing } from "../scheme.ts";
import type { Scheme, SignedHeader, SignInput } from "../scheme.ts";
import { judgeClaim } from "../signature-claim.ts";
import type { Claim } from "../signature-claim.ts";
import { newWhsec, parseRaw } from "../signing-key.ts";
import type { HmacStyle, SigningStyle } from "../style.ts";
import { failed, headerMissing, schemeUnknown } from "../verdict.ts";
import type { Failure } from "../verdict.ts";

const PLAIN: Omit<HmacStyle, "header"> = {
  algorithm: "SHA256",
  encoding: "Hex",
  prefix: "",
  timestampHeader: undefined,
  signedContent: "{body}",
  value: "{prefix}{signature}",
};

/** An HMAC style with what the schema fills in. */
export function hmacStyle(style: Partial<HmacStyle> & Pick<HmacStyle, "header">): SigningStyle {
  return { hmac: { ...PLAIN, ...style }, token: undefined };
}

/** The HMAC styles that docs/receivers.md names, each as its provider's manual has it. */
const PROVIDERS: ReadonlyMap<string, SigningStyle> = new Map([
  ["github", hmacStyle({ header: "X-Hub-Signature-256", prefix: "sha256=" })],
  ["shopify", hmacStyle({ header: "X-Shopify-Hmac-Sha256", encoding: "Base64" })],
  ["stripe", hmacStyle({ header: "Stripe-Signature", signedContent: "{timestamp}.{body}", value: "t={timestamp},v1={signature}" })],
  [
    "slack",
    hmacStyle({
      header: "X-Slack-Signature",
      prefix: "v0=",
      timestampHeader: "X-Slack-Request-Timestamp",
      signedContent: "v0:{timestamp}:{body}",
    }),
  ],
]);

/** An HMAC over the body, written as the subscription's `signing.hmac` says. */
export const HMAC: Scheme = {
  needsKey: true,
  parseKey: parseRaw,
  newSecret: newWhsec,
  sign: ({ hmac }, keys, input) => (hmac === undefined || keys[0] === undefined ? [] : hmacHeaders(hmac, keys[0].key, input)),
  ownHeaders: [],
  chosenHeaders: ({ hmac }) => [hmac?.header, hmac?.timestampHeader].filter((name) => name !== undefined),
  shownHeaders: NO_NAMES,
  unboundProof: nothing,
  bodyField: nothing,
  verify: ({ hmac }, request, judged) =>
    hmac === undefined
      ? schemeUnknown("scheme HMAC is ambiguous: it says neither which header nor how the signature is made")
      : judgeClaim(hmacClaim(hmac, request), judged),
  secretFault: rawKeyFault,
  proves: "sender and body",
  verifiedAs: ["hmac"],
  named: PROVIDERS,
  otherNames: [],
};

function hmacHeaders(style: HmacStyle, key: KeyObject, input: SignInput): readonly SignedHeader[] {
  const timestamp = String(input.timestampSec);
  const hmac = createHmac(HASHES[style.algorithm], key);
  // The template is walked rather than filled: the body is bytes, and what it holds is never taken for a placeholder.
  for (const part of style.signedContent.split(/(\{body\}|\{timestamp\}|\{id\})/)) {
    if (part === "{body}") hmac.update(input.body);
    else if (part === "{timestamp}") hmac.update(timestamp);
    else if (part === "{id}") hmac.update(input.id);
    else if (part !== "") hmac.update(part);
  }
  const signature = hmac.digest(ENCODINGS[style.encoding]);
  const values: Readonly<Record<string, string>> = { "{prefix}": style.prefix, "{signature}": signature, "{timestamp}": timestamp };
  const value = style.value.replace(/\{prefix\}|\{signature\}|\{timestamp\}/g, (name) => values[name] ?? name);
  const headers: SignedHeader[] = [[style.header, value]];
  if (style.timestampHeader !== undefined) headers.push([style.timestampHeader, timestamp]);
  return headers;
}

/** What a request says under a style of `signing.hmac`. */
export function hmacClaim(style: HmacStyle, request: ReceivedRequest): Claim | Failure {
  const headers = headersByName(request.headers);
  const value = headers[style.header.toLowerCase()];
  if (value === undefined) return headerMissing(style.header, headers);
  const parts = valueParts(style, value);
  if (parts.signatures.length === 0)
    return failed(
      "SignatureMalformed",
      `the header ${style.header} is not of the form ${form(style)}: it is '${value.slice(0, 12)}…'`,
      "is it another style or notation? `--scheme` names the usual styles, `-f subscription.yaml` uses the subscription's own",
    );
  const { timestampHeader, signedContent } = style;
  const timestamp = timestampHeader === undefined ? parts.timestamp : headers[timestampHeader.toLowerCase()];
  if (timestamp === undefined && timestampHeader !== undefined) return headerMissing(timestampHeader, headers);
  if (timestamp === undefined && signedContent.includes("{timestamp}"))
    return failed(
      "SchemeUnknown",
      "the style signs the time but does not send it, so receivers cannot check the signature",
      "set timestampHeader",
    );
  const id = headers["webhook-id"] ?? "";
  const matches = (secret: Uint8Array, body: Uint8Array): boolean | undefined => {
    const key = rawKey(secret);
    if (key === undefined) return undefined;
    const hmac = createHmac(HASHES[style.algorithm], key);
    for (const part of signedContent.split(/(\{body\}|\{timestamp\}|\{id\})/)) {
      if (part === "{body}") hmac.update(body);
      else if (part === "{timestamp}") hmac.update(timestamp ?? "");
      else hmac.update(part === "{id}" ? id : part);
    }
    return isOneOf(hmac.digest(), parts.signatures);
  };
  const mismatch = `${style.header} does not match: a different secret was used, or the body's bytes were changed on the way (parsed and serialized again, a line end added, another charset)`;
  return { ok: true, scheme: "hmac", id, timestamp, keyForm: RAW_KEY_FORM, mismatch, matches };
}

function form({ value, prefix, encoding }: HmacStyle): string {
  return value.replace("{prefix}", prefix).replace("{signature}", `<${encoding.toLowerCase()}>`).replace("{timestamp}", "<seconds>");
}

interface ValueParts {
  readonly timestamp: string | undefined;
  readonly signatures: readonly Buffer[];
}

/** A value of elements (`t=…,v1=…`) may have more of them, in any order and repeated, as Stripe's own has; any other is as the template. */
function valueParts(style: HmacStyle, value: string): ValueParts {
  const whole = style.value.replaceAll("{prefix}", style.prefix);
  const isList = whole.split(",").length > 1 && whole.split(",").every((element) => element.includes("="));
  const elements = isList ? value.split(",") : [value];
  let timestamp: string | undefined;
  const signatures: Buffer[] = [];
  for (const template of isList ? whole.split(",") : [whole]) {
    const pattern = new RegExp(`^\\s*${patternOf(template, style)}\\s*$`);
    for (const element of elements) {
      const groups = pattern.exec(element)?.groups;
      if (groups === undefined) continue;
      timestamp ??= groups["timestamp"];
      if (groups["signature"] !== undefined) signatures.push(Buffer.from(groups["signature"], ENCODINGS[style.encoding]));
    }
  }
  return { timestamp, signatures };
}

/** Only the first of each placeholder is read; a repeated one must be the same. */
function patternOf(template: string, { encoding }: HmacStyle): string {
  const seen = new Set<string>();
  const parts = template.split(/\{(signature|timestamp)\}/).map((part, at) => {
    if (at % 2 === 0) return part.replaceAll(/[$()*+./?[\\\]^{|}-]/g, "\\$&");
    if (seen.has(part)) return `\\k<${part}>`;
    seen.add(part);
    return `(?<${part}>${part === "signature" ? SPELLINGS[encoding] : "\\d{1,13}"})`;
  });
  return parts.join("");
}
