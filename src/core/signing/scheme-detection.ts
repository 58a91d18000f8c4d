import { scanJson, jsonString } from "../json-scan.ts";
import { headersByName } from "./received-request.ts";
import type { HeadersByName, ReceivedRequest } from "./received-request.ts";
import type { SigningSpec } from "../subscription.ts";
import { hmacClaim } from "./schemes/hmac.ts";
import { TOKEN_STYLE } from "./schemes/timestamp-token.ts";
import { hmacSigning, NAMED_SIGNINGS, namedSigning } from "./signing-styles.ts";
import type { HmacStyle } from "./style.ts";

/** How a request seems to be signed. `isSure`: by a header that only this scheme has, so that a mismatch says something. */
export interface Detected {
  readonly signing: SigningSpec;
  readonly isSure: boolean;
}

const ALGORITHMS: ReadonlyMap<number, HmacStyle["algorithm"]> = new Map([
  [20, "SHA1"],
  [32, "SHA256"],
  [64, "SHA512"],
]);
const TOKEN = /^(\d{9,11})([!-/:-@[-`{-~]{1,8})([0-9A-Fa-f]{40,128}|[A-Za-z0-9+/]{27,86}={0,2})$/;
/** What may be a MAC of 20, 32 or 64 bytes, wherever it stands in a value. */
const MAC =
  /(?<![A-Za-z0-9+/_-])([0-9A-Fa-f]{128}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{27}=)(?![A-Za-z0-9+/=_-])/;
/** Long random values of another meaning. */
const NOT_SIGNATURES = /^(authorization|proxy-authorization|content-digest|repr-digest|digest|cookie|etag|if-.*|traceparent|tracestate)$/;

/** The ways in which a request may be signed, the surest first; empty where nothing about it looks like a signature. */
export function detectSignings(request: ReceivedRequest): readonly Detected[] {
  const headers = headersByName(request.headers);
  const sure = (signing: SigningSpec | undefined): Detected[] => (signing === undefined ? [] : [{ signing, isSure: true }]);
  if (headers["signature-input"] !== undefined) return sure(namedSigning("http-message"));
  // A style of one's own may be written into this header too.
  if (/(^|[\s])v1a?,/.test(headers["webhook-signature"] ?? "")) return sure(namedSigning("standard"));
  const named = [...NAMED_SIGNINGS.values()].filter(({ hmac }) => hmac !== undefined && headers[hmac.header.toLowerCase()] !== undefined);
  const found = [
    ...named.map((signing) => ({ signing, isSure: signing.hmac !== undefined && hmacClaim(signing.hmac, request).ok })),
    ...guesses(headers),
    ...tokens(headers, request.body),
  ];
  // Half of Standard Webhooks: a proxy has dropped the other.
  return found.length === 0 && headers["webhook-timestamp"] !== undefined ? sure(namedSigning("standard")) : found;
}

/** An HMAC of the body in some header: if it matches it is genuine, and if not nothing is said. */
function guesses(headers: HeadersByName): Detected[] {
  return Object.entries(headers).flatMap(([header, value]) => {
    const found = NOT_SIGNATURES.test(header) || TOKEN.test(value) ? null : MAC.exec(value);
    if (found === null) return [];
    const mac = found[1] ?? "";
    const encoding = isHex(mac) ? "Hex" : "Base64";
    const algorithm = ALGORITHMS.get(Buffer.from(mac, encoding === "Hex" ? "hex" : "base64").length) ?? "SHA256";
    return [{ signing: hmacSigning({ header, algorithm, encoding, prefix: value.slice(0, found.index) }), isSure: false }];
  });
}

function tokens(headers: HeadersByName, body: Uint8Array): Detected[] {
  const inHeaders = Object.entries(headers).map(([field, value]) => ({ field, value, placement: "Header" as const }));
  const inBody = bodyFields(body).map(([field, value]) => ({ field, value, placement: "Body" as const }));
  return [...inBody, ...inHeaders].flatMap(({ field, value, placement }) => {
    const [, , separator = "", mac = ""] = TOKEN.exec(value) ?? [];
    const encoding = isHex(mac) ? "Hex" : "Base64";
    const algorithm = ALGORITHMS.get(Buffer.from(mac, encoding === "Hex" ? "hex" : "base64").length);
    if (algorithm === undefined) return [];
    const token = { ...TOKEN_STYLE, field, placement, separator, algorithm, encoding } as const;
    return [{ signing: { scheme: "TimestampToken", secretRefs: [], hmac: undefined, token }, isSure: false } as const];
  });
}

function bodyFields(body: Uint8Array): (readonly [string, string])[] {
  const scan = scanJson(body, 1);
  if (scan.ok)
    return scan.root.members
      .filter(({ value }) => value.kind === "string")
      .map(({ key, value }) => [key, jsonString(body, value)] as const);
  const text = Buffer.from(body).toString("latin1");
  return /^[^={}[\]"\s]+=/.test(text) ? [...new URLSearchParams(text)] : [];
}

function isHex(mac: string): boolean {
  return /^([0-9A-Fa-f]{2})+$/.test(mac) && ALGORITHMS.has(mac.length / 2);
}
