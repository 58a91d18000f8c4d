import { createHmac, timingSafeEqual } from "node:crypto";
import { scalarAt } from "../payload.ts";
import { rawKey } from "./receiver-key.ts";
import { headersByName } from "./received-request.ts";
import type { ReceivedRequest } from "./received-request.ts";
import type { Claim } from "./signature-claim.ts";
import type { HmacStyle, TokenStyle } from "../subscription.ts";
import type { Failure } from "./verdict.ts";
import { failed, headerMissing } from "./verdict.ts";

export const HASHES = { SHA256: "sha256", SHA512: "sha512", SHA1: "sha1" } as const;
const ENCODINGS = { Hex: "hex", Base64: "base64" } as const;
const SPELLINGS = { Hex: "[0-9A-Fa-f]+", Base64: "[A-Za-z0-9+/_-]+={0,2}" } as const;
const KEY_FORM = "a key of at least 16 bytes (the Secret's bytes as they are)";

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
  return { ok: true, scheme: "hmac", id, timestamp, keyForm: KEY_FORM, mismatch, matches };
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
  return { ok: true, scheme: "token", id: headers["webhook-id"] ?? "", timestamp, keyForm: KEY_FORM, mismatch, matches };
}

/** A top-level string of a JSON object, or a form's parameter. */
export function bodyField(body: Uint8Array, field: string): string | undefined {
  const found = scalarAt(body, [field]);
  if (found !== undefined) return found;
  const text = Buffer.from(body).toString("latin1");
  // The sender adds the token after what the form holds already.
  return /^[^={}[\]"\s]+=/.test(text) ? new URLSearchParams(text).getAll(field).at(-1) : undefined;
}

function isOneOf(expected: Buffer, given: readonly Buffer[]): boolean {
  return given.some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected));
}
