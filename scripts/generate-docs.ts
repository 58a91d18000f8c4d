import { NOT_IMPLEMENTED } from "../src/api/not-implemented.ts";
import type { Schema } from "../src/api/schema.ts";

const BEGIN = "<!-- fields: generated from crds/ by `npm run generate` -->";
const END = "<!-- end of fields -->";

/** Puts the table of fields between the two marks of a page, which must both be there. */
export function withFieldTable(page: string, kind: string, schema: Schema): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the page needs the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${tables(kind, schema)}\n${page.slice(end)}`;
}

function tables(kind: string, schema: Schema): string {
  return ["spec", "status"].map((part) => table(kind, part, schema.properties?.[part] ?? {})).join("\n");
}

function table(kind: string, part: string, schema: Schema): string {
  const columns = part === "spec" ? ["field", "type", "default", "bound", "meaning"] : ["field", "type", "bound", "meaning"];
  const rows = fieldsOf(schema, part).map((field) => {
    const cells = [`\`${field.path.replace(/^(spec|status)\./, "")}\``, typeName(field.schema), bounds(field.schema), meaning(kind, field)];
    if (part === "spec") cells.splice(2, 0, defaultOf(field));
    return line(cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ")));
  });
  return `### ${part}\n\n${[line(columns), line(columns.map(() => "---")), ...rows].join("\n")}\n`;
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
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

/** Defaults that the code fills in, not the schema, stand in the description. */
const DEFAULT_SENTENCE = / ?Default: ([^.]+)\./;

function defaultOf({ schema, isRequired }: Field): string {
  if (isRequired) return "required";
  if (schema.default !== undefined) return `\`${JSON.stringify(schema.default)}\``;
  return DEFAULT_SENTENCE.exec(schema.description ?? "")?.[1] ?? "";
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

function isDuration(schema: Schema): boolean {
  return schema["x-kubernetes-validations"]?.some((entry) => entry.rule.startsWith("duration(self)")) === true;
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
