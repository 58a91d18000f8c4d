import { X509Certificate } from "node:crypto";

/** What stands in a text: its certificates as PEM by RFC 7468 without the last newline, or what is wrong. */
export type PemCertificates =
  | { readonly ok: true; readonly certificates: readonly string[] }
  | { readonly ok: false; readonly fault: string };

/** A certificate's first line, and the same damaged: what looks like one must be one, or it would be left out without a word. */
const BEGIN = /-----BEGIN ((?:X509 |TRUSTED )?)CERTIFICATE-----/g;
const LOOKS_LIKE_BEGIN = /-{2,}\s*BEGIN [^-\n]{0,40}CERTIFICATE\s*-{2,}/gi;
const END = /-----END (?:X509 |TRUSTED )?CERTIFICATE-----/;
const LOOKS_LIKE_END = /-{2,}\s*END [^-\n]{0,40}CERTIFICATE\s*-{2,}/gi;
/** Other things that hold certificates, which OpenSSL passes over where it looks for authorities. */
const CONTAINER = /-----BEGIN (?:PKCS ?#?7[A-Z ]*|CMS)-----/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** Lines as RFC 7468 writes them, and the longest that are left as they are. */
const LINE_CHARS = 64;
const LINE_CHARS_KEPT_MAX = 76;

/**
 * Every certificate of a bundle. OpenSSL stops at the first line it does not know, without an error: files that were put together without a newline
 * between them, or that a template indented, would be trusted in part. So each is found, read and written anew; where one cannot be, all
 * are refused.
 */
export function readCertificates(text: string): PemCertificates {
  const begins = [...text.matchAll(BEGIN)];
  const parts = begins.map(({ index }, i) => text.slice(index, begins[i + 1]?.index));
  if (countOf(text, LOOKS_LIKE_BEGIN) !== begins.length || parts.some((part) => countOf(part, LOOKS_LIKE_END) > 1)) {
    return { ok: false, fault: "a line like -----BEGIN CERTIFICATE----- or -----END CERTIFICATE----- is damaged" };
  }
  if (CONTAINER.test(text)) {
    return { ok: false, fault: "it contains certificates as PKCS #7: convert them with `openssl pkcs7 -print_certs`" };
  }
  const certificates: string[] = [];
  for (const [i, part] of parts.entries()) {
    const which = `certificate ${i + 1} of ${parts.length}`;
    const end = END.exec(part);
    if (end === null) return { ok: false, fault: `${which} has no last line (-----END CERTIFICATE-----)` };
    if (begins[i]?.[1] === "TRUSTED ") {
      return { ok: false, fault: `${which} is in OpenSSL's own form (TRUSTED CERTIFICATE): convert it with \`openssl x509\`` };
    }
    const pem = rewritten(part.slice(begins[i]?.[0].length, end.index));
    if (pem === undefined) return { ok: false, fault: `${which} cannot be read` };
    certificates.push(pem);
  }
  return { ok: true, certificates };
}

function rewritten(body: string): string | undefined {
  const given = body.trim().split(/\s+/);
  const base64 = given.join("");
  if (!BASE64.test(base64)) return undefined;
  const bytes = Buffer.from(base64, "base64");
  try {
    // What follows a certificate within its lines is none.
    if (!new X509Certificate(bytes).raw.equals(bytes)) return undefined;
  } catch {
    return undefined;
  }
  const lines = isEven(given) ? given : (base64.match(new RegExp(`.{1,${LINE_CHARS}}`, "g")) ?? []);
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----"].join("\n");
}

/** OpenSSL takes a line that is shorter than those before it for the last. */
function isEven(lines: readonly string[]): boolean {
  const width = lines[0]?.length ?? 0;
  return width <= LINE_CHARS_KEPT_MAX && lines.every((line, i) => (i === lines.length - 1 ? line.length <= width : line.length === width));
}

function countOf(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
