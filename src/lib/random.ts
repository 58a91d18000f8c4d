import { randomBytes, randomFillSync } from "node:crypto";

/** Chance as an argument: tests pass a seeded one. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** `n` random bytes. */
  bytes(n: number): Uint8Array;
}

/** The real one: `Math.random` for jitter, the system's generator for bytes (keys, ids). */
export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: (n) => randomBytes(n),
};

const pool = new Uint8Array(8_192);
let poolAt = pool.length;
let lastMs = 0;
let sequence = 0;
/** A clock that is put back a little only makes ids of the same millisecond, ms. */
const BACK_MS = 1_000;
/** The front of the ids of one millisecond. */
let timeText = "";
let timeOfText = -1;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hexAt(at: number, mask = 0xff, set = 0): string {
  return HEX[((pool[at] ?? 0) & mask) | set] ?? "00";
}

/**
 * A UUIDv7 (RFC 9562) in its usual text form, which has no dots, so it may stand in a Standard Webhooks `webhook-id`.
 * Within one process ids are strictly increasing even inside one millisecond: stores rely on time order to stay compact. Only a clock that was
 * put back by more than BACK_MS is followed backwards.
 */
export function uuidv7(nowMs: number): string {
  if (nowMs > lastMs || nowMs < lastMs - BACK_MS) {
    lastMs = nowMs;
    sequence = 0;
  } else {
    sequence += 1;
    if (sequence > 0xfff) {
      lastMs += 1;
      sequence = 0;
    }
  }
  if (poolAt + 8 > pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  if (lastMs !== timeOfText) {
    const time = lastMs.toString(16).padStart(12, "0");
    timeText = `${time.slice(0, 8)}-${time.slice(8)}-`;
    timeOfText = lastMs;
  }
  const at = poolAt;
  poolAt += 8;
  const variant = `${hexAt(at, 0x3f, 0x80)}${hexAt(at + 1)}`;
  const rest = `${hexAt(at + 2)}${hexAt(at + 3)}${hexAt(at + 4)}${hexAt(at + 5)}${hexAt(at + 6)}${hexAt(at + 7)}`;
  return `${timeText}${(0x7000 | sequence).toString(16)}-${variant}-${rest}`;
}

const UUIDV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The time in a UUIDv7, ms since the Unix epoch; undefined for any other text. */
export function uuidv7Ms(id: string): number | undefined {
  return UUIDV7.test(id) ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined;
}
