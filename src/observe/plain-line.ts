import { replaceUnseen } from "../lib/unseen.ts";

const WIDTHS = 5;
/** A line on a screen, not a record: longer values are cut, characters. */
const VALUE_CHARS_MAX = 80;
/** Told in another place of the line, or by the message. */
const LEFT_OUT: ReadonlySet<string> = new Set(["level", "time", "msg"]);
/** Of a manifest's refusal the message says all that the fields do. */
const SAID_BY_MESSAGE: ReadonlySet<string> = new Set(["manifest.refused", "manifest.mended", "object.event"]);

/** A log line for a person at a terminal, made from the JSON one: time of day, level, message, then what else it holds. */
export function plainLine(json: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const { time, level, msg, event } = entry;
  const clock = typeof time === "string" ? time.slice(11, 19) : "";
  const head = `${clock} ${String(level).toUpperCase().padEnd(WIDTHS)} ${text(typeof msg === "string" && msg !== "" ? msg : event)}`;
  if (SAID_BY_MESSAGE.has(String(event))) {
    const { namespace, name } = entry;
    return `${head}${typeof name === "string" ? ` (${text(namespace)}/${text(name)})` : ""}\n`;
  }
  const rest = Object.entries(entry).flatMap(([name, value]) => (LEFT_OUT.has(name) ? [] : pair(name, value)));
  return `${[head, ...rest].join(" ")}\n`;
}

function pair(name: string, value: unknown): string[] {
  if (value === null || value === undefined || value === "") return [];
  if (name === "err" && typeof value === "object") return [`err=${quoted((value as { message?: unknown }).message)}`];
  return [`${name}=${quoted(value)}`];
}

function quoted(value: unknown): string {
  const plain = text(value);
  const cut = plain.length > VALUE_CHARS_MAX ? `${plain.slice(0, VALUE_CHARS_MAX - 1)}…` : plain;
  return /[\s"=]/.test(cut) ? JSON.stringify(cut) : cut;
}

/** What strangers sent never moves the cursor, colours the terminal or turns the line around. */
function text(value: unknown): string {
  const plain = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return replaceUnseen(plain, () => " ");
}
