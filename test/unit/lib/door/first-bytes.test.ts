import { describe, expect, it } from "vitest";
import { firstBytes, HEAD_BYTES, HELLO_BYTES_MAX } from "../../../../src/lib/door/first-bytes.ts";

/** A record with a message that says it has so many bytes. */
function record(recordBytes: number, messageBytes: number, type = 1): Buffer {
  const head = Buffer.from([
    22,
    3,
    1,
    recordBytes >> 8,
    recordBytes & 255,
    type,
    messageBytes >> 16,
    (messageBytes >> 8) & 255,
    messageBytes & 255,
  ]);
  return Buffer.concat([head, Buffer.alloc(Math.max(0, recordBytes - 4))]);
}

const judged = (bytes: Uint8Array): string => firstBytes(bytes.subarray(0, HEAD_BYTES), bytes.length);

describe("what a connection begins with", () => {
  it.each([
    ["nothing", Buffer.alloc(0), "more"],
    ["a ClientHello", record(200, 196), "hello"],
    ["a ClientHello and what follows", Buffer.concat([record(200, 196), Buffer.alloc(9)]), "hello"],
    ["all of it but a byte", record(200, 196).subarray(0, 204), "more"],
    ["its type alone", Buffer.from([22]), "more"],
    ["the largest", record(16_384, HELLO_BYTES_MAX), "hello"],
    ["one byte more than the largest", record(16_384, HELLO_BYTES_MAX + 1), "large"],
    ["the first record of several", record(100, 8_000), "hello"],
    ["a record too small for a message's head", Buffer.from([22, 3, 3, 0, 2, 1, 0]), "hello"],
    ["a record that is too long", Buffer.from([22, 3, 1, 64, 1]), "foreign"],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0]), "foreign"],
    ["another message", record(200, 196, 2), "foreign"],
    ["SSL 2", Buffer.from([128, 46, 1, 3, 1]), "foreign"],
    ["another version", Buffer.from([22, 2]), "foreign"],
    ["an alert", Buffer.from([21, 3, 1, 0, 2, 1, 0]), "foreign"],
    ["GET", Buffer.from("G"), "http"],
    ["POST", Buffer.from("POST / HTTP/1.1"), "http"],
    ["small letters", Buffer.from("get /"), "foreign"],
  ] as const)("%s", (_what, bytes, expected) => {
    expect(judged(bytes)).toBe(expected);
  });

  it("is judged the same however it is cut", () => {
    const bytes = record(300, 296);
    for (let cut = 0; cut < bytes.length; cut++) expect(judged(bytes.subarray(0, cut))).toBe("more");
  });
});
