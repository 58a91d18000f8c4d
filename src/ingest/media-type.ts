import { isUtf8 } from "node:buffer";
import type { DataKind } from "../core/event.ts";

/** A Content-Type, taken apart (RFC 9110 8.3.1). Type and parameter names are lower case. */
export interface MediaType {
  readonly essence: string;
  readonly charset: string | undefined;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const ESSENCE = new RegExp(`^(${TOKEN}/${TOKEN})[ \\t]*`);
const PARAMETER = new RegExp(`^;[ \\t]*(?:(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)"))?[ \\t]*`);
const PLAIN = /^[a-z0-9.+-]+\/[a-z0-9.+-]+$/;

/** Undefined when the text is no media type, or names charset twice. */
export function parseMediaType(text: string): MediaType | undefined {
  if (PLAIN.test(text)) return { essence: text, charset: undefined };
  const head = ESSENCE.exec(text);
  if (head?.[1] === undefined) return undefined;
  let charset: string | undefined;
  let rest = text.slice(head[0].length);
  while (rest !== "") {
    const parameter = PARAMETER.exec(rest);
    if (parameter === null) return undefined;
    if (parameter[1]?.toLowerCase() === "charset") {
      if (charset !== undefined) return undefined;
      charset = (parameter[2] ?? parameter[3]?.replaceAll(/\\(.)/g, "$1") ?? "").toLowerCase();
    }
    rest = rest.slice(parameter[0].length);
  }
  return { essence: head[1].toLowerCase(), charset };
}

/** JSON text exchanged over a network is UTF-8 (RFC 8259 8.1): any other charset named is a mistake worth refusing. */
export function isUtf8Charset(charset: string | undefined): boolean {
  return charset === undefined || charset === "utf-8" || charset === "utf8";
}

export function isJson(essence: string): boolean {
  return essence === "application/json" || essence === "text/json" || essence.endsWith("+json");
}

const PERCENT = 0x25;

/** A form's bytes with its escapes undone (`%ED` is one byte): what they are text of is only known then, and older callers write windows-1252. */
function unescaped(data: Uint8Array): Uint8Array {
  let from = data.indexOf(PERCENT);
  if (from === -1) return data;
  const bytes = Buffer.from(data);
  let to = from;
  while (from < data.length) {
    const high = data[from] === PERCENT ? hexDigit(data[from + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(data[from + 2]);
    const isEscape = low >= 0;
    bytes[to++] = isEscape ? high * 16 + low : data[from]!;
    from += isEscape ? 3 : 1;
  }
  return bytes.subarray(0, to);
}

/** What a hexadecimal digit stands for; -1 for any other byte. */
function hexDigit(byte = 0): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** How data of this type that is not JSON is shown to wrappers and expressions; bytes that are not UTF-8 text are binary. */
export function kindOfData(media: MediaType, data: Uint8Array): DataKind {
  const isText = isUtf8Charset(media.charset) || media.charset === "us-ascii";
  if (!isText || !isUtf8(data)) return "binary";
  if (media.essence === "application/x-www-form-urlencoded") return isUtf8(unescaped(data)) ? "form" : "binary";
  return media.essence.startsWith("text/") || media.essence === "application/xml" || media.essence.endsWith("+xml") ? "text" : "binary";
}
