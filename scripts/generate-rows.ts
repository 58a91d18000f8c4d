import { TABLES, type Column, type Table } from "../src/store/sqlite/tables.ts";

/** Where the types live that a description may name. */
const IMPORTS: readonly (readonly [path: string, names: readonly string[]])[] = [
  ["node:sqlite", ["StatementSync"]],
  ["../../../core/delivery.ts", ["EndReason", "TerminalState"]],
  ["../../../core/event.ts", ["DataKind"]],
  ["../../store.ts", ["AttemptRecord", "PauseReason"]],
  ["../packet.ts", ["PacketReader", "PacketWriter"]],
  ["../row-statement.ts", ["Value"]],
];

interface Property {
  readonly name: string;
  readonly type: string;
}

/** The TypeScript source that moves rows: into a statement, out of its answer, into a message and out of it. */
export function rowsSource(): string {
  const body = TABLES.map(tableSource).join("\n");
  const imports = IMPORTS.map(([path, names]) => [path, names.filter((name) => new RegExp(`\\b${name}\\b`, "u").test(body))] as const)
    .filter(([, names]) => names.length > 0)
    .map(([path, names]) => `import type { ${names.join(", ")} } from "${path}";`);
  return `// Generated from src/store/sqlite/tables.ts by \`npm run generate\`; do not edit.\n${imports.join("\n")}\n\nconst NO_BYTES = new Uint8Array();\n\n${body}`;
}

function tableSource(table: Table): string {
  const parts = [interfaces(table), insertFunction(table), readFunction(table)];
  if (table.message !== undefined) parts.push(...messageFunctions(table, table.message));
  return parts.join("\n");
}

function interfaces({ row, columns, message = [] }: Table): string {
  const own = columns.filter(({ isOwn }) => isOwn);
  const told = columns.filter(({ isOwn }) => !isOwn);
  if (own.length === 0) return interfaceSource(row, told.map(declaration));
  const name = nameOf(row);
  const parts = [
    interfaceSource(`${name}Own`, own.map(declaration)),
    interfaceSource(`${name}Told`, [...message, ...told.map(declaration)]),
    `export type ${row} = ${name}Own & ${message.length === 0 ? `${name}Told` : `Omit<${name}Told, ${keysOf(message)}>`};\n`,
  ];
  return parts.join("\n");
}

function insertFunction({ row, name, columns }: Table): string {
  const isSplit = columns.some(({ isOwn }) => isOwn);
  const parameters = isSplit ? `own: ${nameOf(row)}Own, told: ${toldOf(row)}` : `row: ${row}`;
  const values = columns.map((column) => {
    const field = `${sourceOf(column, isSplit)}.${fieldOf(column)}`;
    if (column.json === "value") return `JSON.stringify(${field})`;
    if (column.type === "boolean") return `${field} ? 1 : 0`;
    return isOptional(column.type) ? `${field} ?? null` : field;
  });
  return `/** Runs an INSERT into \`${name}\`, see \`insertSql\`. */
export function insert${row}(statement: StatementSync, ${parameters}): ReturnType<StatementSync["run"]> {
  return statement.run(${list(values, "    ", "  ")});
}
`;
}

function readFunction({ row, name, columns }: Table): string {
  const fields = columns.map((column, place) => {
    const value = `values[${place}]`;
    const { type, json } = column;
    if (json === "value") return `${column.field}: JSON.parse(${value} as string) as ${type}`;
    if (type === "boolean") return `${column.field}: ${value} === 1`;
    if (isOptional(type)) return `${fieldOf(column)}: (${value} as ${baseOf(type)} | null) ?? undefined`;
    return `${column.field}: ${value} as ${type}`;
  });
  return `/** A row of \`${name}\`, of its values in the order of \`columnNames\`. */
export function to${row}(values: readonly Value[]): ${row} {
  return {${list(fields, "    ", "  ")}};
}
`;
}

/** What is read is in the order of what was written: an object literal is evaluated from top to bottom. */
function messageFunctions(table: Table, before: readonly string[]): string[] {
  const name = nameOf(table.row);
  const told = table.columns.filter(({ isOwn }) => !isOwn);
  const properties = [...before.map(propertyOf), ...told.map((column) => ({ name: fieldOf(column), type: column.type }))];
  const texts = told.filter(({ json }) => json === "text").map(({ field }) => field);
  const given = texts.length === 0 ? `told: ${name}Told` : `told: Omit<${name}Told, ${texts.map((text) => `"${text}"`).join(" | ")}>`;
  const parameters = ["out: PacketWriter", given, ...texts.map((text) => `${text}: string`)];
  const writes = properties.map((each) => `  out.${methodOf(each)}(${texts.includes(each.name) ? each.name : `told.${each.name}`});\n`);
  const reads = properties.map((each) => `${each.name}: from.${readerOf(each)}${castOf(each)}`);
  return [
    `export function write${name}(${parameters.join(", ")}): void {\n${writes.join("")}}\n`,
    `export function read${name}(from: PacketReader): ${name}Told {\n  return {${list(reads, "    ", "  ")}};\n}\n`,
  ];
}

function methodOf({ name, type }: Property): string {
  if (type.includes("Uint8Array")) return "blob";
  if (type === "number") return "number";
  if (type === "boolean") return "flag";
  if (type === "number | undefined") return "optionalNumber";
  if (type.includes("number")) throw new Error(`no message holds a '${type}', as ${name} is`);
  return "string";
}

function readerOf(property: Property): string {
  if (property.type === "Uint8Array") return "blob() ?? NO_BYTES";
  const method = methodOf(property);
  return method === "string" && isOptional(property.type) ? "optionalString()" : `${method}()`;
}

function castOf(property: Property): string {
  const isText = methodOf(property) === "string" && !/^string( \| undefined)?$/u.test(property.type);
  return isText ? ` as ${property.type}` : "";
}

function interfaceSource(name: string, lines: readonly string[]): string {
  return `export interface ${name} {\n${lines.map((line) => `  ${line};\n`).join("")}}\n`;
}

function declaration({ isReadonly, field, type }: Column): string {
  return `${isReadonly ? "readonly " : ""}${field}: ${type}`;
}

function propertyOf(text: string): Property {
  const [name = "", type = ""] = text.replace("readonly ", "").split(": ");
  return { name, type };
}

function keysOf(message: readonly string[]): string {
  return message.map((text) => `"${propertyOf(text).name}"`).join(" | ");
}

function sourceOf({ isOwn }: Column, isSplit: boolean): string {
  if (!isSplit) return "row";
  return isOwn ? "own" : "told";
}

function toldOf(row: string): string {
  return `${nameOf(row)}Told`;
}

function nameOf(row: string): string {
  return row.replace(/Row$/u, "");
}

function fieldOf({ field }: Column): string {
  return field.replace("?", "");
}

function isOptional(type: string): boolean {
  return type.endsWith(" | undefined");
}

function baseOf(type: string): string {
  return type.replace(" | undefined", "");
}

function list(items: readonly string[], inner: string, outer: string): string {
  return `\n${items.map((item) => `${inner}${item},\n`).join("")}${outer}`;
}
