import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Document, Node, Pair } from "yaml";
import type { Problem } from "../core/problem.ts";
import { isJsonObject } from "./defaulting.ts";
import type { JsonObject } from "./defaulting.ts";
import { ambiguousScalars, deepNode } from "./yaml-node.ts";

/** Largest manifest file, in bytes: some ten thousand subscriptions. */
export const MANIFEST_FILE_BYTES_MAX = 16 * 1024 * 1024;
/** Most uses of aliases in one document: a few lines of nested aliases can otherwise stand for gigabytes. */
export const MANIFEST_ALIASES_MAX = 100;
/** Deepest nesting of one document; our own kinds need 9 levels. */
export const MANIFEST_DEPTH_MAX = 64;
/** Most syntax errors reported of one document: the later ones follow from the first. */
const SYNTAX_ERRORS_MAX = 5;

/** One object of a manifest file, of any kind. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  /** As written; undefined where the manifest names none. */
  readonly namespace: string | undefined;
  readonly name: string;
  readonly object: JsonObject;
  /** Line (from 1) of a field path such as `spec.endpoint.headers[0].name`; of its nearest parent when the field is absent. */
  locate(field: string): number;
}

/** A problem and the line of the file (from 1) where it is. */
export interface ManifestProblem extends Problem {
  readonly line: number;
}

/** What a file holds: the objects that could be read, and what is wrong with the rest. */
export interface ManifestFile {
  readonly manifests: readonly Manifest[];
  readonly problems: readonly ManifestProblem[];
}

type ParsedDocument = Document.Parsed;

/**
 * Reads a YAML or JSON file of one or more objects (a `v1` List counts as its items). Never throws for what the file holds: syntax
 * errors, duplicate keys, too many aliases, and plain words that kubectl (YAML 1.1) would read as something else become problems.
 */
export function readManifestFile(text: string): ManifestFile {
  if (Buffer.byteLength(text) > MANIFEST_FILE_BYTES_MAX) {
    return failed([problem(1, "TooLong", `the file has over ${MANIFEST_FILE_BYTES_MAX} bytes (16 MiB), the most that is read: split it`)]);
  }
  const lines = new LineCounter();
  const documents = parsed(text, lines);
  if (documents === undefined) return failed([tooDeep(1)]);
  const manifests: Manifest[] = [];
  const problems: ManifestProblem[] = [];
  for (const document of documents) {
    const read = readDocument(document, lines);
    manifests.push(...read.manifests);
    problems.push(...read.problems);
  }
  return { manifests, problems };
}

function failed(problems: readonly ManifestProblem[]): ManifestFile {
  return { manifests: [], problems };
}

function problem(line: number, reason: string, message: string, field = ""): ManifestProblem {
  return { field, reason, message, line };
}

/** The parser recurses: it runs out of stack, by an exception, on input nested thousands of levels deep. */
function parsed(text: string, lines: LineCounter): readonly ParsedDocument[] | undefined {
  try {
    const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, version: "1.2", logLevel: "silent" });
    return "empty" in documents ? [] : documents;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function tooDeep(line: number): ManifestProblem {
  return problem(line, "TooDeep", `nested deeper than ${MANIFEST_DEPTH_MAX} levels`);
}

function readDocument(document: ParsedDocument, lines: LineCounter): ManifestFile {
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  if (document.errors.length > 0) {
    const shown = document.errors.slice(0, SYNTAX_ERRORS_MAX);
    if (shown.some((error) => error.message.includes("call stack"))) return failed([tooDeep(1)]);
    return failed(shown.map((error) => problem(lineAt(error.pos[0]), "InvalidYAML", firstLine(error.message))));
  }
  const deepAt = deepNode(document, MANIFEST_DEPTH_MAX);
  if (deepAt !== undefined) return failed([tooDeep(lineAt(deepAt))]);
  const ambiguous = ambiguousScalars(document).map(({ offset, message }) => problem(lineAt(offset), "Ambiguous", message));
  if (ambiguous.length > 0) return failed(ambiguous);
  let object: unknown;
  try {
    object = document.toJS({ maxAliasCount: MANIFEST_ALIASES_MAX });
  } catch (error) {
    const start = document.contents?.range?.[0] ?? 0;
    return failed([problem(lineAt(start), "InvalidYAML", `${firstLine(String(error))} (at most ${MANIFEST_ALIASES_MAX} aliases)`)]);
  }
  if (object === null || object === undefined) return { manifests: [], problems: [] };
  return manifestsOf(document, object, lineAt);
}

/** The parser's messages go on with a picture of the place, which has no room in a condition or a log line. */
function firstLine(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/^\w*Error: /, "").replace(/ at line \d+, column \d+:$/, "");
}

function manifestsOf(document: ParsedDocument, object: unknown, lineAt: (offset: number) => number): ManifestFile {
  const root: Node | null = document.contents;
  const line = lineAt(root?.range?.[0] ?? 0);
  if (!isJsonObject(object))
    return failed([problem(line, "TypeInvalid", "a manifest must be an object with apiVersion, kind and metadata")]);
  const { items } = object;
  if (object["kind"] !== "List" || !Array.isArray(items)) return single(object, (field) => lineAt(offsetOf(document, root, field)), "");
  const files = items.map((item, index) => {
    const place = `items[${index}]`;
    const locate = (field: string): number => lineAt(offsetOf(document, root, field === "" ? place : `${place}.${field}`));
    return isJsonObject(item)
      ? single(item, locate, place)
      : failed([problem(locate(""), "TypeInvalid", "an item must be an object", place)]);
  });
  return { manifests: files.flatMap((file) => file.manifests), problems: files.flatMap((file) => file.problems) };
}

function single(object: JsonObject, locate: (field: string) => number, place: string): ManifestFile {
  const { apiVersion, kind, metadata } = object;
  const missing = (field: string): ManifestFile =>
    failed([problem(locate(field), "Required", `${field} is required and must be a string`, place === "" ? field : `${place}.${field}`)]);
  if (typeof apiVersion !== "string") return missing("apiVersion");
  if (typeof kind !== "string") return missing("kind");
  const name = isJsonObject(metadata) ? metadata["name"] : undefined;
  if (typeof name !== "string" || name === "") return missing("metadata.name");
  const namespace = isJsonObject(metadata) ? metadata["namespace"] : undefined;
  if (namespace !== undefined && namespace !== null && typeof namespace !== "string") return missing("metadata.namespace");
  return { manifests: [{ apiVersion, kind, namespace: namespace ?? undefined, name, object, locate }], problems: [] };
}

/** Where a field stands in the text: its key if it has one, else its nearest parent. */
function offsetOf(document: ParsedDocument, root: Node | null, field: string): number {
  let node: Node | null = root;
  let offset = root?.range?.[0] ?? 0;
  let rest = field;
  while (rest !== "" && node !== null) {
    const current: Node | undefined = isAlias(node) ? node.resolve(document) : node;
    const step = isMap(current)
      ? stepIntoMap(current.items, rest)
      : isSeq(current)
        ? stepIntoList(current.items as Node[], rest)
        : undefined;
    if (step === undefined) break;
    offset = step.offset ?? offset;
    node = step.node;
    rest = step.rest;
  }
  return offset;
}

interface Step {
  readonly node: Node | null;
  readonly offset: number | undefined;
  readonly rest: string;
}

/** Keys may hold dots (labels do), so the longest key that the path begins with is taken. */
function stepIntoMap(items: readonly Pair[], path: string): Step | undefined {
  let best: { key: string; pair: Pair } | undefined;
  for (const pair of items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : undefined;
    if (key === undefined || (path !== key && !path.startsWith(`${key}.`) && !path.startsWith(`${key}[`))) continue;
    if (best === undefined || key.length > best.key.length) best = { key, pair };
  }
  if (best === undefined) return undefined;
  const key = best.pair.key as Node;
  return { node: best.pair.value as Node | null, offset: key.range?.[0], rest: path.slice(best.key.length).replace(/^\./, "") };
}

function stepIntoList(items: readonly Node[], path: string): Step | undefined {
  const match = /^\[(\d+)\]\.?/.exec(path);
  const node = match === null ? undefined : items[Number(match[1])];
  return match === null || node === undefined ? undefined : { node, offset: node.range?.[0], rest: path.slice(match[0].length) };
}
