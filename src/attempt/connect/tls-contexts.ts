import { createHash } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import type { TargetTls } from "../../core/subscription.ts";
import { isIdentical, sameBy } from "../../lib/comparison.ts";
import { RecentMap } from "../../lib/recent-map.ts";

/** Contexts kept at hand; the one unused for longest goes first. A bundle of all public authorities takes OpenSSL milliseconds and megabytes to read. */
const CONTEXTS_MAX = 128;

/** Certificates and TLS versions made ready for OpenSSL, shared by all endpoints that say the same. */
export class TlsContexts {
  readonly #ca: readonly string[] | undefined;
  readonly usual: SecureContext;
  readonly #contexts = new RecentMap<string, SecureContext>(CONTEXTS_MAX);

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
    const trusted = ca ?? (this.#ca === undefined ? undefined : [...this.#ca]);
    const context =
      known ??
      createSecureContext({
        minVersion,
        ...(trusted === undefined ? {} : { ca: trusted }),
        ...(clientCert === undefined ? {} : { cert: clientCert.cert, key: clientCert.key }),
      });
    this.#contexts.set(key, context);
    return context;
  }
}

/** Whether two endpoints may share connections as far as TLS goes. */
export const sameTls = sameBy<TargetTls>({
  ca: isIdentical,
  clientCert: sameBy<NonNullable<TargetTls["clientCert"]>>({ cert: isIdentical, key: isIdentical }),
  serverName: isIdentical,
  minVersion: isIdentical,
});
