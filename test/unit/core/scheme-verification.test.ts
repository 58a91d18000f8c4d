import { createPublicKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withBodyToken } from "../../../src/core/payload.ts";
import { publicKeyForms } from "../../../src/core/signing/receiver-key.ts";
import type { ReceivedRequest } from "../../../src/core/signing/received-request.ts";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import { hmacSigning, namedSigning, NAMED_SIGNINGS } from "../../../src/core/signing/signing-styles.ts";
import { timestampToken, TOKEN_STYLE } from "../../../src/core/signing/schemes/timestamp-token.ts";
import type { TokenStyle } from "../../../src/core/signing/style.ts";
import type { SigningSpec } from "../../../src/core/subscription.ts";
import { secretFault, verifyRequest } from "../../../src/core/signing/verify.ts";
import { RECIPES } from "../../support/signing/recipes.ts";

const NOW_SEC = 1_767_225_600;
const NOW_MS = NOW_SEC * 1_000;
const URL_SENT = "https://r.test/hooks?a=1";
const RAW = "it's a secret to everybody";
const WHSEC = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;
const WHSK = `whsk_${Buffer.alloc(32, 9).toString("base64")}`;
const BODY = Buffer.from('{"type":"order.paid","data":{"n": 1.50,"name":"Zoë \\u00fc/x"}}');

const token = (style: Partial<TokenStyle>): SigningSpec => ({
  scheme: "TimestampToken",
  secretRefs: [],
  hmac: undefined,
  token: { ...TOKEN_STYLE, ...style },
});

/** A request exactly as the sender makes it. */
function sent(signing: SigningSpec, secret: string, body: Buffer = BODY, contentType = "application/json"): ReceivedRequest {
  const parsed = parseKey(signing.scheme, Buffer.from(secret));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  const payload = { contentType, body, headers: [] };
  const placed =
    signing.token?.placement === "Body" && withBodyToken(payload, signing.token.field, timestampToken(signing.token, parsed.key, NOW_SEC));
  const bytes = placed === undefined || placed === false ? body : Buffer.from(placed.body);
  const input = { id: "evt-1", timestampSec: NOW_SEC, body: bytes, url: URL_SENT, contentType };
  const headers = {
    "webhook-id": "evt-1",
    "content-type": contentType,
    ...Object.fromEntries(signatureHeaders(signing, [parsed.key], input)),
  };
  return { headers, body: bytes, url: URL_SENT };
}

const WAYS: readonly (readonly [string, SigningSpec, string])[] = [
  ...RECIPES.map(({ name, signing, secret }) => [name, signing, secret] as const),
  ["HTTP Message Signatures, Ed25519", namedSigning("http-message")!, WHSK],
  ["HTTP Message Signatures, raw text", namedSigning("http-message")!, RAW],
  ["HMAC of one's own header", hmacSigning({ header: "X-Acme-Signature" }), RAW],
  ["HMAC, SHA512 in base64 with a prefix", hmacSigning({ header: "X-Sig", algorithm: "SHA512", encoding: "Base64", prefix: "v2=" }), RAW],
  ["HMAC, SHA1", hmacSigning({ header: "X-Hub-Signature", algorithm: "SHA1", prefix: "sha1=" }), RAW],
  ["HMAC with a whsec_ text as it is", hmacSigning({ header: "X-Hub-Signature-256", prefix: "sha256=" }), WHSEC],
  ["HMAC with a line end in the key", hmacSigning({ header: "X-Acme-Signature" }), `${RAW}\n`],
  ["HMAC with spaces in the key", hmacSigning({ header: "X-Acme-Signature" }), `  ${RAW}  `],
  ["TimestampToken in the body", token({}), RAW],
  ["TimestampToken in a header", token({ placement: "Header", field: "X-Token", separator: ":" }), RAW],
  ["TimestampToken in base64", token({ field: "auth", separator: "::", encoding: "Base64", algorithm: "SHA512" }), RAW],
];

/** Styles over more than the body must be named. */
const MUST_BE_NAMED: readonly (readonly [string, SigningSpec])[] = [
  ["time and id in the content", hmacSigning({ header: "X-Sig", signedContent: "{id}.{timestamp}.{body}", timestampHeader: "X-Time" })],
  [
    "a value in angle brackets",
    hmacSigning({ header: "X-Proof", value: "<{timestamp};{signature}>", signedContent: "{timestamp}|{body}" }),
  ],
];

const receiverKey = (secret: string): string => publicKeyForms(Buffer.from(secret))?.whpk ?? secret;
const verify = (signing: SigningSpec | undefined, secret: string, request: ReceivedRequest, nowMs = NOW_MS) =>
  verifyRequest({ signing, secrets: [Buffer.from(secret)] }, request, nowMs);

describe("a genuine request", () => {
  it.each(WAYS)("is genuine when the scheme is named, and when it is told from the request: %s", (_name, signing, secret) => {
    const request = sent(signing, secret);
    for (const one of [signing, undefined]) {
      expect(verify(one, receiverKey(secret), request)).toMatchObject({ ok: true, id: "evt-1" });
      expect(verify(one, secret, request)).toMatchObject({ ok: true });
      // Header names in any case, and others beside them.
      const shouted = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name.toUpperCase(), value]));
      expect(verify(one, secret, { ...request, headers: { ...shouted, "x-request-signature-key": "", via: "1.1 p" } })).toMatchObject({
        ok: true,
      });
    }
  });

  it.each(MUST_BE_NAMED)("is never called false where its style is not named: %s", (_name, signing) => {
    const request = sent(signing, RAW);
    expect(verify(signing, RAW, request)).toMatchObject({ ok: true, scheme: "hmac", timestampSec: NOW_SEC });
    expect(verify(undefined, RAW, request)).toMatchObject({ ok: false, reason: "SchemeUnknown" });
  });

  it("may carry the token in a form", () => {
    const request = sent(token({}), RAW, Buffer.from("payload=%7B%7D&token=old"), "application/x-www-form-urlencoded");
    for (const signing of [token({}), undefined]) expect(verify(signing, RAW, request)).toMatchObject({ ok: true, scheme: "token" });
  });

  it("may carry more elements than the style has (Stripe's own: v0, and v1 twice while keys change)", () => {
    const stripe = namedSigning("stripe")!;
    const request = sent(stripe, RAW);
    const [time, v1] = String(request.headers["Stripe-Signature"]).split(",");
    const headers = { ...request.headers, "Stripe-Signature": `${time},v1=${"0".repeat(64)},${v1},v0=${"1".repeat(64)}` };
    expect(verify(stripe, RAW, { ...request, headers })).toMatchObject({ ok: true, timestampSec: NOW_SEC });
  });

  it("is genuine by any one of several keys", () => {
    const github = namedSigning("github")!;
    const secrets = ["another key of some length", RAW].map((text) => Buffer.from(text));
    expect(verifyRequest({ signing: github, secrets }, sent(github, RAW), NOW_MS)).toMatchObject({ ok: true });
  });

  it("whatever its body is, under every scheme", () => {
    fc.assert(
      fc.property(fc.constantFrom(...WAYS), fc.uint8Array({ maxLength: 200 }), ([, signing, secret], bytes) => {
        const body =
          signing.token === undefined ? Buffer.from(bytes) : Buffer.from(JSON.stringify({ x: Buffer.from(bytes).toString("hex") }));
        const request = sent(signing, secret, body);
        expect(verify(signing, secret, request)).toMatchObject({ ok: true });
        const changed = Buffer.concat([request.body, Buffer.from("x")]);
        if (signing.token === undefined) expect(verify(signing, secret, { ...request, body: changed })).toMatchObject({ ok: false });
      }),
      { numRuns: 200 },
    );
  });
});

describe("a request that is not genuine", () => {
  const OTHER = `whsec_${Buffer.alloc(32, 6).toString("base64")}`;
  it.each(WAYS)("is not with another key: %s", (_name, signing, secret) => {
    const other = secret.startsWith("whsk_") ? receiverKey(`whsk_${Buffer.alloc(32, 8).toString("base64")}`) : OTHER;
    const verdict = verify(signing, other, sent(signing, secret));
    expect(verdict).toMatchObject({ ok: false, reason: "SignatureMismatch" });
    expect(JSON.stringify(verdict)).not.toContain(other.slice(7));
    expect(verify(undefined, other, sent(signing, secret)).ok).toBe(false);
  });

  it.each(WAYS)("is not when it is old, and the words say whether the signature is right: %s", (_name, signing, secret) => {
    const verdict = verify(signing, secret, sent(signing, secret), NOW_MS + 3_600_000);
    const hasTime = !(signing.hmac !== undefined && !`${signing.hmac.value}${signing.hmac.timestampHeader}`.match(/timestamp|Time/));
    if (!hasTime) return expect(verdict.ok).toBe(true);
    expect(verdict).toMatchObject({ ok: false, reason: "TimestampTooOld" });
    expect(verdict.ok ? "" : verdict.message).toContain("the signature itself matches");
    return expect(verdict.ok ? "" : verdict.hint).toContain("multiple of half an hour");
  });

  it("is unsigned: nothing in it looks like a signature", () => {
    const request = { headers: { "webhook-id": "a", "content-type": "application/json" }, body: BODY };
    expect(verify(undefined, RAW, request)).toMatchObject({ ok: false, reason: "HeaderMissing" });
    for (const [name, signing] of NAMED_SIGNINGS) {
      const reason = name === "none" ? "NotSigned" : name === "token" ? "SignatureMalformed" : "HeaderMissing";
      expect(verify(signing, RAW, { ...request, url: URL_SENT })).toMatchObject({ ok: false, reason });
    }
  });
});

describe("the usual mistakes", () => {
  const github = namedSigning("github")!;
  const standard = namedSigning("standard")!;
  const pretty = Buffer.from(JSON.stringify(JSON.parse(BODY.toString()), null, 2));
  const decoded = Buffer.from(WHSEC.slice(6), "base64");
  it.each<[string, SigningSpec, string, string | Buffer, Buffer | undefined, RegExp]>([
    ["a line end after the body", github, RAW, RAW, Buffer.from(`${BODY.toString()}\n`), /without the line end after it/],
    ["CRLF after the body", standard, WHSEC, WHSEC, Buffer.from(`${BODY.toString()}\r\n`), /without the line end after it/],
    ["JSON with white space", github, RAW, RAW, pretty, /nothing/],
    ["white space before the key", github, RAW, `  ${RAW}`, undefined, /white space around the key/],
    ["two line ends after the key", github, RAW, `${RAW}\n\n`, undefined, /white space around the key/],
    ["a key in quotes", github, RAW, `"${RAW}"`, undefined, /quotes/],
    ["a key with the letters \\n", github, RAW, `${RAW}\\n`, undefined, /line end/],
    ["a line end that the sender has", github, `${RAW}\n\n`, RAW, undefined, /as in the sender's Secret/],
    ["the key as it stands in a Secret", github, RAW, Buffer.from(RAW).toString("base64"), undefined, /decoded from base64/],
    ["a whsec_ as it stands in a Secret", standard, WHSEC, Buffer.from(WHSEC).toString("base64"), undefined, /decoded from base64/],
    ["the key in hex", github, RAW, Buffer.from(RAW).toString("hex"), undefined, /decoded from hex/],
    ["the bytes of a whsec_ in hex", standard, WHSEC, decoded.toString("hex"), undefined, /hex/],
    ["a whsec_ decoded for HMAC", github, WHSEC, WHSEC.slice(6), undefined, /whsec_ before the key/],
    ["a whsec_ for what it encodes", github, decoded.toString("latin1"), WHSEC, undefined, /what whsec_ encodes/],
    [
      "raw text for a whsec_ of it",
      standard,
      `whsec_${Buffer.from(RAW).toString("base64")}`,
      RAW,
      undefined,
      /whsec_ and base64 of the key/,
    ],
    ["a key that the sender holds in hex", github, Buffer.from(RAW).toString("hex"), RAW, undefined, /hex of the key/],
    ["key and body at once", github, RAW, `${RAW} `, Buffer.from(`${BODY.toString()}\n`), /white space.*line end/],
  ])("%s", (what, signing, senders, receivers, body, expected) => {
    const request = sent(signing, senders);
    const verdict = verify(signing, receivers.toString(), { ...request, body: body ?? request.body });
    expect(verdict.ok).toBe(false);
    if (verdict.ok) return;
    if (what === "JSON with white space") expect(verdict.hint).toBeUndefined();
    else expect(verdict.hint).toMatch(expected);
    expect(JSON.stringify(verdict)).not.toContain(receivers.toString().slice(2, 20));
  });

  it.each<[string, string, (json: string) => string]>([
    [
      "pretty printed",
      '{"b":1.50,"a":["x",{"c":null}]}',
      (json) => json.replaceAll(/[:,]/g, (mark) => `${mark} `).replaceAll("{", "{\n  "),
    ],
    ["JSON.stringify of the same", '{"b":1,"a":"ü/x"}', (json) => JSON.stringify(JSON.parse(json), null, 4)],
    ["Python's json.dumps", '{"b":1,"a":"ü €"}', () => '{"b": 1, "a": "\\u00fc \\u20ac"}'],
    ["PHP's json_encode", '{"b":1,"a":"ü/x"}', () => '{"b":1,"a":"\\u00fc\\/x"}'],
    ["Latin-1 read as UTF-8", '{"a":"ü"}', (json) => Buffer.from(json, "utf8").toString("latin1")],
    ["a byte order mark", '{"a":1}', (json) => `\ufeff${json}`],
    ["CRLF", '{\n"a":1\n}', (json) => json.replaceAll("\n", "\r\n")],
    ["LF", '{\r\n"a":1\r\n}', (json) => json.replaceAll("\r\n", "\n")],
  ])("a body that was changed on the way is told: %s", (_what, json, change) => {
    for (const [signing, secret] of [
      [github, RAW],
      [standard, WHSEC],
      [namedSigning("http-message")!, WHSEC],
      [namedSigning("ed25519")!, WHSK],
    ] as const) {
      const request = sent(signing, secret, Buffer.from(json));
      const verdict = verify(signing, receiverKey(secret), { ...request, body: Buffer.from(change(json)) });
      expect(verdict).toMatchObject({ ok: false, hint: expect.stringMatching(/matches/) });
    }
  });

  it("a header under a framework's name", () => {
    const request = sent(github, RAW);
    const value = request.headers["X-Hub-Signature-256"];
    const verdict = verify(github, RAW, { ...request, headers: { HTTP_X_HUB_SIGNATURE_256: value } });
    expect(verdict).toMatchObject({ ok: false, reason: "HeaderMissing", hint: expect.stringContaining("http_x_hub_signature_256") });
  });

  it("an Ed25519 signature with a shared secret, and the other way round", () => {
    const ed25519 = sent(namedSigning("ed25519")!, WHSK);
    expect(verify(undefined, WHSEC, ed25519)).toMatchObject({ ok: false, hint: expect.stringContaining("whpk_") });
    expect(verify(undefined, receiverKey(WHSK), sent(standard, WHSEC))).toMatchObject({
      ok: false,
      hint: expect.stringContaining("whsec_"),
    });
    const message = sent(namedSigning("http-message")!, WHSK);
    expect(verify(undefined, WHSEC, message)).toMatchObject({ ok: false, hint: expect.stringContaining("whpk_") });
  });

  it("another URL than the one it was sent to", () => {
    const message = sent(namedSigning("http-message")!, WHSEC);
    for (const [url, told] of [
      ["https://r.test/hooks/?a=1", "https://r.test/hooks?…"],
      ["https://127.0.0.1:3000/hooks?a=1", "https://r.test/hooks?…"],
    ] as const) {
      const verdict = verify(undefined, WHSEC, { ...message, headers: { ...message.headers, host: "r.test" }, url });
      expect(verdict).toMatchObject({ ok: false, hint: expect.stringContaining(told) });
    }
  });

  it("is not found where the request is simply false", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.uint8Array({ minLength: 16, maxLength: 40 }), (body, key) => {
        const verdict = verify(github, RAW, {
          body,
          headers: { "x-hub-signature-256": `sha256=${Buffer.from(key).toString("hex").padEnd(64, "0").slice(0, 64)}` },
        });
        expect(verdict).toMatchObject({ ok: false, reason: "SignatureMismatch" });
        expect(verdict).not.toHaveProperty("hint");
      }),
      { numRuns: 50 },
    );
  });
});

describe("keys for receivers", () => {
  it("a public key in each form verifies, and none of them is the private one", () => {
    const signing = namedSigning("ed25519")!;
    const forms = publicKeyForms(Buffer.from(WHSK));
    expect(forms?.whpk).toMatch(/^whpk_[A-Za-z0-9+/]{43}=$/);
    const request = sent(signing, WHSK);
    for (const key of [forms?.whpk ?? "", forms?.pem ?? "", WHSK])
      expect(verify(signing, key, request)).toMatchObject({ ok: true, scheme: "v1a" });
    expect(createPublicKey(forms?.pem ?? "").asymmetricKeyType).toBe("ed25519");
    expect(forms?.jwk).toMatchObject({ kty: "OKP", crv: "Ed25519" });
    expect(JSON.stringify(forms)).not.toContain(Buffer.alloc(32, 9).toString("base64").slice(0, 20));
    for (const none of [WHSEC, "whsk_AAAA", "whpk_AAAA", "-----BEGIN nothing", ""])
      expect(publicKeyForms(Buffer.from(none))).toBeUndefined();
  });

  it.each([
    [undefined, "short", true],
    [undefined, "whsec_abc", true],
    [undefined, RAW, false],
    ["StandardWebhooks", RAW, true],
    ["StandardWebhooks", WHSEC, false],
    ["StandardWebhooksEd25519", WHSEC, true],
    ["StandardWebhooksEd25519", WHSK, false],
    ["HMAC", "fifteen letters", true],
    ["HMAC", "sixteen letters!", false],
    ["TimestampToken", "sixteen letter\n", true],
    ["HTTPMessageSignatures", "whpk_AAAA", true],
    ["HTTPMessageSignatures", WHSK, false],
  ] as const)("%s with %s: fault %s", (scheme, secret, isFault) => {
    expect(secretFault(scheme, Buffer.from(secret)) !== undefined).toBe(isFault);
  });
});
