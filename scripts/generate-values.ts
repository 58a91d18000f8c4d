import { isMap, isNode, isScalar, isSeq, parseDocument, stringify } from "yaml";
import type { Node, Pair, YAMLMap } from "yaml";
import { ADDRESS_RULES } from "../src/core/egress/address-rules.ts";

/**
 * What is made of the chart's values.yaml: the list of values in its README.md, and the names of the groups that must be there whatever
 * values a release was installed with. The addresses that its NetworkPolicy closes come from the code's own list.
 */

const BEGIN = "<!-- values: generated from values.yaml by `npm run generate` -->";
const END = "<!-- end of values -->";
const LINE_MAX = 140;

/** A value as its page shows it. */
interface Value {
  readonly path: string;
  readonly comment: string;
  /** Undefined: a group of values, which is shown when it has a comment. */
  readonly fallback: string | undefined;
}

/** The schema of values, as far as groups are told from free forms by it. */
export interface ValuesSchema {
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
  readonly definitions?: Readonly<Record<string, ValuesSchema>>;
  readonly $ref?: string;
}

/** Puts the list of values between the two marks of a page. @throws Error when a mark is missing, or a value has no comment of its own. */
export function withValueList(page: string, valuesYaml: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`charts/postrider/README.md needs the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${valueList(valuesYaml)}\n${page.slice(end)}`;
}

function valueList(valuesYaml: string): string {
  const values = valuesOf(topOf(valuesYaml), "");
  const bare = values.filter(({ comment, fallback }) => comment === "" && fallback !== undefined).map(({ path }) => path);
  if (bare.length > 0)
    throw new Error(`charts/postrider/values.yaml says nothing about ${bare.join(", ")}: write a comment of its own above each`);
  const shown = values.filter(({ comment }) => comment !== "");
  return `${shown.map((value) => wrapped(`${headOf(value)}: ${value.comment}`).replaceAll("<", "&lt;")).join("\n")}\n`;
}

function headOf({ path, fallback }: Value): string {
  return fallback === undefined ? `**\`${path}\`**` : `\`${path}\` (${fallback})`;
}

function topOf(valuesYaml: string): YAMLMap {
  const { contents } = parseDocument(valuesYaml);
  if (!isMap(contents)) throw new Error("charts/postrider/values.yaml is not a map");
  return contents;
}

/** Every group and every leaf (a scalar, a list, or a map that is empty), in the order of the file. */
function valuesOf(map: YAMLMap, prefix: string): Value[] {
  return map.items.flatMap((pair, index) => {
    const { value } = pair as Pair<Node, Node | null>;
    const path = `${prefix}${keyOf(pair)}`;
    const comment = commentOf(map, pair, index);
    if (!isMap(value) || value.items.length === 0) return [{ path, comment, fallback: fallbackOf(value) }];
    return [{ path, comment, fallback: undefined }, ...valuesOf(value, `${path}.`)];
  });
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

/** The library keeps what is above a map's first key with the map, and what is above another key with that key. */
function commentOf(map: YAMLMap, pair: Pair, index: number): string {
  const own = isNode(pair.key) ? pair.key.commentBefore : undefined;
  const first = index === 0 ? map.commentBefore : undefined;
  const text = own ?? first ?? "";
  return (text.split("\n\n").at(-1) ?? "")
    .split("\n")
    .map((line) => line.trim())
    .join(" ")
    .trim();
}

function fallbackOf(value: Node | null): string {
  if (isScalar(value) && value.value === "") return "empty";
  if ((isMap(value) || isSeq(value)) && value.items.length === 0) return "empty";
  const text = stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trim();
  return `\`${text.replaceAll(/\s+/g, " ")}\``;
}

function wrapped(text: string): string {
  let column = 1;
  return text.split(" ").reduce((item, word) => {
    const breaks = column + 1 + word.length > LINE_MAX;
    column = (breaks ? 1 : column) + 1 + word.length;
    return `${item}${breaks ? "\n  " : " "}${word}`;
  }, "-");
}

/** charts/postrider/templates/_generated.tpl. */
export function generatedTemplate(valuesYaml: string, schema: ValuesSchema): string {
  const isV6 = (cidr: string): boolean => cidr.includes(":");
  const addresses = (version: string, wanted: boolean): string => {
    const lines = ADDRESS_RULES.metadata.filter(({ cidr }) => isV6(cidr) === wanted).map(({ name, cidr }) => `# ${name}\n- "${cidr}"`);
    return define(`metadataAddresses${version}`, lines);
  };
  const groups = groupsOf(topOf(valuesYaml), schema, schema, "").map((path) => `- ${path}`);
  return [
    "{{- /* Generated from src/core/egress/address-rules.ts and values.yaml by `npm run generate`. */ -}}",
    addresses("IPv4", false),
    addresses("IPv6", true),
    define("valueGroups", groups),
    "",
  ].join("\n");
}

function define(name: string, lines: readonly string[]): string {
  return `{{- define "postrider.${name}" -}}\n${lines.join("\n")}\n{{- end }}`;
}

/** Maps with keys that the templates read. Free forms, such as resources, have no properties in the schema: what is in them may be null. */
function groupsOf(map: YAMLMap, schema: ValuesSchema, root: ValuesSchema, prefix: string): string[] {
  return map.items.flatMap((pair) => {
    const { value } = pair as Pair<Node, Node | null>;
    const child = resolved(schema.properties?.[keyOf(pair)] ?? {}, root);
    if (!isMap(value) || child.properties === undefined) return [];
    const path = `${prefix}${keyOf(pair)}`;
    return [path, ...groupsOf(value, child, root, `${path}.`)];
  });
}

/** A `$ref` to one of the schema's definitions, followed. */
function resolved(schema: ValuesSchema, root: ValuesSchema): ValuesSchema {
  const name = schema.$ref?.replace("#/definitions/", "");
  return name === undefined ? schema : (root.definitions?.[name] ?? {});
}
