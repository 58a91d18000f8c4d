import type { SystemOptions } from "./system.ts";

/** Namespaces, subscriptions in each, and receivers' origins of the rows with many subscriptions. */
export const NAMESPACES = 100;
export const EACH = 100;
export const ORIGINS = 1_000;
/** Event types in turn: each has one subscription in each namespace. */
export const TYPES = Array.from({ length: EACH }, (_, i) => `bench.t${i}`).join(",");

/** 10,000 subscriptions in 100 namespaces, spread over 1,000 loopback addresses with one port. */
export function manySubscriptions(receiver: string): SystemOptions["subscriptions"] {
  const port = Number(receiver.split(":")[1]);
  return Array.from({ length: NAMESPACES * EACH }, (_, i) => {
    const origin = i % ORIGINS;
    const host = origin === 0 ? "127.0.0.1" : `127.0.${Math.floor(origin / 250)}.${(origin % 250) + 1}`;
    return { name: `sub-${i % EACH}`, namespace: `bench-${Math.floor(i / EACH)}`, type: `bench.t${i % EACH}`, host, port };
  });
}
