import { createSecretKey, generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { keySecrets, SecretWords } from "../../../src/attempt/http/secret-words.ts";

const PLAIN = "hunter2-secret-value-0123";
const ODD = 'pa/ss+"w\\rd" é=&%';
const LIMIT = 4_096;

const hidden = (body: string | Buffer, secrets: readonly string[] = [PLAIN, ODD], bytesMax = LIMIT): string =>
  Buffer.from(new SecretWords(secrets).hide(Buffer.from(body), bytesMax)).toString("utf8");

describe("a secret that comes back in a body", () => {
  it.each([
    ["as it is", (s: string) => s],
    ["twice, within words", (s: string) => `x${s}y${s}z`],
    ["in JSON", (s: string) => JSON.stringify({ got: s })],
    ["in JSON with escaped slashes", (s: string) => JSON.stringify({ got: s }).replaceAll("/", "\\/")],
    ["in an address", (s: string) => `https://x/?a=${encodeURIComponent(s)}`],
    ["in an address's path", (s: string) => encodeURI(`https://x/${s}`)],
    ["in base64", (s: string) => Buffer.from(s).toString("base64")],
    ["in base64url", (s: string) => Buffer.from(s).toString("base64url")],
    ["in base64 after one byte", (s: string) => Buffer.from(`a${s}`).toString("base64")],
    ["in base64 after two bytes, before more", (s: string) => Buffer.from(`ab${s}cde`).toString("base64")],
    [
      "in base64 of a whole request",
      (s: string) => Buffer.from(`POST / HTTP/1.1\r\nAuthorization: Bearer ${s}\r\n\r\n{}`).toString("base64"),
    ],
  ])("is hidden: %s", (_what, written) => {
    for (const secret of [PLAIN, ODD]) {
      const body = written(secret);
      const shown = hidden(`before ${body} after`);
      expect(shown).toMatch(/^before .*\[redacted\].* after$/s);
      // Not even half of it, in whatever spelling.
      for (const form of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]) {
        expect(shown).not.toContain(form.slice(0, 10));
      }
      const decoded = shown.split(/[^A-Za-z0-9+/_-]+/).map((part) => Buffer.from(part, "base64").toString("latin1"));
      expect(decoded.join(" ")).not.toContain(Buffer.from(secret).toString("latin1").slice(3, 11));
    }
  });

  it.each([8, 12, 20, PLAIN.length - 1])("is hidden where the body was cut after %d of its characters", (length) => {
    const body = `${"x".repeat(100)}${PLAIN.slice(0, length)}`;
    const shown = hidden(body, [PLAIN], body.length);
    expect(shown).toBe(`${"x".repeat(100)}[redacted]`.slice(0, body.length));
    // The same words of a body that is whole are no beginning of anything.
    expect(hidden(body, [PLAIN], LIMIT)).toBe(body);
  });

  it("leaves every other byte as it was, whatever its charset, and never makes the body longer than it may be", () => {
    const bytes = Buffer.concat([Buffer.from([0xff, 0xc3, 0x00]), Buffer.from(PLAIN), Buffer.from([0xe2, 0x82])]);
    const shown = Buffer.from(new SecretWords([PLAIN]).hide(bytes, LIMIT));
    expect(shown).toEqual(Buffer.concat([Buffer.from([0xff, 0xc3, 0x00]), Buffer.from("[redacted]"), Buffer.from([0xe2, 0x82])]));
    const short = "12345678";
    expect(hidden(short.repeat(8), [short], 64)).toHaveLength(64);
  });

  it("costs nothing where nothing was sent, where the body is too short to hold one, and where it holds none", () => {
    for (const [body, secrets] of [
      ["an answer", []],
      ["ok", [PLAIN]],
      ["a longer answer without any of them", [PLAIN]],
      ["short words are words: sesame", ["sesame"]],
    ] as const) {
      const bytes = Buffer.from(body);
      expect(new SecretWords(secrets).hide(bytes, LIMIT)).toBe(bytes);
    }
  });

  it("a secret that is a part of another is hidden after it", () => {
    expect(hidden("Bearer abcdefgh-ijklmnop.", ["abcdefgh", "abcdefgh-ijklmnop"])).toBe("Bearer [redacted].");
  });
});

describe("signing keys", () => {
  it("are hidden as their Secrets spell them, if the receiver knows them", () => {
    const raw = Buffer.from("a raw key of sixteen bytes or more");
    const { privateKey } = generateKeyPairSync("ed25519");
    const secrets = keySecrets([
      { kind: "hmac", key: createSecretKey(raw) },
      { kind: "ed25519", key: privateKey },
    ]);
    expect(secrets).toEqual([raw.toString("base64"), raw.toString()]);
    expect(hidden(`wanted whsec_${raw.toString("base64")}`, secrets)).toBe("wanted whsec_[redacted]");
  });
});
