import { constants } from "node:crypto";
import type { TlsOptions } from "node:tls";
import type { Identity } from "./identity.ts";

/** TLS 1.3, and of TLS 1.2 what has forward secrecy and authenticated encryption. */
const CIPHERS =
  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/**
 * How our servers speak TLS. Clients' certificates are judged by whoever serves them, who can say why one is refused; so that each connection
 * shows one that is valid now, no session is resumed where they are needed. A renegotiation would cost another handshake on a connection that is
 * bounded as one.
 */
export function serverOptions({ certificate, key, clientAuthorities }: Identity): TlsOptions {
  const needsClient = clientAuthorities !== undefined;
  return {
    cert: certificate,
    key,
    ...(needsClient ? { ca: [...clientAuthorities] } : {}),
    requestCert: needsClient,
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
    ciphers: CIPHERS,
    ALPNProtocols: ["http/1.1"],
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (needsClient ? constants.SSL_OP_NO_TICKET : 0),
  };
}
