import { type Expr, partsOf } from "./parts.ts";

/** Limits judged at reconcile, so that no expression that could stall or overflow is ever evaluated. */
const EXPRESSION_CHARS_MAX = 2_048;
const EXPRESSION_BRACKETS_MAX = 32;
const EXPRESSION_DEPTH_MAX = 96;
const EXPRESSION_NODES_MAX = 1_024;
/** Loops (`all`, `exists`, `map`, `filter`, …) inside each other. */
const EXPRESSION_LOOPS_NESTED_MAX = 2;

const EVENT_FIELDS: ReadonlySet<string> = new Set(["id", "source", "type", "subject", "time", "dataContentType", "data", "extensions"]);
const TYPE_NAMES: ReadonlySet<string> = new Set([
  "bool",
  "int",
  "uint",
  "double",
  "string",
  "bytes",
  "list",
  "map",
  "null_type",
  "type",
  "google",
]);

/** Their work grows with the values they are given by more than the reading of them. */
const COSTLY_CALLS: ReadonlySet<string> = new Set(["matches", "contains", "int", "uint", "double", "@in", "_==_", "_!=_"]);

interface Walk {
  nodes: number;
  costly: boolean;
}

/** What is wrong with an expression's text, and with its tree. */
export const judgeExpression = {
  source(source: string): string | undefined {
    if (source.trim() === "") return "the expression is empty";
    if (source.length > EXPRESSION_CHARS_MAX)
      return `the expression has ${source.length} characters, more than the ${EXPRESSION_CHARS_MAX} allowed`;
    let depth = 0;
    let deepest = 0;
    for (const char of source) {
      if ("([{".includes(char)) deepest = Math.max(deepest, ++depth);
      else if (")]}".includes(char)) depth--;
    }
    return deepest > EXPRESSION_BRACKETS_MAX
      ? `brackets are nested ${deepest} deep, more than the ${EXPRESSION_BRACKETS_MAX} allowed`
      : undefined;
  },
  /** @returns the problem, or its size and whether evaluating may take long (loops, functions that read what they are given). */
  tree(expr: Expr | undefined): string | { readonly costly: boolean; readonly parts: number } {
    const walk: Walk = { nodes: 0, costly: false };
    return visit(expr, { depth: 1, loops: 0, names: new Set() }, walk) ?? { costly: walk.costly, parts: walk.nodes };
  },
};

interface Place {
  readonly depth: number;
  readonly loops: number;
  readonly names: ReadonlySet<string>;
}

function visit(expr: Expr | undefined, place: Place, walk: Walk): string | undefined {
  if (expr === undefined) return undefined;
  walk.nodes += 1;
  if (walk.nodes > EXPRESSION_NODES_MAX) return `the expression has more than the ${EXPRESSION_NODES_MAX} parts allowed`;
  if (place.depth > EXPRESSION_DEPTH_MAX) return `the expression is nested more than the ${EXPRESSION_DEPTH_MAX} levels allowed`;
  const kind = expr.exprKind;
  if (kind.case === "comprehensionExpr") {
    walk.costly = true;
    if (place.loops >= EXPRESSION_LOOPS_NESTED_MAX) {
      return `loops (all, exists, map, filter) are nested more than the ${EXPRESSION_LOOPS_NESTED_MAX} levels allowed`;
    }
    const { iterVar, iterVar2, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = kind.value;
    const inside = { depth: place.depth + 1, loops: place.loops + 1, names: new Set([...place.names, iterVar, iterVar2, accuVar]) };
    const outside = { ...place, depth: place.depth + 1 };
    return visitAll([iterRange, accuInit], outside, walk) ?? visitAll([loopCondition, loopStep, result], inside, walk);
  }
  if (kind.case === "identExpr") return judgeName(kind.value.name, place);
  if (kind.case === "selectExpr" && kind.value.operand?.exprKind.case === "identExpr" && !place.names.has("event")) {
    const { name } = kind.value.operand.exprKind.value;
    if (name === "event" && !EVENT_FIELDS.has(kind.value.field)) {
      return `event has no field '${kind.value.field}': it has ${[...EVENT_FIELDS].join(", ")}`;
    }
  }
  if (kind.case === "structExpr" && kind.value.messageName !== "") {
    return `messages such as ${kind.value.messageName} are not supported: write a map, {'name': …}`;
  }
  if (kind.case === "callExpr" && COSTLY_CALLS.has(kind.value.function)) walk.costly = true;
  return visitAll(partsOf(expr), { ...place, depth: place.depth + 1 }, walk);
}

function visitAll(exprs: readonly (Expr | undefined)[], place: Place, walk: Walk): string | undefined {
  for (const expr of exprs) {
    const message = visit(expr, place, walk);
    if (message !== undefined) return message;
  }
  return undefined;
}

function judgeName(name: string, place: Place): string | undefined {
  if (name === "event" || place.names.has(name) || TYPE_NAMES.has(name)) return undefined;
  return `'${name}' is not defined: an expression sees only event (event.type, event.data.…)`;
}
