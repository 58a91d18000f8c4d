import { createHash, createHmac, createPrivateKey, createPublicKey, createSecretKey, verify } from "node:crypto";
import { httpbis } from "http-message-signatures";
import { describe, expect, it } from "vitest";
import { contentDigest, keyId, signatureBase, signatureParams, signBase } from "../../../src/core/signing/http-message-signature.ts";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import type { SigningKey } from "../../../src/core/signing/style.ts";
import type { SigningSpec } from "../../../src/core/subscription.ts";
import type { ReceivedRequest } from "../../../src/core/signing/received-request.ts";
import { namedSigning } from "../../../src/core/signing/signing-styles.ts";
import { verifyRequest } from "../../../src/core/signing/verify.ts";

describe("the vectors of RFC 9421, appendix B", () => {
  const date = ["date", "Tue, 20 Apr 2021 02:07:55 GMT"] as const;

  it("B.2.5: hmac-sha256", () => {
    const components = [date, ["@authority", "example.com"], ["content-type", "application/json"]] as const;
    const params = signatureParams(components, { created: 1_618_884_473, keyid: "test-shared-secret" });
    const base = signatureBase(components, params);
    expect(base).toBe(
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@authority": example.com',
        '"content-type": application/json',
        '"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
      ].join("\n"),
    );
    const secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    const key = createSecretKey(Buffer.from(secret, "base64"));
    expect(signBase("hmac", key, base).toString("base64")).toBe("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
  });

  it("B.2.6: ed25519", () => {
    const components = [
      date,
      ["@method", "POST"],
      ["@path", "/foo"],
      ["@authority", "example.com"],
      ["content-type", "application/json"],
      ["content-length", "18"],
    ] as const;
    const params = signatureParams(components, { created: 1_618_884_473, keyid: "test-key-ed25519" });
    const base = signatureBase(components, params);
    expect(base).toBe(
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      ].join("\n"),
    );
    const pem =
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
    expect(signBase("ed25519", createPrivateKey(pem), base).toString("base64")).toBe(
      "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    );
  });

  it("RFC 9530, appendix: sha-256", () => {
    expect(contentDigest(Buffer.from('{"hello": "world"}'))).toBe("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
    expect(contentDigest(Buffer.from('{"hello": "world"}\n'))).toBe("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
  });
});

const NOW_SEC = 1_767_225_600;
const URL_SENT = "https://r.test:8443/hooks/a%20b?x=1&y=%2F";
const BODY = Buffer.from('{"type":"order.paid"}');
const WHSEC = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;
const WHSK = `whsk_${Buffer.alloc(32, 9).toString("base64")}`;
const TEXT = "a raw secret of a few bytes";

function key(secret: string): SigningKey {
  const parsed = parseKey("HTTPMessageSignatures", Buffer.from(secret));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.key;
}

function publicOf(signing: SigningKey): string {
  const spki = createPublicKey(signing.key).export({ format: "der", type: "spki" });
  return `whpk_${spki.subarray(-32).toString("base64")}`;
}

interface Sent {
  readonly secrets?: readonly string[];
  readonly body?: Buffer;
  readonly url?: string;
  readonly contentType?: string | undefined;
}

function sent({ secrets = [WHSEC], body = BODY, url = URL_SENT, ...rest }: Sent = {}): ReceivedRequest & {
  headers: Record<string, string>;
} {
  const spec: SigningSpec = { scheme: "HTTPMessageSignatures", secretRefs: [], hmac: undefined, token: undefined };
  const contentType = "contentType" in rest ? rest.contentType : "application/json";
  const input = { id: "evt-1", timestampSec: NOW_SEC, body, url, contentType };
  const headers = Object.fromEntries(signatureHeaders(spec, secrets.map(key), input));
  const type = contentType === undefined ? {} : { "content-type": contentType };
  return { method: "POST", url, body, headers: { "webhook-id": "evt-1", host: new URL(url).host, ...type, ...headers } };
}

/** Signature by the library, digest by hand: what a receiver in Node would write. */
async function isGenuine(request: ReceivedRequest & { headers: Record<string, string> }, signing: SigningKey): Promise<boolean> {
  const digest = createHash("sha256").update(request.body).digest("base64");
  if (request.headers["content-digest"] !== `sha-256=:${digest}:`) return false;
  const check = (data: Buffer, signature: Buffer): boolean =>
    signing.kind === "hmac"
      ? createHmac("sha256", signing.key).update(data).digest().equals(signature)
      : verify(null, data, createPublicKey(signing.key), signature);
  const id = keyId(signing.key);
  const found = await httpbis.verifyMessage(
    {
      keyLookup: async ({ keyid }) =>
        keyid === id ? { id, algs: ["hmac-sha256", "ed25519"], verify: async (data, mac) => check(data, mac) } : null,
      requiredFields: ["@method", "@authority", "@path", "@query", "content-digest", "webhook-id"],
      requiredParams: ["created", "keyid", "alg"],
    },
    { method: request.method ?? "POST", url: request.url ?? "", headers: request.headers },
  );
  return found === true;
}

describe("what is sent", () => {
  it("covers method, authority, path, query, digest, type and id, and nothing twice", () => {
    const { headers } = sent();
    expect(headers["signature-input"]).toBe(
      `sig1=("@method" "@authority" "@path" "@query" "content-digest" "content-type" "webhook-id");created=${NOW_SEC};keyid="${keyId(key(WHSEC).key)}";alg="hmac-sha256"`,
    );
    expect(headers["signature"]).toMatch(/^sig1=:[A-Za-z0-9+/]{43}=:$/);
  });

  it.each([
    ["HMAC with whsec_", WHSEC],
    ["HMAC with raw bytes", TEXT],
    ["Ed25519", WHSK],
  ])("is genuine to an independent library: %s", async (_, secret) => {
    for (const change of [
      {},
      { url: "https://r.test/" },
      { url: "https://r.test/a?" },
      { contentType: undefined },
      { body: Buffer.alloc(0) },
    ]) {
      expect(await isGenuine(sent({ secrets: [secret], ...change }), key(secret))).toBe(true);
    }
    expect(await isGenuine({ ...sent({ secrets: [secret] }), body: Buffer.from("{}") }, key(secret))).toBe(false);
    expect(await isGenuine({ ...sent({ secrets: [secret] }), url: "https://r.test:8443/other" }, key(secret))).toBe(false);
  });

  it("is signed by every listed key, of both kinds", async () => {
    const request = sent({ secrets: [WHSK, WHSEC, TEXT] });
    expect(request.headers["signature"]?.match(/sig\d=/g)).toEqual(["sig1=", "sig2=", "sig3="]);
    for (const secret of [WHSK, WHSEC, TEXT]) expect(await isGenuine(request, key(secret))).toBe(true);
    const one = sent({ secrets: [TEXT] });
    expect(await isGenuine(one, key(WHSEC))).toBe(false);
  });
});

const verifyHttpMessage = (secret: string, request: ReceivedRequest, nowMs: number) =>
  verifyRequest({ signing: namedSigning("http-message"), secrets: [Buffer.from(secret)] }, request, nowMs);

describe("postrider's own verifier", () => {
  const nowMs = NOW_SEC * 1_000;

  it("takes what was sent, with each kind of key", () => {
    const request = sent({ secrets: [WHSK, WHSEC, TEXT] });
    const unnamed = (secret: string) => verifyRequest({ secrets: [Buffer.from(secret)] }, request, nowMs);
    expect(unnamed(WHSEC)).toEqual({ ok: true, id: "evt-1", timestampSec: NOW_SEC, scheme: "hmac-sha256" });
    expect(unnamed(TEXT)).toMatchObject({ ok: true, scheme: "hmac-sha256" });
    expect(unnamed(publicOf(key(WHSK)))).toMatchObject({ ok: true, scheme: "ed25519" });
  });

  it("takes what an independent library signed, @target-uri included", async () => {
    const headers = { "webhook-id": "evt-1", "content-digest": contentDigest(BODY) };
    const signing = key(WHSEC);
    const signed = await httpbis.signMessage(
      {
        key: { alg: "hmac-sha256", sign: async (data) => createHmac("sha256", signing.key).update(data).digest() },
        fields: ["@method", "@target-uri", "content-digest", "webhook-id"],
        paramValues: { created: new Date(nowMs) },
        params: ["created", "alg"],
      },
      { method: "POST", url: URL_SENT, headers },
    );
    expect(verifyHttpMessage(WHSEC, { url: URL_SENT, body: BODY, headers: signed.headers }, nowMs)).toMatchObject({ ok: true });
  });

  const changed = (headers: Record<string, string | undefined>): ReceivedRequest => {
    const request = sent();
    return { ...request, headers: { ...request.headers, ...headers } };
  };
  const input = sent().headers["signature-input"] ?? "";
  it.each<[string, ReceivedRequest, string, number]>([
    ["HeaderMissing", changed({ "content-digest": undefined }), WHSEC, nowMs],
    ["HeaderMissing", changed({ signature: undefined }), WHSEC, nowMs],
    ["UrlMissing", { ...sent(), url: undefined }, WHSEC, nowMs],
    ["SecretMalformed", sent(), "short", nowMs],
    ["SecretMalformed", sent(), "whpk_AAAA", nowMs],
    ["SignatureMalformed", changed({ signature: "sig1=abc" }), WHSEC, nowMs],
    ["SignatureMalformed", changed({ "signature-input": "sig1" }), WHSEC, nowMs],
    ["SignatureMalformed", changed({ "signature-input": input.replace("sig1", "sig9") }), WHSEC, nowMs],
    ["SignatureMismatch", sent(), TEXT, nowMs],
    ["SignatureMismatch", changed({ "webhook-id": "evt-2" }), WHSEC, nowMs],
    ["SignatureMismatch", changed({ "content-type": "text/plain" }), WHSEC, nowMs],
    ["SignatureMismatch", { ...sent(), method: "PUT" }, WHSEC, nowMs],
    ["SignatureMismatch", { ...sent(), url: "https://r.test:8443/hooks/a%20b?x=2&y=%2F" }, WHSEC, nowMs],
    ["SignatureMismatch", changed({ "signature-input": input.replace("hmac-sha256", "ed25519") }), WHSEC, nowMs],
    ["DigestMismatch", { ...sent(), body: Buffer.from('{"type":"order.paid"}\n') }, WHSEC, nowMs],
    ["ComponentsMissing", changed({ "signature-input": input.replace('"content-digest" ', "") }), WHSEC, nowMs],
    ["ComponentsMissing", changed({ "signature-input": input.replace('"@path" ', "") }), WHSEC, nowMs],
    ["ComponentsMissing", changed({ "content-type": undefined }), WHSEC, nowMs],
    ["TimestampMalformed", changed({ "signature-input": input.replace(/;created=\d+/, "") }), WHSEC, nowMs],
    ["TimestampTooOld", sent(), WHSEC, nowMs + 301_000],
    ["TimestampInFuture", sent(), WHSEC, nowMs - 301_000],
  ])("says %s %#", (reason, request, secret, atMs) => {
    const verdict = verifyHttpMessage(secret, request, atMs);
    expect(verdict).toMatchObject({ ok: false, reason });
    if (!verdict.ok) expect(verdict.message).not.toContain(Buffer.alloc(32, 5).toString("base64"));
  });
});
