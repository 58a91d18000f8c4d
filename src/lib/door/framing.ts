/**
 * Why a request is not looked at: its connection must end with the answer. For what follows on it may be part of the request or not; or its client may not
 * ask anything.
 */
export interface FramingFault {
  readonly code: "duplicate_header" | "malformed_request" | "coding_unsupported" | "client_certificate_refused";
  /** What is wrong and what to do, for a person. */
  readonly detail: string;
}

/** What of a request decides where it ends and for whom it is. */
export interface Framed {
  readonly httpVersion: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
}

const HOST = "host";
const TRANSFER_ENCODING = "transfer-encoding";
/** `uri-host [ ":" port ]` (RFC 9110 7.2, RFC 3986 3.2.2); it may be empty. */
const HOST_VALUE = /^(?:\[[0-9A-Za-z:.%_~-]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::\d*)?$/;
/** What nearly all of them look like; the whole rule takes four times as long. */
const PLAIN_HOST = /^[A-Za-z0-9.-]+(?::\d+)?$/;

/**
 * What two servers in a row could read differently is refused: a Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1), one other than exactly `chunked`,
 * and on HTTP/1.1 a Host that is missing, stands twice or is no host (RFC 9112 3.2). Undefined when all is well.
 */
export function framingFault({ httpVersion, rawHeaders }: Framed): FramingFault | undefined {
  let host: string | undefined;
  let coding: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === HOST.length && name.toLowerCase() === HOST) {
      if (host !== undefined) return twice(HOST);
      host = rawHeaders[i + 1] ?? "";
    } else if (name.length === TRANSFER_ENCODING.length && name.toLowerCase() === TRANSFER_ENCODING) {
      if (coding !== undefined) return twice(TRANSFER_ENCODING);
      coding = rawHeaders[i + 1] ?? "";
    }
  }
  return hostFault(host, httpVersion) ?? (coding === undefined ? undefined : codingFault(coding, httpVersion));
}

function hostFault(host: string | undefined, httpVersion: string): FramingFault | undefined {
  if (host === undefined) {
    return httpVersion === "1.0" ? undefined : { code: "malformed_request", detail: "HTTP/1.1 needs a Host header (RFC 9112 3.2)." };
  }
  return PLAIN_HOST.test(host) || HOST_VALUE.test(host)
    ? undefined
    : { code: "malformed_request", detail: "Header 'host' is not a host name (RFC 9112 3.2)." };
}

function codingFault(coding: string, httpVersion: string): FramingFault | undefined {
  if (httpVersion === "1.0") {
    return { code: "malformed_request", detail: "HTTP/1.0 has no Transfer-Encoding (RFC 9112 6.1): send Content-Length, or use HTTP/1.1." };
  }
  if (coding.toLowerCase() === "chunked") return undefined;
  return {
    code: "coding_unsupported",
    detail: "Only Transfer-Encoding: chunked is supported: remove every other coding, or send Content-Length.",
  };
}

function twice(name: string): FramingFault {
  return { code: "duplicate_header", detail: `Header '${name}' appears twice: send it once.` };
}

/** Path and query of a request target; the absolute form must be understood too (RFC 9112 3.2.2). */
export function localTarget(url: string): string {
  if (url.startsWith("/")) return url;
  const local = url.replace(/^https?:\/\/[^/?#]*/i, "");
  // The path of an absolute form may be empty.
  return local.startsWith("/") || local === url ? local : `/${local}`;
}
