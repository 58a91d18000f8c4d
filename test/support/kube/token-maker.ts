import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** How an algorithm of RFC 7518 is made with node:crypto, by an author who is not the one of the code under test. */
const MAKERS: Readonly<Record<string, (content: Buffer, key: KeyObject) => Buffer>> = {
  ...Object.fromEntries(
    ["256", "384", "512"].flatMap((bits) => [
      [`RS${bits}`, (content: Buffer, key: KeyObject) => sign(`sha${bits}`, content, key)],
      [
        `PS${bits}`,
        (content: Buffer, key: KeyObject) =>
          sign(`sha${bits}`, content, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }),
      ],
      [`ES${bits}`, (content: Buffer, key: KeyObject) => sign(`sha${bits}`, content, { key, dsaEncoding: "ieee-p1363" })],
      [
        `HS${bits}`,
        (content: Buffer, key: KeyObject) =>
          createHmac(`sha${bits}`, key.export({ type: "spki", format: "pem" }))
            .update(content)
            .digest(),
      ],
    ]),
  ),
  none: () => Buffer.from("none"),
};

/** A pair of keys and the public one as a JSON Web Key. */
export interface SigningPair {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function rsaPair(kid: string, modulusLength = 2_048): SigningPair {
  return pairOf(kid, generateKeyPairSync("rsa", { modulusLength }));
}

export function ecPair(kid: string, namedCurve: "P-256" | "P-384" | "P-521"): SigningPair {
  return pairOf(kid, generateKeyPairSync("ec", { namedCurve }));
}

function pairOf(kid: string, { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }): SigningPair {
  return { kid, privateKey, publicKey, jwk: { kid, use: "sig", ...publicKey.export({ format: "jwk" }) } };
}

export interface TokenChange {
  readonly alg?: string;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Makes the signature instead of the pair's private key. */
  readonly by?: KeyObject;
}

/** A signed token of ServiceAccount till in shop, as the API server makes them. */
export function signedToken(pair: SigningPair, { alg = "RS256", header, claims, by }: TokenChange = {}): string {
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = { iss: "https://kubernetes.test", sub: "system:serviceaccount:shop:till", aud: ["postrider-ingest"], ...claims };
  const content = `${encoded({ alg, kid: pair.kid, ...header })}.${encoded(body)}`;
  const signature = MAKERS[alg]?.(Buffer.from(content), by ?? pair.privateKey);
  if (signature === undefined) throw new Error(`nobody makes ${alg}`);
  return `${content}.${signature.toString("base64url")}`;
}
