/**
 * What a client begins a connection with on a port that speaks TLS:
 *   `more`    not enough has come to say
 *   `hello`   a ClientHello, as far as one record holds it
 *   `http`    letters: a request in plain HTTP
 *   `large`   a ClientHello larger than any client makes
 *   `foreign` anything else
 */
export type FirstBytes = "more" | "hello" | "http" | "large" | "foreign";

/** A ClientHello has 200 to 2,000 bytes; with a ticket that holds a chain of certificates, a few thousand more. */
export const HELLO_BYTES_MAX = 16 * 1024;
/** RFC 8446 5.1. */
const RECORD_BYTES_MAX = 16 * 1024;
const RECORD_HEAD_BYTES = 5;
const MESSAGE_HEAD_BYTES = 4;
const HANDSHAKE_RECORD = 22;
const MAJOR_VERSION = 3;
const CLIENT_HELLO = 1;

/** Of what has come, no more than this is looked at. */
export const HEAD_BYTES = RECORD_HEAD_BYTES + MESSAGE_HEAD_BYTES;

/**
 * Pure. `head` is the beginning of what has come, `totalBytes` how much of it there is (RFC 8446 4 and 5.1). It lets nothing through whose first record is
 * not complete, so what has to be held back of one connection is one record at most.
 */
export function firstBytes(head: Uint8Array, totalBytes: number): FirstBytes {
  if (head.length === 0) return "more";
  if (head[0] !== HANDSHAKE_RECORD) return isCapital(head[0]!) ? "http" : "foreign";
  if (head.length < RECORD_HEAD_BYTES) return head.length > 1 && head[1] !== MAJOR_VERSION ? "foreign" : "more";
  const recordBytes = head[3]! * 256 + head[4]!;
  if (head[1] !== MAJOR_VERSION || recordBytes === 0 || recordBytes > RECORD_BYTES_MAX) return "foreign";
  if (head.length > RECORD_HEAD_BYTES && head[RECORD_HEAD_BYTES] !== CLIENT_HELLO) return "foreign";
  if (head.length >= HEAD_BYTES && recordBytes >= MESSAGE_HEAD_BYTES) {
    const messageBytes = head[6]! * 65_536 + head[7]! * 256 + head[8]!;
    if (messageBytes > HELLO_BYTES_MAX) return "large";
  }
  return totalBytes < RECORD_HEAD_BYTES + recordBytes ? "more" : "hello";
}

function isCapital(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
