/**
 * JSON as the operator wrote it, numbers as they are spelled: a count beyond 2^53 or a price of 12.50 must come out as it went in. For tables the same
 * text is read once more into plain values.
 */
export type ExactJson = ExactNumber | string | boolean | null | readonly ExactJson[] | { readonly [name: string]: ExactJson };

/** A number by its spelling. */
export class ExactNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** @throws SyntaxError */
export function parseExact(text: string): ExactJson {
  const reviver = (_: string, value: unknown, context: { readonly source?: string }): unknown =>
    typeof value === "number" ? new ExactNumber(context.source ?? String(value)) : value;
  return JSON.parse(text, reviver as (name: string, value: unknown) => unknown) as ExactJson;
}

/** On one line, or with `indent` columns a level. */
export function exactText(value: ExactJson, indent = 0, level = 0): string {
  if (value instanceof ExactNumber) return value.text;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const parts = isList
    ? (value as readonly ExactJson[]).map((item) => exactText(item, indent, level + 1))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}:${indent > 0 ? " " : ""}${exactText(item, indent, level + 1)}`);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (parts.length === 0) return `${open}${close}`;
  if (indent === 0) return `${open}${parts.join(",")}${close}`;
  const pad = " ".repeat(indent * (level + 1));
  return `${open}\n${pad}${parts.join(`,\n${pad}`)}\n${" ".repeat(indent * level)}${close}`;
}

/** Plain in YAML 1.1 and 1.2 alike; everything else is written in double quotes, as JSON writes it. */
const PLAIN = /^[A-Za-z_/](?:[\w./@+-]| (?!#))*(?<! )$/;
/** What YAML 1.1 reads as something else than text; the last is a number to some. */
const WORDS = /^(?:true|false|yes|no|on|off|null|y|n|~|e[\d_.+-]*)$/i;

/** As YAML; lines without an end. */
export function yamlLines(value: ExactJson): string[] {
  if (value instanceof ExactNumber || typeof value !== "object" || value === null) return [yamlScalar(value)];
  if (Array.isArray(value)) {
    const items = value as readonly ExactJson[];
    if (items.length === 0) return ["[]"];
    return items.flatMap((item) => yamlLines(item).map((line, at) => `${at === 0 ? "- " : "  "}${line}`));
  }
  const members = Object.entries(value);
  if (members.length === 0) return ["{}"];
  return members.flatMap(([name, item]) => memberLines(name, item));
}

function memberLines(name: string, item: ExactJson): string[] {
  const lines = yamlLines(item);
  const isBlock = typeof item === "object" && item !== null && !(item instanceof ExactNumber) && Object.keys(item).length > 0;
  if (!isBlock) return [`${yamlScalar(name)}: ${lines[0] ?? ""}`];
  return [`${yamlScalar(name)}:`].concat(lines.map((line) => `  ${line}`));
}

function yamlScalar(value: ExactNumber | string | boolean | null): string {
  if (value instanceof ExactNumber) return value.text;
  if (typeof value !== "string") return String(value);
  return PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value);
}
