import { gzipSync } from "node:zlib";
import { flood, say } from "./hostile-kind.ts";
import type { HostileKind } from "./hostile-kind.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const BROKEN_HTTP = {
  class: "connect_error",
  message: /^the receiver's answer is not valid HTTP(: [A-Z]|, or contradicts its own length)/,
} as const;
/** 64 MiB of zeros in 64 KiB. */
const BOMB = gzipSync(Buffer.alloc(64 * 1024 * 1024)).toString("latin1");

function status(line: string, code: number): HostileKind {
  return {
    name: `status ${line}`,
    act: (socket) => say(socket, `HTTP/1.1 ${line} X\r\ncontent-length: 0\r\n\r\n`),
    expected: { class: "client_error", statusCode: code, message: new RegExp(`status ${code}, which HTTP does not define`) },
  };
}

function redirect(code: number): HostileKind {
  return {
    name: `redirects to itself with ${code}`,
    act: (socket) =>
      say(socket, `HTTP/1.1 ${code} X\r\nlocation: http://127.0.0.1:${socket.localPort}/next?token=hidden\r\ncontent-length: 0\r\n\r\n`),
    expected: { class: "client_error", statusCode: code, message: /redirect to http:\/\/127\.0\.0\.1:\d+\/next.* not followed/ },
  };
}

function answers(name: string, bytes: string, expected: HostileKind["expected"], ends = false): HostileKind {
  return { name, act: (socket) => (ends ? void socket.end(bytes, "latin1") : say(socket, bytes)), expected };
}

const success = (message: RegExp): HostileKind["expected"] => ({ class: "success", statusCode: 200, message });

/** Receivers whose answer is no answer, or one that wants to be misread. */
export const ANSWER_KINDS: readonly HostileKind[] = [
  status("000", 0),
  status("099", 99),
  status("999", 999),
  answers("status -1", "HTTP/1.1 -1 X\r\n\r\n", BROKEN_HTTP),
  answers("status 2000", "HTTP/1.1 2000 X\r\n\r\n", BROKEN_HTTP),
  ...[301, 302, 303, 307, 308].map(redirect),
  answers("redirects to bytes", "HTTP/1.1 302 X\r\nlocation: http://\xff\xfe@\x80/\r\ncontent-length: 0\r\n\r\n", {
    class: "client_error",
    statusCode: 302,
    message: /redirect.* not followed/,
  }),
  answers("a gzip bomb", `${OK}content-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n${BOMB}`, success(/^HTTP 200 OK$/)),
  answers("a flood of cookies", `${OK}${"set-cookie: a=b\r\n".repeat(600)}content-length: 0\r\n\r\n`, success(/^HTTP 200 OK$/)),
  answers("a flood of long cookies", `${OK}${`set-cookie: a=${"b".repeat(1_000)}\r\n`.repeat(600)}content-length: 0\r\n\r\n`, {
    class: "connect_error",
    connectionStatus: "UND_ERR_HEADERS_OVERFLOW",
    message: /head of the receiver's answer is too long/,
  }),
  {
    name: "a Retry-After of 100 MB",
    act: (socket) => {
      say(socket, "HTTP/1.1 503 X\r\nretry-after: ");
      flood(socket, Buffer.alloc(64 * 1024, "9"));
    },
    expected: {
      class: "connect_error",
      connectionStatus: "UND_ERR_HEADERS_OVERFLOW",
      message: /head of the receiver's answer is too long/,
    },
  },
  answers("a Retry-After of 10,000 digits", `HTTP/1.1 503 X\r\nretry-after: ${"9".repeat(10_000)}\r\ncontent-length: 0\r\n\r\n`, {
    class: "server_error",
    statusCode: 503,
    message: /^HTTP 503 Service Unavailable$/,
  }),
  answers("a bare CR in a header", `${OK}x-a: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n`, BROKEN_HTTP),
  answers("a NUL in a header", `${OK}x-a: a\0b\r\ncontent-length: 0\r\n\r\n`, BROKEN_HTTP),
  // A user agent MUST read it as one line (RFC 9112, 5.2).
  answers("a folded header", `${OK}x-a: a\r\n set-cookie: b\r\ncontent-length: 0\r\n\r\n`, success(/^HTTP 200 OK$/)),
  answers("escape codes in a header", `${OK}x-a: \x1b[2J\x1b]0;owned\x07\r\ncontent-length: 0\r\n\r\n`, BROKEN_HTTP),
  // A proxy MUST take it out of an answer (RFC 9112, 5.1); so do we.
  answers("a space before the colon", `${OK}content-length : 5\r\n\r\nhello`, success(/^HTTP 200 OK$/)),
  answers("less than its length", `${OK}content-length: 10\r\n\r\nfour`, success(/^HTTP 200 OK; its body broke off/), true),
  answers("more than its length", `${OK}content-length: 4\r\n\r\nfour and more`, success(/^HTTP 200 OK$/)),
  answers("a negative length", `${OK}content-length: -1\r\n\r\n`, BROKEN_HTTP),
  answers("two lengths", `${OK}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd`, BROKEN_HTTP),
  answers("a length beyond 64 bits", `${OK}content-length: 99999999999999999999999\r\n\r\nabcd`, BROKEN_HTTP),
  answers("a length beside chunked", `${OK}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, BROKEN_HTTP),
  answers("chunks that are none", `${OK}transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n`, success(/^HTTP 200 OK; its body broke off/)),
  answers(
    "a chunk size beyond 64 bits",
    `${OK}transfer-encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nx`,
    success(/^HTTP 200 OK; its body broke off/),
  ),
  answers("chunked twice", `${OK}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, success(/^HTTP 200 OK$/)),
  answers("HTTP/0.9", "<html>hello</html>", BROKEN_HTTP, true),
  answers("HTTP/9.9", "HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n", BROKEN_HTTP),
  answers("an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", BROKEN_HTTP),
  answers("HTTP/2 frames", "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\0\x40\0", BROKEN_HTTP),
  answers("an SMTP greeting", "220 mail.example.com ESMTP\r\n", BROKEN_HTTP),
  answers("a request instead of an answer", "POST / HTTP/1.1\r\nhost: x\r\n\r\n", BROKEN_HTTP),
  answers("an upgrade nobody asked for", "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", {
    class: "connect_error",
    connectionStatus: "UNASKED_UPGRADE",
    message: /^the receiver switched protocols \(status 101\)/,
  }),
];
