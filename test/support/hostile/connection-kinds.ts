import { say } from "./hostile-kind.ts";
import type { HostileKind } from "./hostile-kind.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const CLOSED = { class: "connect_error", connectionStatus: "ECONNRESET", message: /^the receiver (closed|reset) the connection/ } as const;
/** What a keep-alive poisoner wants the next delivery to be credited with. */
export const POISON = "poison";
const POISONED_ANSWER = `HTTP/1.1 200 OK\r\nx-${POISON}: 1\r\ncontent-length: 6\r\n\r\n${POISON}`;
/** A record header that announces a ServerHello of 16 KiB, and its first bytes. */
const HALF_SERVER_HELLO = "\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03";

/** Receivers that are hostile with the connection itself. */
export const CONNECTION_KINDS: readonly HostileKind[] = [
  { name: "closes before the request", on: "accept", act: (socket) => void socket.end(), expected: CLOSED },
  { name: "closes before it answers", act: (socket) => void socket.end(), expected: CLOSED },
  { name: "closes within its head", act: (socket) => void socket.end(`${OK}content-le`), expected: CLOSED },
  { name: "resets at accept", on: "accept", act: (socket) => void socket.resetAndDestroy(), expected: CLOSED },
  { name: "resets before it answers", act: (socket) => void socket.resetAndDestroy(), expected: CLOSED },
  {
    name: "resets within its body",
    act: (socket) => void socket.write(`${OK}content-length: 100\r\n\r\nhalf`, () => setImmediate(() => socket.resetAndDestroy())),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK; its body broke off/ },
  },
  {
    name: "half-closes and goes on reading",
    // The server is made with allowHalfOpen: `end` shuts its sending side only.
    act: (socket) => void socket.end(),
    expected: CLOSED,
  },
  {
    name: "answers and half-closes without a length",
    act: (socket) => void socket.end(`${OK}\r\nall of it`),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK$/ },
  },
  {
    name: "answers twice at once",
    act: (socket) => say(socket, `${OK}content-length: 2\r\n\r\nok${POISONED_ANSWER}`),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK$/ },
  },
  {
    name: "answers a second time unasked",
    act: (socket) => (say(socket, `${OK}content-length: 2\r\n\r\nok`), void setImmediate(() => say(socket, POISONED_ANSWER))),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK$/ },
  },
  {
    name: "answers 204 with a body that is an answer",
    act: (socket) => say(socket, `HTTP/1.1 204 X\r\ncontent-length: ${POISONED_ANSWER.length}\r\n\r\n${POISONED_ANSWER}`),
    expected: { class: "success", statusCode: 204, message: /^HTTP 204 No Content$/ },
  },
  {
    name: "half a TLS handshake",
    scheme: "https",
    act: (socket) => say(socket, HALF_SERVER_HELLO),
    expected: { class: "connect_error", connectionStatus: "ETIMEDOUT", message: /^the TLS handshake did not end within/ },
  },
  {
    name: "TLS garbage",
    scheme: "https",
    act: (socket) => say(socket, "\x16\x03\x03\x00\x05hello\x15\xff\xff"),
    expected: { class: "tls_error", tlsStatus: /./, message: /^the TLS handshake failed/ },
  },
  {
    name: "no TLS at all",
    scheme: "https",
    act: (socket) => say(socket, `${OK}content-length: 0\r\n\r\n`),
    expected: { class: "tls_error", tlsStatus: /./, message: /^the receiver does not speak TLS on this port/ },
  },
  {
    name: "closes within the TLS handshake",
    scheme: "https",
    act: (socket) => void socket.end(HALF_SERVER_HELLO, "latin1"),
    expected: { class: "tls_error", tlsStatus: /./, message: /^the TLS handshake failed/ },
  },
  {
    name: "a fatal TLS alert",
    scheme: "https",
    act: (socket) => void socket.end("\x15\x03\x03\x00\x02\x02\x28", "latin1"),
    expected: { class: "tls_error", tlsStatus: /./, message: /TLS/ },
  },
];
