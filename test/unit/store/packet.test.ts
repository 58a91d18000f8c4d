import { expect, test } from "vitest";
import { PacketReader, PacketWriter } from "../../../src/store/sqlite/packet.ts";

const bytesOf = (length: number, from: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (from + i) % 251);

test("what was written is read in its order: numbers, flags, texts, bytes, and what is undefined", () => {
  const out = new PacketWriter();
  const large = bytesOf(3_000_000, 7);
  const part = large.subarray(1_000, 1_010);
  out.number(1.5);
  out.blob(bytesOf(3, 1));
  out.string("żółć");
  out.blob(undefined);
  out.flag(true);
  out.blob(new Uint8Array());
  out.blob(large);
  out.string(undefined);
  out.blob(part);
  out.optionalNumber(undefined);
  const from = new PacketReader(out.take().packet);
  expect(from.number()).toBe(1.5);
  expect(from.blob()).toEqual(bytesOf(3, 1));
  expect(from.string()).toBe("żółć");
  expect(from.blob()).toBeUndefined();
  expect(from.flag()).toBe(true);
  expect(from.blob()).toEqual(new Uint8Array());
  expect(Buffer.compare(from.blob() ?? new Uint8Array(), large)).toBe(0);
  expect(from.optionalString()).toBeUndefined();
  expect(from.blob()).toEqual(part);
  expect(from.optionalNumber()).toBeUndefined();
  expect(from.done).toBe(true);
});

test("a packet holds nothing of the one before, and its bytes are its own", () => {
  const out = new PacketWriter();
  const value = bytesOf(10, 0);
  out.blob(value);
  out.string("first");
  const first = out.take();
  out.blob(bytesOf(2, 100));
  const second = out.take();
  // The bytes may become something else as soon as the packet is made.
  value.fill(0);
  expect(new PacketReader(first.packet).blob()).toEqual(bytesOf(10, 0));
  expect(first.transfer).toEqual([first.packet.buffer]);
  expect(second.packet.buffer.byteLength).toBe(Float64Array.BYTES_PER_ELEMENT + 2);
  expect(second.packet.text).toBe("");
  expect(new PacketReader(second.packet).blob()).toEqual(bytesOf(2, 100));
});

test("thousands of values in one packet", () => {
  const out = new PacketWriter();
  for (let n = 0; n < 5_000; n++) {
    out.number(n);
    out.string(`t${n}`);
    out.blob(bytesOf(n % 5, n));
  }
  const from = new PacketReader(out.take().packet);
  for (let n = 0; n < 5_000; n++) expect([from.number(), from.string(), from.blob()]).toEqual([n, `t${n}`, bytesOf(n % 5, n)]);
});
