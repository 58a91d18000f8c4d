import { generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import type { ReceivedRequest } from "../../../src/core/signing/received-request.ts";
import { verifyStandardWebhook } from "../../../src/core/signing/verify.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW_MS = 1_767_225_600_000;

function signed(body: Uint8Array, overrides: Record<string, string | undefined> = {}, atMs = NOW_MS): ReceivedRequest {
  const text = Buffer.from(body).toString("latin1");
  const signature = new Webhook(SECRET).sign("msg_1", new Date(atMs), text);
  return {
    body,
    headers: { "Webhook-Id": "msg_1", "webhook-timestamp": String(atMs / 1_000), "webhook-signature": signature, ...overrides },
  };
}

const BODY = Buffer.from('{"test": 2432232314}');

describe("verifying a Standard Webhook", () => {
  it("accepts what an independent library signed", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]{0,200}$/), (text) => {
        expect(verifyStandardWebhook(SECRET, signed(Buffer.from(text)), NOW_MS)).toMatchObject({ ok: true, scheme: "v1", id: "msg_1" });
      }),
    );
  });

  it("accepts any one of several signatures (rotation)", () => {
    const request = signed(BODY);
    const headers = { ...request.headers, "webhook-signature": `v1,AAAA v1a,BBBB ${String(request.headers["webhook-signature"])}` };
    expect(verifyStandardWebhook(SECRET, { ...request, headers }, NOW_MS).ok).toBe(true);
  });

  it("accepts Ed25519", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const timestamp = String(NOW_MS / 1_000);
    const signature = sign(null, Buffer.concat([Buffer.from(`msg_1.${timestamp}.`), BODY]), privateKey).toString("base64");
    const headers = { "webhook-id": "msg_1", "webhook-timestamp": timestamp, "webhook-signature": `v1a,${signature}` };
    const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    expect(verifyStandardWebhook(`whpk_${raw.toString("base64")}`, { headers, body: BODY }, NOW_MS)).toMatchObject({
      ok: true,
      scheme: "v1a",
    });
  });

  it.each([
    ["HeaderMissing", signed(BODY, { "webhook-timestamp": undefined }), SECRET, NOW_MS],
    ["TimestampMalformed", signed(BODY, { "webhook-timestamp": "yesterday" }), SECRET, NOW_MS],
    ["TimestampTooOld", signed(BODY), SECRET, NOW_MS + 301_000],
    ["TimestampInFuture", signed(BODY), SECRET, NOW_MS - 301_000],
    ["SecretMalformed", signed(BODY), "whsec_c2hvcnQ=", NOW_MS],
    ["SecretMalformed", signed(BODY), "whpk_c2hvcnQ=", NOW_MS],
    ["SignatureMalformed", signed(BODY, { "webhook-signature": "v0=abc" }), SECRET, NOW_MS],
    ["SignatureMismatch", { ...signed(BODY), body: Buffer.from('{"test":2432232314}') }, SECRET, NOW_MS],
    ["SignatureMismatch", signed(BODY, { "Webhook-Id": "msg_2" }), SECRET, NOW_MS],
    ["SignatureMismatch", signed(BODY), "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", NOW_MS],
  ] as const)("says %s", (reason, request, secret, nowMs) => {
    const result = verifyStandardWebhook(secret, request, nowMs);
    expect(result).toMatchObject({ ok: false, reason });
    expect(result.ok ? "" : result.message).toMatch(/\S/);
  });
});
