import { createHash, createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { httpbis } from "http-message-signatures";
import { Webhook } from "standardwebhooks";
import type { HmacStyle, SigningKey } from "../../../src/core/signing/style.ts";
import type { SigningSpec } from "../../../src/core/subscription.ts";

/** A signed request as its receiver sees it; header names in lower case. */
export interface SignedRequest {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** How a receiver checks one scheme, as its provider's manual or library has it: nothing of ours takes part. */
export interface Recipe {
  readonly name: string;
  readonly signing: SigningSpec;
  readonly secret: string;
  /** The verifier reads the body as text. */
  readonly isText?: boolean;
  readonly genuine: (request: SignedRequest, signing: SigningKey) => boolean | Promise<boolean>;
}

const RAW = "it's a secret to everybody";
const WHSEC = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;
const WHSK = `whsk_${Buffer.alloc(32, 9).toString("base64")}`;
const TOLERANCE_SEC = 300;

const hmac = (style: Partial<HmacStyle> & { readonly header: string }): SigningSpec => ({
  scheme: "HMAC",
  secretRefs: [],
  token: undefined,
  hmac: {
    algorithm: "SHA256",
    encoding: "Hex",
    prefix: "",
    timestampHeader: undefined,
    signedContent: "{body}",
    value: "{prefix}{signature}",
    ...style,
  },
});
const plain = (scheme: SigningSpec["scheme"]): SigningSpec => ({ scheme, secretRefs: [], hmac: undefined, token: undefined });

function same(a: string, b: string | undefined): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b ?? "")];
  return left.length === right.length && timingSafeEqual(left, right);
}

function isFresh(seconds: string | undefined): boolean {
  return /^\d+$/.test(seconds ?? "") && Math.abs(Date.now() / 1_000 - Number(seconds)) <= TOLERANCE_SEC;
}

const mac = (...parts: readonly (string | Buffer)[]): Buffer => {
  const one = createHmac("sha256", RAW);
  for (const part of parts) one.update(part);
  return one.digest();
};

const standardWebhook = new Webhook(WHSEC);

export const RECIPES: readonly Recipe[] = [
  {
    // npm standardwebhooks.
    name: "Standard Webhooks v1",
    signing: plain("StandardWebhooks"),
    secret: WHSEC,
    isText: true,
    genuine: ({ headers, body }) => {
      try {
        standardWebhook.verify(body, headers);
        return true;
      } catch (error) {
        // `verify` also parses JSON, once the signature is right.
        return error instanceof SyntaxError;
      }
    },
  },
  {
    // The specification of Standard Webhooks, "Signature scheme", asymmetric.
    name: "Standard Webhooks v1a",
    signing: plain("StandardWebhooksEd25519"),
    secret: WHSK,
    genuine: ({ headers, body }, { key }) => {
      if (!isFresh(headers["webhook-timestamp"])) return false;
      const content = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
      const [, value] = /^v1a,([A-Za-z0-9+/]{86}==)$/.exec(headers["webhook-signature"] ?? "") ?? [];
      return value !== undefined && verify(null, content, createPublicKey(key), Buffer.from(value, "base64"));
    },
  },
  {
    // docs.github.com, "Validating webhook deliveries".
    name: "GitHub",
    signing: hmac({ header: "X-Hub-Signature-256", prefix: "sha256=" }),
    secret: RAW,
    genuine: ({ headers, body }) => same(`sha256=${mac(body).toString("hex")}`, headers["x-hub-signature-256"]),
  },
  {
    // shopify.dev, "Verify webhook deliveries".
    name: "Shopify",
    signing: hmac({ header: "X-Shopify-Hmac-Sha256", encoding: "Base64" }),
    secret: RAW,
    genuine: ({ headers, body }) => same(mac(body).toString("base64"), headers["x-shopify-hmac-sha256"]),
  },
  {
    // docs.stripe.com, "Verify webhook signatures manually".
    name: "Stripe",
    signing: hmac({ header: "Stripe-Signature", signedContent: "{timestamp}.{body}", value: "t={timestamp},v1={signature}" }),
    secret: RAW,
    genuine: ({ headers, body }) => {
      const elements = (headers["stripe-signature"] ?? "").split(",").map((element) => element.split("="));
      const time = elements.find(([prefix]) => prefix === "t")?.[1];
      const expected = mac(`${time}.`, body).toString("hex");
      return isFresh(time) && elements.some(([prefix, value]) => prefix === "v1" && same(expected, value));
    },
  },
  {
    // api.slack.com, "Verifying requests from Slack".
    name: "Slack",
    signing: hmac({
      header: "X-Slack-Signature",
      prefix: "v0=",
      timestampHeader: "X-Slack-Request-Timestamp",
      signedContent: "v0:{timestamp}:{body}",
    }),
    secret: RAW,
    genuine: ({ headers, body }) => {
      const time = headers["x-slack-request-timestamp"];
      return isFresh(time) && same(`v0=${mac(`v0:${time}:`, body).toString("hex")}`, headers["x-slack-signature"]);
    },
  },
  {
    // npm http-message-signatures for RFC 9421; the digest of RFC 9530 by hand.
    name: "HTTP Message Signatures",
    signing: plain("HTTPMessageSignatures"),
    secret: WHSEC,
    genuine: async ({ url, headers, body }, { key }) => {
      if (headers["content-digest"] !== `sha-256=:${createHash("sha256").update(body).digest("base64")}:`) return false;
      const check = (data: Buffer, signature: Buffer): boolean => createHmac("sha256", key).update(data).digest().equals(signature);
      try {
        const verifying = { algs: ["hmac-sha256"], verify: async (data: Buffer, signature: Buffer) => check(data, signature) };
        const requiredFields = ["@method", "@authority", "@path", "@query", "content-digest", "webhook-id"];
        const config = { keyLookup: async () => verifying, requiredFields, requiredParams: ["created"], maxAge: TOLERANCE_SEC };
        return (await httpbis.verifyMessage(config, { method: "POST", url, headers })) === true;
      } catch {
        return false;
      }
    },
  },
];
