import type { HmacStyle, SigningSpec, TokenStyle } from "../subscription.ts";

const PLAIN: Omit<HmacStyle, "header"> = {
  algorithm: "SHA256",
  encoding: "Hex",
  prefix: "",
  timestampHeader: undefined,
  signedContent: "{body}",
  value: "{prefix}{signature}",
};

/** `signing.token` where nothing is said. */
export const TOKEN_STYLE: TokenStyle = { field: "token", placement: "Body", separator: "|", algorithm: "SHA256", encoding: "Hex" };

const hmac = (style: Partial<HmacStyle> & Pick<HmacStyle, "header">): SigningSpec => ({
  scheme: "HMAC",
  secretRefs: [],
  hmac: { ...PLAIN, ...style },
  token: undefined,
});
const plain = (scheme: SigningSpec["scheme"]): SigningSpec => ({ scheme, secretRefs: [], hmac: undefined, token: undefined });

/** An HMAC style with what the schema fills in. */
export function hmacSigning(style: Partial<HmacStyle> & Pick<HmacStyle, "header">): SigningSpec {
  return hmac(style);
}

/** The HMAC styles that docs/receivers.md names, each as its provider's manual has it. */
export const HMAC_STYLES: ReadonlyMap<string, SigningSpec> = new Map([
  ["github", hmac({ header: "X-Hub-Signature-256", prefix: "sha256=" })],
  ["shopify", hmac({ header: "X-Shopify-Hmac-Sha256", encoding: "Base64" })],
  ["stripe", hmac({ header: "Stripe-Signature", signedContent: "{timestamp}.{body}", value: "t={timestamp},v1={signature}" })],
  [
    "slack",
    hmac({
      header: "X-Slack-Signature",
      prefix: "v0=",
      timestampHeader: "X-Slack-Request-Timestamp",
      signedContent: "v0:{timestamp}:{body}",
    }),
  ],
]);

/** Every way of signing that has a name: the styles, and the schemes that need no more than their name. */
export const NAMED_SIGNINGS: ReadonlyMap<string, SigningSpec> = new Map([
  ["standard", plain("StandardWebhooks")],
  ["ed25519", plain("StandardWebhooksEd25519")],
  ...HMAC_STYLES,
  ["token", { ...plain("TimestampToken"), token: TOKEN_STYLE }],
  ["http-message", plain("HTTPMessageSignatures")],
  ["none", plain("None")],
]);

/** The same by the words of `signing.scheme` and by other usual ones, lower case. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ["standardwebhooks", "standard"],
  ["standard-webhooks", "standard"],
  ["standardwebhooksed25519", "ed25519"],
  ["timestamptoken", "token"],
  ["httpmessagesignatures", "http-message"],
  ["http-message-signatures", "http-message"],
  ["rfc9421", "http-message"],
]);

/** How a scheme signs, by name in any case; undefined for one that is not known, and for HMAC, which says too little. */
export function namedSigning(name: string): SigningSpec | undefined {
  const lower = name.toLowerCase();
  return NAMED_SIGNINGS.get(OTHER_NAMES.get(lower) ?? lower);
}
