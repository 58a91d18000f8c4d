import type { Schema } from "../src/api/schema.ts";

const BEGIN = "<!-- fields: generated from crds/ by `npm run generate` -->";
const END = "<!-- end of fields -->";

/** Puts the table of fields between the two marks of a page, which must both be there. */
export function withFieldTable(page: string, schema: Schema): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the page needs the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${tables(schema)}\n${page.slice(end)}`;
}

function tables(schema: Schema): string {
  return ["spec", "status"]
    .map((part) => {
      const child = schema.properties?.[part];
      if (child === undefined) return "";
      const rows = rowsOf(child, part, false);
      const header =
        part === "spec"
          ? "| field | type | default | bound | meaning |\n|---|---|---|---|---|"
          : "| field | type | bound | meaning |\n|---|---|---|---|";
      const lines = rows.map((row) => row.cells(part === "spec"));
      return `### ${part}\n\n${header}\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

interface Row {
  cells(withDefault: boolean): string;
}

function rowsOf(schema: Schema, path: string, isItem: boolean): Row[] {
  const rows: Row[] = [];
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const field = `${path}.${name}`;
    rows.push(rowOf(child, field, schema.required?.includes(name) === true));
    rows.push(...childRows(child, field));
  }
  return isItem && rows.length === 0 ? [] : rows;
}

function childRows(schema: Schema, field: string): Row[] {
  if (schema.type === "array" && schema.items !== undefined) {
    const item = schema.items;
    return item.type === "object" ? rowsOf(item, `${field}[]`, true) : [];
  }
  return rowsOf(schema, field, false);
}

function rowOf(schema: Schema, field: string, isRequired: boolean): Row {
  const shown = field.replace(/^(spec|status)\./, "");
  const meaning = [schema.description ?? "", ...ruleTexts(schema)].join(" ");
  return {
    cells: (withDefault) => {
      const byDefault = isRequired ? "required" : schema.default === undefined ? "" : `\`${JSON.stringify(schema.default)}\``;
      const cells = [`\`${shown}\``, typeName(schema), ...(withDefault ? [byDefault] : []), bounds(schema), meaning];
      return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
    },
  };
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
