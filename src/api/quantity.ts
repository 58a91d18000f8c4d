import { assert } from "../lib/assert.ts";

const UNIT_BYTES: Readonly<Record<string, number>> = { Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** Bytes of a Kubernetes quantity such as `5Gi`. Only for text that the schema has accepted. */
export function quantityBytes(text: string): number {
  const found = /^([1-9][0-9]{0,5})(Mi|Gi|Ti)$/.exec(text);
  assert(found !== null, `not a quantity of bytes: ${text.slice(0, 64)}`);
  return Number(found[1]) * (UNIT_BYTES[found[2] ?? ""] ?? 0);
}
