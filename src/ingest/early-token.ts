import { formToken, TOKEN_FIELD } from "./body-token.ts";

/** A token in a body must be whole within so many bytes: more is not read of somebody who has yet to show one. */
export const TOKEN_WITHIN_BYTES = 16 * 1024;

/**
 * The field `token` at the top level of a body of which only the beginning may be there; undefined when it is not whole in it. The rest is not
 * checked: whoever reads the whole body must find the same token.
 */
export function earlyToken(start: Uint8Array, form: "json" | "urlencoded", isWhole: boolean): string | undefined {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  if (form === "json") return jsonToken(bytes);
  // One character a byte, as where it is cut out.
  const text = bytes.toString("latin1");
  return formToken(isWhole ? text : text.slice(0, text.lastIndexOf("&") + 1))?.text;
}

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

function jsonToken(bytes: Buffer): string | undefined {
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== OPEN_BRACE) return undefined;
  do {
    const keyAt = skipSpace(bytes, at + 1);
    const keyEnd = stringEnd(bytes, keyAt);
    const colon = skipSpace(bytes, keyEnd);
    if (bytes[colon] !== COLON) return undefined;
    const valueAt = skipSpace(bytes, colon + 1);
    const end = valueEnd(bytes, valueAt);
    if (end > bytes.length) return undefined;
    if (bytes[valueAt] === QUOTE && stringAt(bytes, keyAt, keyEnd) === TOKEN_FIELD) return stringAt(bytes, valueAt, end);
    at = skipSpace(bytes, end);
  } while (bytes[at] === COMMA);
  return undefined;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return at;
}

/** Behind the string that begins here; beyond the bytes when it is none, or not whole. */
function stringEnd(bytes: Buffer, from: number): number {
  if (bytes[from] !== QUOTE) return bytes.length + 1;
  for (let at = from + 1; at < bytes.length; at++) {
    if (bytes[at] === BACKSLASH) at++;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  return bytes.length + 1;
}

/** Behind the value that begins here; beyond the bytes when it is not whole. */
function valueEnd(bytes: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < bytes.length;) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = stringEnd(bytes, at);
      if (depth === 0) return at;
      continue;
    }
    if (depth === 0 && (byte === COMMA || byte === CLOSE_BRACE)) return at;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    at++;
    if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at;
  }
  return bytes.length + 1;
}

function stringAt(bytes: Buffer, from: number, end: number): string | undefined {
  try {
    return JSON.parse(bytes.toString("utf8", from, end)) as string;
  } catch {
    return undefined;
  }
}
