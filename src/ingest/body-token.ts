import type { JsonNode } from "../core/json-scan.ts";

/** The body field that may carry the token; never part of the event once it was matched. */
export const TOKEN_FIELD = "token";

/** Bytes `[start, end)` of a body that go when the token is cut out; all others stay as they are. */
export interface Cut {
  readonly start: number;
  readonly end: number;
}

/** A token found in a body, and what to cut so that the rest is still well-formed. */
export interface BodyToken {
  readonly text: string;
  readonly cut: Cut;
}

/** The bytes without the cut. */
export function withoutCut(body: Uint8Array, { start, end }: Cut): Uint8Array {
  return Buffer.concat([body.subarray(0, start), body.subarray(end)]);
}

/** The member at `index` with one comma beside it: the one after it, and after the last member the one before it. */
export function memberCut(object: JsonNode, index: number): Cut {
  const { members } = object;
  const { keyStart, value } = members[index]!;
  const next = members[index + 1];
  if (next !== undefined) return { start: keyStart, end: next.keyStart };
  return { start: members[index - 1]?.value.end ?? keyStart, end: value.end };
}

const NAME = /^[^=]*/;

/**
 * The parameter `token` of form-encoded text (WHATWG URL 5.1), with one `&` beside it. Undefined when there is none, or more than one:
 * the second would stay in the event.
 */
export function formToken(text: string): BodyToken | undefined {
  let found: BodyToken | undefined;
  let start = 0;
  while (start <= text.length) {
    const at = text.indexOf("&", start);
    const end = at === -1 ? text.length : at;
    const pair = text.slice(start, end);
    if (decoded(NAME.exec(pair)?.[0] ?? "") === TOKEN_FIELD) {
      if (found !== undefined) return undefined;
      const value = pair.includes("=") ? pair.slice(pair.indexOf("=") + 1) : "";
      const cut = at === -1 ? { start: Math.max(0, start - 1), end } : { start, end: end + 1 };
      found = { text: decoded(value), cut };
    }
    start = end + 1;
  }
  return found;
}

/** One name or value; what is no percent-encoding stands for itself. */
function decoded(part: string): string {
  const [entry] = new URLSearchParams(`=${part}`);
  return entry?.[1] ?? "";
}
