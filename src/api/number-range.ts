import type { PortRange, StatusRange } from "../core/policy.ts";

/** Status codes of `404`, `5xx` or `300-499`. Only for text that the schema has accepted. */
export function statusRange(text: string): StatusRange {
  if (text.endsWith("xx")) {
    const hundred = Number(text.slice(0, 1)) * 100;
    return { from: hundred, to: hundred + 99 };
  }
  return range(text);
}

/** Ports of `443` or `8000-8999`. Only for text that the schema has accepted. */
export function portRange(text: string): PortRange {
  return range(text);
}

function range(text: string): { from: number; to: number } {
  const [from, to = from] = text.split("-");
  return { from: Number(from), to: Number(to) };
}
