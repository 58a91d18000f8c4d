import { createHmac, createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { timestampToken } from "../../../src/core/signing/schemes/timestamp-token.ts";
import { parseKey, signatureHeaders as signedWith } from "../../../src/core/signing/sign.ts";
import type { SigningScheme } from "../../../src/core/signing/scheme-registry.ts";
import type { HmacStyle, SigningKey } from "../../../src/core/signing/style.ts";
import type { SigningSpec } from "../../../src/core/subscription.ts";
import { WHSEC } from "../../support/delivery/attempt-input.ts";

function key(scheme: SigningScheme, secret: string): SigningKey {
  const parsed = parseKey(scheme, Buffer.from(secret));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.key;
}
const spec = (scheme: SigningScheme, hmac?: HmacStyle): SigningSpec => ({ scheme, secretRefs: [], hmac, token: undefined });
/** Schemes that look at the body alone. */
const signatureHeaders = (
  signing: SigningSpec,
  keys: readonly SigningKey[],
  input: { id: string; timestampSec: number; body: Uint8Array },
) => signedWith(signing, keys, { ...input, url: "https://r.test/", contentType: undefined });
const standard = spec("StandardWebhooks");

describe("Standard Webhooks", () => {
  test("the spec's own vector", () => {
    const input = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestampSec: 1_614_265_330, body: Buffer.from('{"test": 2432232314}') };
    expect(signatureHeaders(standard, [key("StandardWebhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], input)).toEqual([
      ["webhook-timestamp", "1614265330"],
      ["webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
    ]);
  });

  test("an independent verifier takes every body and no changed one", () => {
    const now = Math.floor(Date.now() / 1_000);
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 300 }), fc.nat(), (text, at) => {
        const body = Buffer.from(text);
        const headers = Object.fromEntries([
          ["webhook-id", "msg_1"],
          ...signatureHeaders(standard, [key("StandardWebhooks", WHSEC)], { id: "msg_1", timestampSec: now, body }),
        ]);
        const verifier = new Webhook(WHSEC);
        const check = (bytes: Buffer): void => verifySignatureOnly(verifier, bytes, headers);
        expect(() => check(body)).not.toThrow();
        const changed = Buffer.from(body);
        changed[at % changed.length]! ^= 1;
        expect(() => check(changed)).toThrow();
      }),
      { numRuns: 300 },
    );
  });

  test("all keys sign, listed first first", () => {
    const other = `whsec_${Buffer.alloc(24, 1).toString("base64")}`;
    const input = { id: "a", timestampSec: 1, body: Buffer.from("x") };
    const [, [, both]] = signatureHeaders(standard, [key("StandardWebhooks", WHSEC), key("StandardWebhooks", other)], input) as [
      unknown,
      [string, string],
    ];
    const [, [, first]] = signatureHeaders(standard, [key("StandardWebhooks", WHSEC)], input) as [unknown, [string, string]];
    expect(both.split(" ")).toHaveLength(2);
    expect(both.split(" ")[0]).toBe(first);
  });

  test("Ed25519 verifies with the public key", () => {
    const signing = key("StandardWebhooksEd25519", `whsk_${Buffer.alloc(32, 9).toString("base64")}`);
    const [, [, value]] = signatureHeaders(spec("StandardWebhooksEd25519"), [signing], {
      id: "a",
      timestampSec: 7,
      body: Buffer.from("xy"),
    }) as [unknown, [string, string]];
    expect(value).toMatch(/^v1a,/);
    expect(verify(null, Buffer.from("a.7.xy"), createPublicKey(signing.key), Buffer.from(value.slice(4), "base64"))).toBe(true);
  });
});

function verifySignatureOnly(verifier: Webhook, bytes: Buffer, headers: Record<string, string>): void {
  // `verify` also parses JSON; the signature of arbitrary bytes is what counts here.
  try {
    verifier.verify(bytes, headers);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
}

describe("HMAC styles", () => {
  const secret = "0123456789abcdef";
  const base: HmacStyle = {
    algorithm: "SHA256",
    encoding: "Hex",
    header: "X-Sig",
    prefix: "",
    timestampHeader: undefined,
    signedContent: "{body}",
    value: "{prefix}{signature}",
  };
  const body = Buffer.from('{"a":"{timestamp}{signature}"}');
  const mac = (content: string, algorithm = "sha256", encoding: "hex" | "base64" = "hex"): string =>
    createHmac(algorithm, secret).update(content).digest(encoding);

  test.each([
    ["GitHub", { prefix: "sha256=" }, [["X-Sig", `sha256=${mac(body.toString())}`]]],
    ["Shopify", { encoding: "Base64" as const }, [["X-Sig", mac(body.toString(), "sha256", "base64")]]],
    [
      "Stripe",
      { signedContent: "{timestamp}.{body}", value: "t={timestamp},v1={signature}" },
      [["X-Sig", `t=99,v1=${mac(`99.${body.toString()}`)}`]],
    ],
    [
      "Slack",
      { prefix: "v0=", signedContent: "v0:{timestamp}:{body}", timestampHeader: "X-Time" },
      [
        ["X-Sig", `v0=${mac(`v0:99:${body.toString()}`)}`],
        ["X-Time", "99"],
      ],
    ],
    ["SHA512 over the id", { algorithm: "SHA512" as const, signedContent: "{id}" }, [["X-Sig", mac("ev", "sha512")]]],
  ])("%s", (_name, style, headers) => {
    expect(signatureHeaders(spec("HMAC", { ...base, ...style }), [key("HMAC", secret)], { id: "ev", timestampSec: 99, body })).toEqual(
      headers,
    );
  });

  test("a timestamp token", () => {
    const style = { field: "token", placement: "Header" as const, separator: "|", algorithm: "SHA256" as const, encoding: "Hex" as const };
    expect(timestampToken(style, key("TimestampToken", secret), 99)).toBe(`99|${mac("99")}`);
    expect(
      signatureHeaders({ ...spec("TimestampToken"), token: style }, [key("TimestampToken", secret)], { id: "ev", timestampSec: 99, body }),
    ).toEqual([["token", `99|${mac("99")}`]]);
  });
});

describe("keys", () => {
  const base64 = (bytes: number): string => Buffer.alloc(bytes, 200).toString("base64");
  test.each([
    ["StandardWebhooks", `whsec_${base64(24)}`, true],
    ["StandardWebhooks", `whsec_${base64(64)}\n`, true],
    ["StandardWebhooks", `whsec_${base64(23)}`, false],
    ["StandardWebhooks", `whsec_${base64(65)}`, false],
    ["StandardWebhooks", base64(32), false],
    ["StandardWebhooks", `whsec_ ${base64(32)}`, false],
    ["StandardWebhooks", "whsec_", false],
    ["StandardWebhooks", "", false],
    ["StandardWebhooksEd25519", `whsk_${base64(64)}`, true],
    ["StandardWebhooksEd25519", `whsk_${base64(31)}`, false],
    ["StandardWebhooksEd25519", `whsec_${base64(32)}`, false],
    ["HMAC", "0123456789abcdef", true],
    ["HMAC", "0123456789abcde\n", false],
    ["TimestampToken", "short", false],
    ["HTTPMessageSignatures", `whsec_${base64(24)}`, true],
    ["HTTPMessageSignatures", `whsec_${base64(8)}`, false],
    ["HTTPMessageSignatures", `whsk_${base64(32)}`, true],
    ["HTTPMessageSignatures", `whsk_${base64(30)}`, false],
    ["HTTPMessageSignatures", `whpk_${base64(32)}`, false],
    ["HTTPMessageSignatures", "0123456789abcdef", true],
    ["HTTPMessageSignatures", "0123456789abcde", false],
    ["None", "0123456789abcdef", false],
  ] as const)("%s %# usable: %s", (scheme, secret, usable) => {
    const parsed = parseKey(scheme, Buffer.from(secret));
    expect(parsed.ok).toBe(usable);
    if (!parsed.ok && secret.length > 6) expect(JSON.stringify(parsed.problem)).not.toContain(secret.slice(6, 20));
  });
});
