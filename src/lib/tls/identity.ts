import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { validityOf } from "./validity.ts";
import { readCertificates } from "./pem-certificates.ts";

/** What a server shows its clients, and whose clients it believes; complete and consistent. */
export interface Identity {
  /** The server's own certificate first, then its chain, as PEM. */
  readonly certificate: string;
  readonly key: string;
  /** Authorities of clients, as PEM; undefined: clients need no certificate. */
  readonly clientAuthorities: readonly string[] | undefined;
  /** Of the server's own certificate, ms since the Unix epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly subject: string;
  /** SHA-256 of everything in it: two with the same are the same. */
  readonly digest: string;
}

/** Which of the files is meant. */
export type IdentityPart = "certificate" | "key" | "clientAuthorities";
export type IdentityTexts = Readonly<Record<"certificate" | "key", string>> & { readonly clientAuthorities?: string | undefined };
export type IdentityRead =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly part: IdentityPart; readonly fault: string };

const ANY_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/;
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/;
const SUBJECT_CHARS_MAX = 200;

/** Files of a certificate, its key and clients' authorities, checked together, so that what is served later cannot fail for one client after another. */
export function identityOf(texts: IdentityTexts): IdentityRead {
  const found = readCertificates(texts.certificate);
  if (!found.ok) return faulty("certificate", found.fault);
  if (found.certificates.length === 0) return faulty("certificate", withoutCertificate(texts.certificate));
  const chain = found.certificates.map((pem) => new X509Certificate(pem));
  const key = keyIn(texts.key);
  if (typeof key === "string") return faulty("key", key);
  const mismatch = mismatchOf(chain, key);
  if (mismatch !== undefined) return faulty("certificate", mismatch);
  const certificate = `${found.certificates.join("\n")}\n`;
  const [own] = chain as [X509Certificate, ...X509Certificate[]];
  const { notBeforeMs, notAfterMs } = validityOf(own);
  if (Number.isNaN(notBeforeMs) || Number.isNaN(notAfterMs))
    return faulty("certificate", "from when to when it is valid cannot be read: issue it again");
  const authorities = texts.clientAuthorities === undefined ? undefined : readCertificates(texts.clientAuthorities);
  if (authorities?.ok === false) return faulty("clientAuthorities", authorities.fault);
  if (authorities?.certificates.length === 0) return faulty("clientAuthorities", withoutCertificate(texts.clientAuthorities ?? ""));
  const clientAuthorities = authorities === undefined ? undefined : [...authorities.certificates];
  const refused = refusedByOpenSsl({
    cert: certificate,
    key: texts.key,
    ...(clientAuthorities === undefined ? {} : { ca: clientAuthorities }),
  });
  if (refused !== undefined) return faulty("certificate", refused);
  return {
    ok: true,
    identity: {
      certificate,
      key: texts.key,
      clientAuthorities,
      notBeforeMs,
      notAfterMs,
      subject: own.subject.replaceAll("\n", ", ").slice(0, SUBJECT_CHARS_MAX),
      digest: createHash("sha256")
        .update(JSON.stringify([certificate, texts.key, clientAuthorities ?? null]))
        .digest("hex"),
    },
  };
}

function faulty(part: IdentityPart, fault: string): IdentityRead {
  return { ok: false, part, fault };
}

function withoutCertificate(text: string): string {
  if (text.trim() === "") return "it is empty";
  if (ANY_KEY.test(text)) return "it contains a private key and no certificate: the two files may be exchanged";
  return "it contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
}

function keyIn(text: string): KeyObject | string {
  if (text.trim() === "") return "it is empty";
  if (ENCRYPTED_KEY.test(text)) return "the key is encrypted with a passphrase: decrypt it with `openssl pkey -in FILE -out FILE`";
  if (!ANY_KEY.test(text)) {
    return text.includes("-----BEGIN CERTIFICATE-----")
      ? "it contains a certificate and no private key: the two files may be exchanged"
      : "it contains no private key in PEM form (-----BEGIN PRIVATE KEY-----)";
  }
  try {
    return createPrivateKey(text);
  } catch {
    return "the private key cannot be read: it may be truncated";
  }
}

/** A server's own certificate comes first: OpenSSL looks no further. */
function mismatchOf(chain: readonly X509Certificate[], key: KeyObject): string | undefined {
  const own = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (own === 0) return undefined;
  return own === -1
    ? "it does not belong to the private key: the two files are of different issues"
    : `certificate ${own + 1} of ${chain.length} belongs to the private key: the server's own certificate must come first, then its chain`;
}

/** For example a key that is too short. */
function refusedByOpenSsl(options: SecureContextOptions): string | undefined {
  try {
    createSecureContext(options);
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return /too small|md too weak/.test(message)
      ? `OpenSSL refuses it as too weak (${message}): use RSA with 2048 bits or more, or ECDSA P-256`
      : `OpenSSL refuses it: ${message}`;
  }
}
