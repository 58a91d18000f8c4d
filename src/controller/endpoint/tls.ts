import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SecureContextOptions } from "node:tls";
import type { Problem } from "../../core/problem.ts";
import type { TargetTls, TlsSpec } from "../../core/subscription.ts";
import type { Resolved } from "./auth.ts";
import { isProblem } from "./named-refs.ts";
import type { ConfigMapObject, SecretObject } from "../objects.ts";
import { readCertificates } from "../../lib/tls/pem-certificates.ts";
import type { References } from "./references.ts";

/** Bytes of a bundle of authorities: all public ones together take 220 KiB. */
export const CA_BYTES_MAX = 512 * 1024;
const TLS_SECRET_TYPE = "kubernetes.io/tls";

/** TLS towards a receiver with its certificates in hand. What could not be used is refused here, never at the first connect. */
export function resolveTls(tls: TlsSpec | undefined, at: string, refs: References): Resolved<TargetTls | undefined> {
  if (tls === undefined) return { ok: true, value: undefined };
  const { caRef, clientCertSecretName, serverName, minVersion } = tls;
  const ca: Resolved<string | undefined> = caRef === undefined ? { ok: true, value: undefined } : authorities(caRef, `${at}.caRef`, refs);
  if (!ca.ok) return ca;
  const clientCert: Resolved<TargetTls["clientCert"]> =
    clientCertSecretName === undefined
      ? { ok: true, value: undefined }
      : clientCertificate(clientCertSecretName, `${at}.clientCertSecretRef`, refs);
  if (!clientCert.ok) return clientCert;
  return {
    ok: true,
    value: { ca: ca.value, clientCert: clientCert.value, serverName, minVersion: minVersion === "TLS13" ? "TLSv1.3" : "TLSv1.2" },
  };
}

/** A bundle is read once per state of its object: thousands of subscriptions may name the same one, and then share its text. */
const bundles = new WeakMap<ConfigMapObject | SecretObject, Map<string, Resolved<string>>>();

function authorities(ref: NonNullable<TlsSpec["caRef"]>, field: string, refs: References): Resolved<string> {
  const holder = ref.kind === "ConfigMap" ? refs.named.object("ConfigMap", ref.name, field) : refs.secrets.secret(ref.name, field);
  if (isProblem(holder)) return { ok: false, problem: holder };
  const known = bundles.get(holder) ?? new Map<string, Resolved<string>>();
  bundles.set(holder, known);
  const place = `${field} ${ref.key}`;
  let bundle = known.get(place);
  if (bundle === undefined) known.set(place, (bundle = readBundle(ref, field, refs)));
  return bundle;
}

function readBundle(ref: NonNullable<TlsSpec["caRef"]>, field: string, refs: References): Resolved<string> {
  const text = ref.kind === "ConfigMap" ? refs.named.text(ref, field) : refs.secrets.text(ref, field);
  if (typeof text !== "string") return { ok: false, problem: text };
  const reason = ref.kind === "ConfigMap" ? "ConfigMapInvalid" : "SecretInvalid";
  const bundle = bundleOf(text);
  return bundle.ok
    ? { ok: true, value: bundle.pem }
    : { ok: false, problem: { field, reason, message: `${ref.kind} ${ref.name}, key ${ref.key}: ${bundle.fault}` } };
}

function bundleOf(text: string): { readonly ok: true; readonly pem: string } | { readonly ok: false; readonly fault: string } {
  if (text.length > CA_BYTES_MAX) {
    return { ok: false, fault: `the bundle is longer than ${CA_BYTES_MAX} bytes: keep the authorities that the receiver needs` };
  }
  const read = readCertificates(text);
  if (!read.ok) return read;
  if (read.certificates.length === 0) return { ok: false, fault: "it contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)" };
  const pem = read.certificates.join("\n");
  const fault = unusable({ ca: pem });
  return fault === undefined ? { ok: true, pem } : { ok: false, fault };
}

function clientCertificate(name: string, field: string, refs: References): Resolved<NonNullable<TargetTls["clientCert"]>> {
  const secret = refs.secrets.secret(name, field);
  if (isProblem(secret)) return { ok: false, problem: secret };
  const invalid = (message: string): { ok: false; problem: Problem } => ({
    ok: false,
    problem: { field, reason: "SecretInvalid", message: `the Secret ${name} ${message}` },
  });
  if (secret.type !== TLS_SECRET_TYPE) {
    return invalid(`is of type ${secret.type}, not ${TLS_SECRET_TYPE}: create it with \`kubectl create secret tls\``);
  }
  const text = refs.secrets.text({ name, key: "tls.crt" }, field);
  if (typeof text !== "string") return { ok: false, problem: text };
  const chain = readCertificates(text);
  if (!chain.ok) return invalid(`contains an incomplete tls.crt: ${chain.fault}`);
  const cert = chain.certificates.join("\n");
  const key = refs.secrets.text({ name, key: "tls.key" }, field);
  if (typeof key !== "string") return { ok: false, problem: key };
  const fault = pairFault(cert, key);
  return fault === undefined ? { ok: true, value: { cert, key } } : invalid(fault);
}

/** Never says anything of the key but that it does not fit. */
function pairFault(cert: string, key: string): string | undefined {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return "contains no readable certificate in tls.crt";
  }
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key))) return "contains a tls.key that does not belong to its tls.crt";
  } catch {
    return "contains no readable private key in tls.key";
  }
  return unusable({ cert, key });
}

/** OpenSSL has rules of its own, such as keys that are too short, and only it knows them. */
function unusable(options: SecureContextOptions): string | undefined {
  try {
    createSecureContext(options);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return `contains certificates that OpenSSL rejects (${code})`;
  }
}
