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

/**
 * A UUIDv7 (RFC 9562) in its usual text form, which has no dots, so it may stand in a Standard Webhooks `webhook-id`.
 * Within one process ids are strictly increasing even inside one millisecond: stores rely on time order to stay compact.
 */
export function uuidv7(nowMs: number): string {
  if (nowMs > lastMs) {
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
  const time = lastMs.toString(16).padStart(12, "0");
  let tail = "";
  for (let i = 0; i < 8; i++) {
    let byte = pool[poolAt++] ?? 0;
    if (i === 0) byte = (byte & 0x3f) | 0x80;
    tail += byte.toString(16).padStart(2, "0");
  }
  const seq = (0x7000 | sequence).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-${seq}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}
