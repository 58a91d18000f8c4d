import { isUtf8 } from "node:buffer";
import { existsSync } from "node:fs";
import { scanJson } from "../core/json-scan.ts";

const SHOWN_CHARS = 40;

/** Why data is not JSON, with the place in the user's own text, and what was probably meant; undefined where it is JSON. */
export function dataFault(data: Uint8Array, given: string): string | undefined {
  const what = given === "-" ? "stdin" : given.startsWith("@") ? given.slice(1) : "--data";
  if (data.length === 0)
    return what === "--data" ? "--data is empty: leave it out for an event without data" : `${what} is empty: expected JSON`;
  const scan = scanJson(data);
  if (scan.ok) return undefined;
  const { offset, message } = scan.error;
  const before = Buffer.from(data.subarray(0, offset)).toString("utf8");
  const line = before.split("\n").length;
  const column = Array.from(before.slice(before.lastIndexOf("\n") + 1)).length + 1;
  const place = line === 1 ? `at byte ${offset} (column ${column})` : `at byte ${offset} (line ${line}, column ${column})`;
  return `${what} is not JSON: ${place}: ${message}${isUtf8(data) ? hintOf(Buffer.from(data).toString("utf8").trim(), given) : ""}`;
}

function hintOf(text: string, given: string): string {
  const isInline = given !== "-" && !given.startsWith("@");
  if (isInline && /^[\w./~-]{1,255}$/.test(text) && existsSync(text)) return `. For the file's content write --data @${text}`;
  if (/^[{[]\s*'/.test(text) || /^'.*'$/s.test(text)) return '. JSON uses double quotes: \'{"order":"o-1"}\'';
  if (/^\{\s*[A-Za-z_$]/.test(text))
    return `. Names need double quotes${isInline ? ", and the shell needs single quotes around it all" : ""}: '{"order":"o-1"}'`;
  if (/^[^{["\d-]/.test(text) && !/^(true|false|null)\b/.test(text))
    return `. A text needs double quotes${isInline ? ", and single ones around them for the shell" : ""}: '${JSON.stringify(text.slice(0, SHOWN_CHARS))}'`;
  if (/,\s*[}\]]/.test(text)) return ". JSON has no comma after the last item";
  return "";
}
