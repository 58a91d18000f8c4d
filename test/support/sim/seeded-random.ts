import type { Random } from "../../../src/lib/random.ts";

/** mulberry32: small, seeded, good enough for chance in tests. */
export function seededRandom(seed: number): Random & { below(n: number): number } {
  let state = seed >>> 0;
  const nextValue = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next: nextValue,
    bytes: (n) => Uint8Array.from({ length: n }, () => Math.floor(nextValue() * 256)),
    below: (n) => Math.floor(nextValue() * n),
  };
}
