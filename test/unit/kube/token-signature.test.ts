import { describe, expect, it } from "vitest";
import { readTokenKeys, signatureVerdict } from "../../../src/kube/token-signature.ts";
import { ecPair, rsaPair, signedToken, type SigningPair } from "../../support/kube/token-maker.ts";

const RSA = rsaPair("rsa");
const OTHER = rsaPair("other");
const EC = { ES256: ecPair("p256", "P-256"), ES384: ecPair("p384", "P-384"), ES512: ecPair("p521", "P-521") } as const;
const PAIRS: readonly SigningPair[] = [RSA, ...Object.values(EC)];
const KEYS = readTokenKeys({ keys: PAIRS.map(({ jwk }) => jwk) });
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const ALGORITHMS: [string, SigningPair][] = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map((alg): [string, SigningPair] => [alg, RSA]),
  ["ES256", EC.ES256],
  ["ES384", EC.ES384],
  ["ES512", EC.ES512],
];

describe.each(ALGORITHMS)("a token signed by %s", (alg, pair) => {
  const token = signedToken(pair, { alg });
  const [header = "", payload = "", signature = ""] = token.split(".");

  it("is good, with the key's name and without", () => {
    expect(signatureVerdict(token, KEYS)).toBe("good");
    expect(signatureVerdict(signedToken(pair, { alg, header: { kid: undefined } }), KEYS)).toBe("good");
  });

  it.each([
    ["another payload", `${header}.${encoded({ sub: "system:serviceaccount:bank:vault" })}.${signature}`],
    ["another header", `${encoded({ alg, kid: pair.kid, typ: "x" })}.${payload}.${signature}`],
    ["a flipped bit", `${header}.${payload}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`],
    ["a short signature", `${header}.${payload}.${signature.slice(0, -4)}`],
    ["the signature of nothing", `${header}.${payload}.${Buffer.alloc(Buffer.from(signature, "base64url").length).toString("base64url")}`],
    ["the name of another kind's key", signedToken(pair, { alg, header: { kid: pair === RSA ? "p256" : "rsa" } })],
    ["a critical header", signedToken(pair, { alg, header: { crit: ["b64"], b64: false } })],
    ["an empty list of critical headers", signedToken(pair, { alg, header: { crit: [] } })],
    ["a name that is no text", signedToken(pair, { alg, header: { kid: 7 } })],
    ["another one's signature", signedToken({ ...pair, privateKey: twin(pair).privateKey }, { alg })],
  ])("is forged with %s", (_what, forged) => {
    expect(signatureVerdict(forged, KEYS)).toBe("forged");
  });

  it("is unknown while its key is", () => {
    expect(signatureVerdict(signedToken(pair, { alg, header: { kid: "newer" } }), KEYS)).toBe("unknown-key");
  });
});

function twin({ kid, jwk }: SigningPair): SigningPair {
  return jwk["kty"] === "RSA" ? OTHER : ecPair(kid, jwk["crv"] as "P-256");
}

describe("what is no signature", () => {
  it.each(["none", "HS256", "HS384", "HS512"])("alg %s, with our public key for its secret", (alg) => {
    expect(signatureVerdict(signedToken(RSA, { alg, by: RSA.publicKey }), KEYS)).toBe("forged");
  });

  it.each(["None", "rs256", "EdDSA", "constructor", "__proto__", ["RS256"], null, undefined, 256])("alg %j", (alg) => {
    expect(signatureVerdict(signedToken(RSA, { header: { alg } }), KEYS)).toBe("forged");
  });

  it.each([
    ["nothing", ""],
    ["two parts", "a.b"],
    ["four parts", `${signedToken(RSA)}.x`],
    ["no signature", `${signedToken(RSA).split(".").slice(0, 2).join(".")}.`],
    ["a header that is no JSON", `bm8.${signedToken(RSA).split(".").slice(1).join(".")}`],
    ["a header that is a list", `${encoded([])}.${signedToken(RSA).split(".").slice(1).join(".")}`],
    ["padding", `${signedToken(RSA)}=`],
    ["a line break", `${signedToken(RSA)}\n`],
  ])("%s", (_what, token) => {
    expect(signatureVerdict(token, KEYS)).toBe("forged");
  });

  it("one token is spelled in one way: bits that no byte needs may not be set", () => {
    const token = signedToken(RSA);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const bytes = (text: string): string => Buffer.from(text.split(".")[2] ?? "", "base64url").toString("hex");
    const spellings = Array.from(alphabet)
      .map((last) => token.slice(0, -1) + last)
      .filter((text) => bytes(text) === bytes(token));
    expect(spellings.length).toBeGreaterThan(1);
    expect(spellings.filter((text) => signatureVerdict(text, KEYS) === "good")).toEqual([token]);
  });
});

describe("a set of keys", () => {
  it.each([
    ["no object", null],
    ["no keys", {}],
    ["keys that are no list", { keys: {} }],
    ["nothing in it", { keys: [] }],
    ["nonsense in it", { keys: [null, 1, "x", {}, { kty: "RSA" }, { kty: "EC", crv: "P-256" }, { kty: "oct", k: "AAAA" }] }],
    ["a key to encrypt with", { keys: [{ ...RSA.jwk, use: "enc" }] }],
    ["a key for another algorithm", { keys: [{ ...RSA.jwk, alg: "RSA-OAEP" }] }],
    ["a key that is too short (RFC 7518 3.3)", { keys: [rsaPair("short", 1_024).jwk] }],
    ["a name that is no text", { keys: [{ ...RSA.jwk, kid: 7 }] }],
  ])("with %s holds none", (_what, set) => {
    expect(readTokenKeys(set)).toEqual([]);
  });

  it("passes over what it cannot use and keeps the rest, 64 at most", () => {
    expect(readTokenKeys({ keys: [null, RSA.jwk, { kty: "OKP" }, EC.ES256.jwk] }).map(({ kid }) => kid)).toEqual(["rsa", "p256"]);
    expect(readTokenKeys({ keys: Array.from({ length: 100 }, () => RSA.jwk) })).toHaveLength(64);
  });

  it("a key that names its algorithm signs by no other", () => {
    const keys = readTokenKeys({ keys: [{ ...RSA.jwk, alg: "RS256" }] });
    expect(signatureVerdict(signedToken(RSA), keys)).toBe("good");
    expect(signatureVerdict(signedToken(RSA, { alg: "PS256" }), keys)).toBe("forged");
  });

  it("a key without a name is tried for every token; with several of one name one is enough", () => {
    const nameless = readTokenKeys({ keys: [{ ...RSA.jwk, kid: undefined }] });
    expect(signatureVerdict(signedToken(RSA), nameless)).toBe("good");
    const twins = readTokenKeys({ keys: [{ ...OTHER.jwk, kid: "rsa" }, RSA.jwk] });
    expect(signatureVerdict(signedToken(RSA), twins)).toBe("good");
  });

  it("never holds a private part", () => {
    const [key] = readTokenKeys({ keys: [{ ...RSA.jwk, ...RSA.privateKey.export({ format: "jwk" }) }] });
    expect(key?.key.type).toBe("public");
  });
});
