import { createHash } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import type { TargetTls } from "../../core/subscription.ts";

/** Contexts kept at hand. A bundle of all public authorities takes OpenSSL milliseconds and megabytes to read. */
const CONTEXTS_MAX = 128;

/** Certificates and TLS versions made ready for OpenSSL, shared by all endpoints that say the same. */
export class TlsContexts {
  readonly #ca: readonly string[] | undefined;
  readonly usual: SecureContext;
  readonly #contexts = new Map<string, SecureContext>();

  /** `ca`: PEM certificates trusted instead of Node's own list. */
  constructor(ca: readonly string[] | undefined) {
    this.#ca = ca;
    this.usual = createSecureContext(ca === undefined ? {} : { ca: [...ca] });
  }

  /** @throws where OpenSSL cannot read what was resolved. */
  contextOf(tls: TargetTls | undefined): SecureContext {
    if (tls === undefined) return this.usual;
    const { ca, clientCert, minVersion } = tls;
    const key = createHash("sha256")
      .update(JSON.stringify([ca, clientCert?.cert, clientCert?.key, minVersion]))
      .digest("base64");
    const known = this.#contexts.get(key);
    if (known !== undefined) this.#contexts.delete(key);
    const trusted = ca ?? (this.#ca === undefined ? undefined : [...this.#ca]);
    const context =
      known ??
      createSecureContext({
        minVersion,
        ...(trusted === undefined ? {} : { ca: trusted }),
        ...(clientCert === undefined ? {} : { cert: clientCert.cert, key: clientCert.key }),
      });
    this.#contexts.set(key, context);
    if (this.#contexts.size > CONTEXTS_MAX) this.#contexts.delete(this.#contexts.keys().next().value ?? "");
    return context;
  }
}

/** Whether two endpoints may share connections as far as TLS goes. */
export function sameTls(a: TargetTls | undefined, b: TargetTls | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return (
    a.ca === b.ca &&
    a.clientCert?.cert === b.clientCert?.cert &&
    a.clientCert?.key === b.clientCert?.key &&
    a.serverName === b.serverName &&
    a.minVersion === b.minVersion
  );
}
