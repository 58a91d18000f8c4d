import { NOT_IMPLEMENTED } from "../src/api/not-implemented.ts";
import { isDuration } from "../src/api/schema.ts";
import type { Schema } from "../src/api/schema.ts";

const BEGIN = "<!-- fields: generated from crds/ by `npm run generate` -->";
const END = "<!-- end of fields -->";

/** A page is read in a terminal, too. */
const LINE_MAX = 140;

/** Puts the list of fields between the two marks of a page, which must both be there. */
export function withFieldList(page: string, kind: string, schema: Schema): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the page needs the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${lists(kind, schema)}\n${page.slice(end)}`;
}

function lists(kind: string, schema: Schema): string {
  return ["spec", "status"].map((part) => list(kind, part, schema.properties?.[part] ?? {})).join("\n");
}

/** One item per field: its type, its default and its bounds, then what it means. */
function list(kind: string, part: string, schema: Schema): string {
  const items = fieldsOf(schema, part).map((field) => {
    const facts = [typeName(field.schema), ...(part === "spec" ? [defaultOf(field)] : []), bounds(field.schema)].filter(
      (fact) => fact !== "",
    );
    const text = `\`${field.path.replace(/^(spec|status)\./, "")}\`: ${facts.join("; ")}. ${meaning(kind, field)}`;
    return wrapped(text.replaceAll("<", "&lt;").replaceAll("\n", " ").trimEnd());
  });
  return `### ${part}\n\n${items.join("\n")}\n`;
}

/** A list item whose lines are at most LINE_MAX long, a longer word apart. */
function wrapped(text: string): string {
  let column = 1;
  return text.split(" ").reduce((item, word) => {
    const breaks = column + 1 + word.length > LINE_MAX;
    column = (breaks ? 1 : column) + 1 + word.length;
    return `${item}${breaks ? "\n  " : " "}${word}`;
  }, "-");
}

interface Field {
  readonly path: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
}

function fieldsOf(schema: Schema, path: string): Field[] {
  const found: Field[] = [];
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const field: Field = { path: `${path}.${name}`, schema: child, isRequired: schema.required?.includes(name) === true };
    found.push(field, ...(child.items === undefined ? fieldsOf(child, field.path) : fieldsOf(child.items, `${field.path}[]`)));
  }
  return found;
}

/** The description holds the defaults that the code fills in, not the schema. */
const DEFAULT_SENTENCE = / ?Default: ([^.]+)\./;

function defaultOf({ schema, isRequired }: Field): string {
  if (isRequired) return "required";
  const value =
    schema.default === undefined ? DEFAULT_SENTENCE.exec(schema.description ?? "")?.[1] : `\`${JSON.stringify(schema.default)}\``;
  return value === undefined ? "" : `default ${value}`;
}

function meaning(kind: string, { path, schema }: Field): string {
  const unobeyed = NOT_IMPLEMENTED.find((entry) => entry.kind === kind && entry.field === path);
  const note =
    unobeyed === undefined
      ? []
      : [unobeyed.obeyed === undefined ? "**Not supported yet.**" : `**Supported so far: ${unobeyed.obeyed.join(", ")}.**`];
  return [(schema.description ?? "").replace(DEFAULT_SENTENCE, ""), ...ruleTexts(schema), ...note].join(" ");
}

/** Rules as sentences. Durations and ranges repeat what the bound already says, so those are left out. */
function ruleTexts(schema: Schema): string[] {
  const rules = [...(schema["x-kubernetes-validations"] ?? []), ...(schema.items?.["x-kubernetes-validations"] ?? [])];
  return rules.filter((entry) => !entry.rule.includes("duration(self)")).map((entry) => `Rule: ${entry.message}.`);
}

function typeName(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.type === "array") return `list of ${schema.items?.type === "object" ? "objects" : typeName(schema.items ?? {})}`;
  if (isDuration(schema)) return "duration";
  if (schema.format === "date-time") return "time";
  return schema.type ?? "";
}

function bounds(schema: Schema): string {
  if (schema.type === "array") {
    const count = `${schema.minItems ?? 0}..${schema.maxItems ?? ""} items`;
    const item = bounds(schema.items ?? {});
    return item === "" ? count : `${count}; each ${item}`;
  }
  if (isDuration(schema)) {
    const text = schema["x-kubernetes-validations"]?.[0]?.message ?? "";
    return /from (\S+) to (\S+),/.exec(text)?.slice(1).join("..") ?? "";
  }
  if (schema.minimum !== undefined)
    return schema.maximum === Number.MAX_SAFE_INTEGER ? `>= ${schema.minimum}` : `${schema.minimum}..${schema.maximum}`;
  if (schema.maxProperties !== undefined) return `at most ${schema.maxProperties} entries`;
  return schema.maxLength === undefined ? "" : `${schema.minLength ?? 0}..${schema.maxLength} characters`;
}
