import { Composer, LineCounter, Parser } from "yaml";
import type { Document } from "yaml";
import type { Problem } from "../core/problem.ts";
import type { ManifestReason } from "../core/reasons.ts";
import { isJsonObject } from "./defaulting.ts";
import type { JsonObject } from "./defaulting.ts";
import { ambiguousScalars, deepNode } from "./yaml-node.ts";
import { fieldLine } from "./yaml-location.ts";

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
    return failed([problem(1, "TooLong", `the file has over ${MANIFEST_FILE_BYTES_MAX} bytes (16 MiB), which is the limit: split it`)]);
  }
  const manifests: Manifest[] = [];
  const problems: ManifestProblem[] = [];
  const source: Source = { text, lines: new LineCounter() };
  try {
    for (const document of parsed(source)) {
      const read = readDocument(document, source);
      manifests.push(...read.manifests);
      problems.push(...read.problems);
    }
  } catch (error) {
    // The parser recurses: on input nested thousands of levels deep it runs out of stack.
    if (!(error instanceof RangeError)) throw error;
    problems.push(tooDeep(1));
  }
  return { manifests, problems };
}

interface Source {
  readonly text: string;
  readonly lines: LineCounter;
}

/** One document after the other, so that the trees of ten thousand are never in memory together. */
function* parsed({ text, lines }: Source): Generator<ParsedDocument> {
  const tokens = new Parser(lines.addNewLine).parse(text);
  yield* new Composer({ uniqueKeys: true, version: "1.2", logLevel: "silent" }).compose(tokens);
}

function failed(problems: readonly ManifestProblem[]): ManifestFile {
  return { manifests: [], problems };
}

function problem(line: number, reason: ManifestReason, message: string, field = ""): ManifestProblem {
  return { field, reason, message, line };
}

function tooDeep(line: number): ManifestProblem {
  return problem(line, "TooDeep", `nested deeper than ${MANIFEST_DEPTH_MAX} levels`);
}

type ReadValue = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problems: readonly ManifestProblem[] };

/** The value of a short YAML or JSON text of one document, by the rules of manifests. Never throws for what the text holds. */
export function yamlValue(text: string): ReadValue {
  const source: Source = { text, lines: new LineCounter() };
  try {
    const [document, ...more] = parsed(source);
    if (document === undefined) return { ok: true, value: null };
    if (more.length > 0) return { ok: false, problems: [problem(1, "InvalidYAML", "more than one document")] };
    return documentValue(document, source);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { ok: false, problems: [tooDeep(1)] };
  }
}

function readDocument(document: ParsedDocument, source: Source): ManifestFile {
  const read = documentValue(document, source);
  if (!read.ok) return failed(read.problems);
  if (read.value === null || read.value === undefined) return { manifests: [], problems: [] };
  return manifestsOf(document, read.value, source);
}

function documentValue(document: ParsedDocument, source: Source): ReadValue {
  const lineAt = (offset: number): number => source.lines.linePos(offset).line;
  const failed = (problems: readonly ManifestProblem[]): ReadValue => ({ ok: false, problems });
  if (document.errors.length > 0) {
    const shown = document.errors.slice(0, SYNTAX_ERRORS_MAX);
    if (shown.some((error) => error.message.includes("call stack"))) return failed([tooDeep(1)]);
    return failed(shown.map((error) => problem(lineAt(error.pos[0]), "InvalidYAML", firstLine(error.message))));
  }
  const deepAt = deepNode(document, MANIFEST_DEPTH_MAX);
  if (deepAt !== undefined) return failed([tooDeep(lineAt(deepAt))]);
  const ambiguous = ambiguousScalars(document).map(({ offset, message }) => problem(lineAt(offset), "Ambiguous", message));
  if (ambiguous.length > 0) return failed(ambiguous);
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: MANIFEST_ALIASES_MAX }) };
  } catch (error) {
    const start = document.contents?.range?.[0] ?? 0;
    return failed([problem(lineAt(start), "InvalidYAML", `${firstLine(String(error))} (at most ${MANIFEST_ALIASES_MAX} aliases)`)]);
  }
}

/** The parser's messages go on with a picture of the place, which has no room in a condition or a log line. */
function firstLine(message: string): string {
  const line = (message.split("\n")[0] ?? "").replace(/^\w*Error: /, "").replace(/ at line \d+, column \d+:$/, "");
  // What it is called may be a password that begins with * and is not in quotes.
  return line.startsWith("Unresolved alias") ? "an alias has no anchor before it: quote values that start with *" : line;
}

function manifestsOf(document: ParsedDocument, object: unknown, source: Source): ManifestFile {
  const locate = locator(document, source);
  if (!isJsonObject(object)) {
    return failed([problem(locate(""), "TypeInvalid", "a manifest must be an object with apiVersion, kind and metadata")]);
  }
  const { items } = object;
  if (object["kind"] !== "List" || !Array.isArray(items)) return single(object, locate, "");
  const files = items.map((item, index) => {
    const place = `items[${index}]`;
    const locateItem = (field: string): number => locate(field === "" ? place : `${place}.${field}`);
    return isJsonObject(item)
      ? single(item, locateItem, place)
      : failed([problem(locateItem(""), "TypeInvalid", "an item must be an object", place)]);
  });
  return { manifests: files.flatMap((file) => file.manifests), problems: files.flatMap((file) => file.problems) };
}

/** Keeps the document's text, not its tree: lines are asked for only when something is wrong. */
function locator(document: ParsedDocument, { text, lines }: Source): (field: string) => number {
  const contents = document.contents?.range?.[0] ?? 0;
  const begin = text.lastIndexOf("\n", contents - 1) + 1;
  const end = document.range[2];
  const firstLineNumber = lines.linePos(begin).line;
  return (field) => firstLineNumber - 1 + fieldLine(text.slice(begin, end), field);
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
