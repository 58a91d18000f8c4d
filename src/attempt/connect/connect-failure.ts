import type { OutcomeClass } from "../../core/outcome.ts";
import { errorCode, UNKNOWN_CODE } from "../../lib/error-code.ts";

/** Why no connection came about; told to the attempt that asked for it through undici's error path. */
export class ConnectFailure extends Error {
  override readonly name = "ConnectFailure";
  readonly code: string;
  readonly outcome: Extract<OutcomeClass, "connect_error" | "dns_error" | "tls_error" | "blocked">;
  readonly tlsStatus: string;
  /** Another address of the same host would fail in the same way. */
  readonly isFinal: boolean;

  constructor(
    outcome: ConnectFailure["outcome"],
    code: string,
    message: string,
    { tlsStatus = "none", isFinal = false }: { tlsStatus?: string; isFinal?: boolean } = {},
  ) {
    super(message);
    this.outcome = outcome;
    this.code = code;
    this.tlsStatus = tlsStatus;
    this.isFinal = isFinal;
  }

  /** The same in other words. */
  saying(message: string): ConnectFailure {
    const { tlsStatus, isFinal } = this;
    return new ConnectFailure(this.outcome, this.code, message, { tlsStatus, isFinal });
  }
}

/** OpenSSL's verify codes by Node's names for them (X509_V_ERR_…, openssl-verify(1)). */
const VERIFY_CODES: Readonly<Record<string, number>> = {
  UNABLE_TO_GET_ISSUER_CERT: 2,
  UNABLE_TO_GET_CRL: 3,
  CERT_SIGNATURE_FAILURE: 7,
  CERT_NOT_YET_VALID: 9,
  CERT_HAS_EXPIRED: 10,
  DEPTH_ZERO_SELF_SIGNED_CERT: 18,
  SELF_SIGNED_CERT_IN_CHAIN: 19,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 20,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 21,
  CERT_CHAIN_TOO_LONG: 22,
  CERT_REVOKED: 23,
  INVALID_CA: 24,
  PATH_LENGTH_EXCEEDED: 25,
  INVALID_PURPOSE: 26,
  CERT_UNTRUSTED: 27,
  CERT_REJECTED: 28,
  HOSTNAME_MISMATCH: 62,
};

const TLS_MESSAGES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the receiver's certificate has expired",
  CERT_NOT_YET_VALID: "the receiver's certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the receiver's certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the receiver's certificate chain ends in one that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the receiver's certificate was issued by an authority that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the receiver's certificate was issued by an authority that is not trusted (see tls.caRef), or is sent without the intermediate ones",
  HOSTNAME_MISMATCH: "the receiver's certificate is for another host name",
  ERR_SSL_WRONG_VERSION_NUMBER: "the receiver does not speak TLS on this port",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "the receiver does not speak TLS on this port",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the receiver supports no TLS version at or above tls.minVersion",
};

/** What a receiver says in an alert (RFC 8446, 6.2), by the end of OpenSSL's name for it; the beginning differs from version to version. */
const ALERT_MESSAGES: Readonly<Record<string, string>> = {
  PROTOCOL_VERSION: "the receiver and Postrider share no TLS version (see tls.minVersion)",
  HANDSHAKE_FAILURE: "the receiver refused the handshake; it may require a client certificate (tls.clientCertSecretRef)",
  CERTIFICATE_REQUIRED: "the receiver requires a client certificate (tls.clientCertSecretRef)",
  UNKNOWN_CA: "the receiver does not trust the authority of our client certificate",
  BAD_CERTIFICATE: "the receiver refused our client certificate",
  CERTIFICATE_EXPIRED: "the receiver says that our client certificate has expired",
  CERTIFICATE_REVOKED: "the receiver says that our client certificate was revoked",
  UNSUPPORTED_CERTIFICATE: "the receiver cannot use our client certificate",
  ACCESS_DENIED: "the receiver refuses our client certificate",
  UNRECOGNIZED_NAME: "the receiver serves no host with this name (see tls.serverName)",
};

const SOCKET_MESSAGES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the receiver reset the connection",
  EHOSTUNREACH: "no route to the receiver's host",
  ENETUNREACH: "no route to the receiver's network",
  ETIMEDOUT: "the connection timed out",
};

const DNS_MESSAGES: Readonly<Record<string, string>> = {
  ENOTFOUND: "no such host name",
  ENODATA: "the host name has no address",
  ESERVFAIL: "the name server failed",
  ETIMEOUT: "no answer from the name servers in time",
  ETIMEDOUT: "no answer from the name servers in time",
  ECONNREFUSED: "the name server refused the connection",
  EREFUSED: "the name server refused to answer",
  EBADRESP: "the name server's answer is not valid",
};

/** A lookup's error as a failure. */
export function dnsFailure(host: string, error: unknown): ConnectFailure {
  const code = errorCode(error) ?? UNKNOWN_CODE;
  return new ConnectFailure("dns_error", code, `${DNS_MESSAGES[code] ?? "the host name could not be resolved"} (${host})`);
}

/** A socket's error as a failure; `handshaking`: TCP stood, so it is TLS that failed. */
export function socketFailure(error: unknown, handshaking: boolean): ConnectFailure {
  const nodeCode = errorCode(error) ?? UNKNOWN_CODE;
  if (!handshaking) return new ConnectFailure("connect_error", nodeCode, SOCKET_MESSAGES[nodeCode] ?? `no connection (${nodeCode})`);
  return tlsFailure(nodeCode);
}

/** Node's code for a TLS failure as a failure that names OpenSSL's verify code, or the alert. */
export function tlsFailure(nodeCode: string): ConnectFailure {
  const code = nodeCode === "ERR_TLS_CERT_ALTNAME_INVALID" ? "HOSTNAME_MISMATCH" : nodeCode;
  const number = VERIFY_CODES[code];
  const alert = /ALERT_([A-Z_]+)$|TLSV1_(UNRECOGNIZED_NAME)$/.exec(code);
  const said = ALERT_MESSAGES[alert?.[1] ?? alert?.[2] ?? ""];
  const what =
    TLS_MESSAGES[code] ?? said ?? (number === undefined ? "the TLS handshake failed" : "the receiver's certificate is not valid");
  const tlsStatus = number === undefined ? code : `${code} (${number})`;
  // A connection that breaks within the handshake says nothing of the name's other addresses; what OpenSSL says of the receiver does.
  const isFinal = number !== undefined || code.startsWith("ERR_");
  return new ConnectFailure("tls_error", code, `${what}: ${tlsStatus}`, { tlsStatus, isFinal });
}

/** OpenSSL does not take what spec.endpoint.tls names. */
export function unusableCertificates(error: unknown): ConnectFailure {
  const code = errorCode(error) ?? UNKNOWN_CODE;
  return new ConnectFailure("tls_error", code, `the certificates of spec.endpoint.tls cannot be used: ${code}`, { isFinal: true });
}

/** Whether a code is one of OpenSSL's: with TLS 1.3 a receiver refuses our certificate only after the handshake has ended for us. */
export function isTlsCode(code: string): boolean {
  return code.startsWith("ERR_SSL_");
}
