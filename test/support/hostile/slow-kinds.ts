import { drip, flood, say } from "./hostile-kind.ts";
import type { HostileKind } from "./hostile-kind.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const NO_ANSWER = { class: "timeout", connectionStatus: "ETIMEDOUT", message: /^no answer within/ } as const;
const HALF_A_HEAD = {
  class: "timeout",
  connectionStatus: "ETIMEDOUT",
  message: /answer had started, but its head was incomplete after/,
} as const;
/** After any deadline these tests set. */
const LATE_MS = 4_200;
const FLOOD_PIECE = Buffer.alloc(64 * 1024, "x");

/** Receivers that want our time or our memory. */
export const SLOW_KINDS: readonly HostileKind[] = [
  { name: "never answers", act: () => undefined, expected: NO_ANSWER },
  {
    name: "never accepts",
    neverAccepts: true,
    act: () => undefined,
    expected: { class: "connect_error", connectionStatus: "ETIMEDOUT", message: /^no connection within/ },
  },
  { name: "drips its head, byte by byte", act: (socket) => (say(socket, OK), drip(socket, "x")), expected: HALF_A_HEAD },
  { name: "drips headers without end", act: (socket) => (say(socket, OK), drip(socket, "a: b\r\n")), expected: HALF_A_HEAD },
  {
    name: "drips its body",
    act: (socket) => (say(socket, `${OK}content-length: 100000\r\n\r\n`), drip(socket, "x")),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK; its body had not ended after/ },
  },
  {
    name: "drips empty chunk extensions",
    act: (socket) => (say(socket, `${OK}transfer-encoding: chunked\r\n\r\n1;`), drip(socket, "a=b;")),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK; its body had not ended after/ },
  },
  {
    name: "answers after the deadline",
    act: (socket) => void setTimeout(() => say(socket, `${OK}content-length: 4\r\n\r\nlate`), LATE_MS),
    expected: NO_ANSWER,
  },
  {
    name: "sends headers without end",
    act: (socket) => (say(socket, OK), flood(socket, Buffer.from("x-a: bbbbbbbbbbbbbbbb\r\n".repeat(1_000)))),
    expected: {
      class: "connect_error",
      connectionStatus: "UND_ERR_HEADERS_OVERFLOW",
      message: /head of the receiver's answer is too long/,
    },
  },
  {
    name: "sends one header without end",
    act: (socket) => (say(socket, `${OK}x-a: `), flood(socket, FLOOD_PIECE)),
    expected: {
      class: "connect_error",
      connectionStatus: "UND_ERR_HEADERS_OVERFLOW",
      message: /head of the receiver's answer is too long/,
    },
  },
  {
    name: "sends a reason without end",
    act: (socket) => (say(socket, "HTTP/1.1 200 "), flood(socket, FLOOD_PIECE)),
    expected: { class: "connect_error", message: /head of the receiver's answer is too long/ },
  },
  {
    name: "floods 103 Early Hints",
    act: (socket) => flood(socket, Buffer.from("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(100))),
    expected: { class: "connect_error", connectionStatus: "INTERIM_FLOOD", message: /more than 16 interim answers/ },
  },
  {
    name: "drips 103 Early Hints",
    act: (socket) => drip(socket, "HTTP/1.1 103 Early Hints\r\n\r\n"),
    expected: { class: "connect_error", connectionStatus: "INTERIM_FLOOD", message: /more than 16 interim answers/ },
  },
  {
    name: "sends a body without end",
    act: (socket) => (say(socket, `${OK}\r\n`), flood(socket, FLOOD_PIECE)),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK$/ },
  },
  {
    name: "sends chunks without end",
    act: (socket) => (say(socket, `${OK}transfer-encoding: chunked\r\n\r\n`), flood(socket, Buffer.from("1\r\nx\r\n".repeat(5_000)))),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK$/ },
  },
  {
    name: "sends trailers without end",
    act: (socket) => (
      say(socket, `${OK}transfer-encoding: chunked\r\n\r\n0\r\n`),
      flood(socket, Buffer.from("x-a: bbbbbbbbbbbbbbbb\r\n".repeat(1_000)))
    ),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK; its body broke off/ },
  },
  {
    name: "sends a chunk extension without end",
    act: (socket) => (say(socket, `${OK}transfer-encoding: chunked\r\n\r\n1;`), flood(socket, FLOOD_PIECE)),
    expected: { class: "success", statusCode: 200, message: /^HTTP 200 OK; its body/ },
  },
];
