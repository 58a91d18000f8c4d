import { expect, it } from "vitest";
import { writeAccept, writeCall, writeClaims } from "../../../src/store/sqlite/message.ts";
import { PacketWriter } from "../../../src/store/sqlite/packet.ts";
import { BATCH_ROWS_MAX, WriteLine } from "../../../src/store/sqlite/write-line.ts";
import { delivery, event, item, START_MS } from "../../conformance/store/fixture.ts";

type Ask = (out: PacketWriter, callId: number) => void;

const accept =
  (namespace: string, deliveries: number, bytes = 2): Ask =>
  (out, callId) =>
    writeAccept(out, callId, {
      namespace,
      nowMs: START_MS,
      items: [item({ event: event({ data: new Uint8Array(bytes) }), deliveries: Array.from({ length: deliveries }, () => delivery()) })],
    });
const claim =
  (claims: number): Ask =>
  (out, callId) =>
    writeClaims(
      out,
      callId,
      Array.from({ length: claims }, (_, id) => ({ id, epoch: 1, lone: false, withEvent: false })),
    );

/** What is asked in this order comes out in these batches. */
function batchesOf(asks: readonly Ask[]): number[][] {
  const line = new WriteLine();
  const out = new PacketWriter();
  for (const [callId, ask] of asks.entries()) ask(out, callId);
  line.push(out.take().packet);
  const batches: number[][] = [];
  for (let batch = line.take(); batch.length > 0; batch = line.take()) batches.push(batch.map(({ operation }) => operation.callId));
  return batches;
}

it("bounds a commit by rows, not by operations", () => {
  const batches = batchesOf(Array.from({ length: 10 }, () => accept("shop", BATCH_ROWS_MAX / 4 - 2)));
  expect(batches.map((batch) => batch.length)).toEqual([4, 4, 2]);
});

it("lets what is larger than a commit go alone, and what is small go between", () => {
  const large = BATCH_ROWS_MAX + 1;
  const asks = [accept("crowd", large), accept("crowd", large), accept("mob", large), accept("shop", 1), accept("depot", 1), claim(3)];
  expect(batchesOf(asks)).toEqual([[0], [5, 3, 4], [2], [1]]);
});

it("lets namespaces take turns: one single request waits for one commit at most, however many another has", () => {
  const many = Array.from({ length: 2_000 }, () => accept("crowd", 2));
  const [first] = batchesOf([...many, accept("shop", 1)]);
  expect(first).toContain(many.length);
  expect(first?.length).toBeLessThanOrEqual(500);
});

it("leaves half of each commit to accepts while the engine has more than that to write", () => {
  const [first, second] = batchesOf([...Array.from({ length: 8 }, () => claim(BATCH_ROWS_MAX / 4)), accept("shop", 1)]);
  expect(first).toEqual([0, 1, 8]);
  expect(second).toEqual([2, 3, 4, 5]);
});

it("counts the bytes of events, and those of notes of the engine", () => {
  const note: Ask = (out, callId) =>
    writeCall(out, callId, { method: "putState", args: [[{ kind: "meta", key: "k", value: "x".repeat(3_000_000) }]] });
  expect(batchesOf([accept("shop", 1, 3_000_000), accept("shop", 1, 3_000_000)])).toEqual([[0], [1]]);
  expect(batchesOf([note, note])).toEqual([[0], [1]]);
});

it("keeps the order within a namespace and of the engine's writes", () => {
  const asks = Array.from({ length: 3_000 }, (_, i) => (i % 3 === 0 ? claim(1) : accept(i % 3 === 1 ? "shop" : "depot", i % 7)));
  const flat = batchesOf(asks).flat();
  expect(flat.toSorted((a, b) => a - b)).toEqual(asks.map((_, i) => i));
  for (const kind of [0, 1, 2]) {
    const own = flat.filter((callId) => callId % 3 === kind);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  }
});
