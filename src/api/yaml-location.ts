import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node, Pair } from "yaml";

interface Parsed {
  readonly source: string;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
}

/** The document last asked about: problems come several at a time, and parsing is what costs. */
let last: Parsed | undefined;

/**
 * Line (from 1) within `source`, one YAML document, of a field path such as `spec.endpoint.headers[0].name`: of its key if it is there,
 * else of its nearest parent.
 */
export function fieldLine(source: string, field: string): number {
  const { document, lines } = parsed(source);
  return lines.linePos(offsetOf(document, field)).line;
}

function parsed(source: string): Parsed {
  if (last?.source !== source) {
    const lines = new LineCounter();
    last = { source, lines, document: parseDocument(source, { lineCounter: lines, logLevel: "silent" }) };
  }
  return last;
}

function offsetOf(document: Document.Parsed, field: string): number {
  let node: Node | null = document.contents;
  let offset = document.contents?.range[0] ?? 0;
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
