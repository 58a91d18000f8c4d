import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { recordKept, storageShare, type StorageLimit, type StorageShare } from "../../../src/core/storage-share.ts";

const MI = 2 ** 20;
const GI = 2 ** 30;

interface Row {
  readonly what: string;
  readonly room: number;
  readonly others: number;
  readonly limit: StorageLimit;
  readonly bytes: number;
  readonly by: StorageShare["by"];
}

const ROWS: readonly Row[] = [
  { what: "alone on 10 Gi: a quarter", room: 10 * GI, others: 0, limit: "none", bytes: 2.5 * GI, by: "default" },
  { what: "alone on 100 Gi: a quarter", room: 100 * GI, others: 0, limit: "none", bytes: 25 * GI, by: "default" },
  { what: "alone on 3 Gi: 1 Gi, which is more than a quarter", room: 3 * GI, others: 0, limit: "none", bytes: GI, by: "default" },
  { what: "alone on 1 Gi: half, not 1 Gi", room: GI, others: 0, limit: "none", bytes: 512 * MI, by: "others" },
  { what: "alone on 64 Mi: half", room: 64 * MI, others: 0, limit: "none", bytes: 32 * MI, by: "others" },
  { what: "others hold little: still the default", room: 10 * GI, others: GI, limit: "none", bytes: 2.5 * GI, by: "default" },
  { what: "others hold most: half of what they leave", room: 10 * GI, others: 8 * GI, limit: "none", bytes: GI, by: "others" },
  { what: "others hold nearly all: the floor", room: 10 * GI, others: 9.9 * GI, limit: "none", bytes: 256 * MI, by: "others" },
  { what: "others hold more than there is: the floor", room: 10 * GI, others: 12 * GI, limit: "none", bytes: 256 * MI, by: "others" },
  { what: "the floor of a small volume is small", room: 320 * MI, others: 320 * MI, limit: "none", bytes: 10 * MI, by: "others" },
  { what: "a limit holds as it stands", room: 10 * GI, others: 0, limit: 5 * GI, bytes: 5 * GI, by: "limit" },
  { what: "a limit may be above the default's half", room: 10 * GI, others: 0, limit: 7 * GI, bytes: 7 * GI, by: "limit" },
  { what: "a limit above the volume leaves a quarter of it", room: 10 * GI, others: 0, limit: 50 * GI, bytes: 7.5 * GI, by: "others" },
  { what: "a limit counts what others hold", room: 10 * GI, others: 4 * GI, limit: 50 * GI, bytes: 3.5 * GI, by: "others" },
  { what: "a limit beside a full volume: the floor", room: 10 * GI, others: 10 * GI, limit: 5 * GI, bytes: 256 * MI, by: "others" },
  { what: "a limit below the floor holds", room: 10 * GI, others: 0, limit: 10 * MI, bytes: 10 * MI, by: "limit" },
  { what: "a limit below the floor holds beside others too", room: 10 * GI, others: 10 * GI, limit: 10 * MI, bytes: 10 * MI, by: "limit" },
  { what: "policies not read yet: as with a limit that is high", room: 10 * GI, others: 0, limit: "unread", bytes: 7.5 * GI, by: "others" },
  { what: "no room at all", room: 0, others: 0, limit: "none", bytes: 0, by: "others" },
  { what: "less than no room", room: -5 * GI, others: 3 * GI, limit: 5 * GI, bytes: 0, by: "others" },
];

describe("how much a namespace may hold", () => {
  it.each(ROWS)("$what", ({ room, others, limit, bytes, by }) => {
    expect(storageShare({ roomBytes: room, othersBytes: others, limit })).toEqual({ bytes, by });
  });

  const limits = fc.oneof(fc.constant<StorageLimit>("none"), fc.constant<StorageLimit>("unread"), fc.integer({ min: MI, max: 2_000 * GI }));

  it("is for nobody alone so much that the volume would be full", () => {
    fc.assert(
      fc.property(fc.integer({ min: MI, max: 1_000 * GI }), limits, (roomBytes, limit) => {
        expect(storageShare({ roomBytes, othersBytes: 0, limit }).bytes).toBeLessThanOrEqual(roomBytes * 0.75);
      }),
    );
  });

  it("is beside greedy ones still the floor, and a few of them do not fill the volume", () => {
    fc.assert(
      fc.property(fc.integer({ min: MI, max: 1_000 * GI }), fc.array(limits, { minLength: 1, maxLength: 4 }), (roomBytes, greedy) => {
        let total = 0;
        for (const limit of greedy) total += storageShare({ roomBytes, othersBytes: total, limit }).bytes;
        expect(total).toBeLessThanOrEqual(roomBytes);
        const late = storageShare({ roomBytes, othersBytes: total, limit: "none" }).bytes;
        expect(late).toBeGreaterThanOrEqual(Math.floor(Math.min(256 * MI, roomBytes / 32)));
      }),
    );
  });

  it("never grows because others hold more, and never passes a limit", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100 * GI }),
        fc.integer({ min: 0, max: 100 * GI }),
        fc.integer({ min: 0, max: GI }),
        limits,
        (roomBytes, othersBytes, more, limit) => {
          const before = storageShare({ roomBytes, othersBytes, limit });
          const after = storageShare({ roomBytes, othersBytes: othersBytes + more, limit });
          expect(after.bytes).toBeLessThanOrEqual(before.bytes);
          if (typeof limit === "number") expect(before.bytes).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });
});

describe("what is kept of attempts", () => {
  const share: StorageShare = { bytes: 1_000, by: "limit" };

  it.each([
    [0, "whole"],
    [1_000, "whole"],
    [1_001, "bare"],
    [1_250, "bare"],
    [1_251, "last"],
    [50_000, "last"],
  ] as const)("of a namespace that holds %i of 1,000 bytes: %s", (holds, kept) => {
    expect(recordKept(holds, share)).toBe(kept);
  });
});
