import type { TLSSocket } from "node:tls";
import { validityOf } from "./validity.ts";

/** A client's certificate: valid until then, ms since the Unix epoch, or why not, for a person. */
export type ClientCertificate = { readonly ok: true; readonly untilMs: number } | { readonly ok: false; readonly detail: string };

const MISSING = "This port requires a client certificate, and the client sent none: send one that the port's client authority has issued.";

const FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has expired: renew it",
  CERT_NOT_YET_VALID: "is not valid yet: check the clocks of both machines",
  INVALID_PURPOSE: "may not be used by clients: issue it with the extended key usage clientAuth",
};
const FOREIGN =
  "is not issued by an authority that this port accepts: send one that its client authority has issued, with the intermediate certificates";

/** Judges what a client has shown in its handshake. A connection without one may not ask anything of a port that requires it. */
export function judgeClient(socket: Pick<TLSSocket, "authorized" | "authorizationError" | "getPeerX509Certificate">): ClientCertificate {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { ok: false, detail: MISSING };
  if (socket.authorized) return { ok: true, untilMs: validityOf(certificate).notAfterMs };
  const code = String(socket.authorizationError);
  return { ok: false, detail: `The client certificate ${FAULTS[code] ?? FOREIGN} (${code.slice(0, 64)}).` };
}

/** For a certificate that has expired since its connection was opened. */
export const EXPIRED_SINCE = `The client certificate ${FAULTS["CERT_HAS_EXPIRED"]}.`;
