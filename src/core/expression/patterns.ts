import { type Expr, partsOf } from "./parts.ts";
import { call, integer } from "./tree.ts";
import { Pattern } from "./pattern.ts";

/** Not spellable in CEL's grammar. */
export const MATCHES = "@matches";
/** Instructions that all regular expressions of one expression may have together. */
const INSTRUCTIONS_MAX = 1_000;

export type PatternsJudgement =
  | { readonly ok: true; readonly patterns: readonly Pattern[] }
  | { readonly ok: false; readonly message: string };

/**
 * Compiles the regular expressions of a tree, wherever they stand, and has each `matches` name its own. Changes the tree. They must be written in the
 * expression: what comes from an event would be compiled, and weighed, while others wait.
 */
export function compilePatterns(expr: Expr): PatternsJudgement {
  const patterns: Pattern[] = [];
  const message = visit(expr, patterns);
  return message === undefined ? { ok: true, patterns } : { ok: false, message };
}

function visit(expr: Expr | undefined, patterns: Pattern[]): string | undefined {
  if (expr === undefined) return undefined;
  for (const part of partsOf(expr)) {
    const message = visit(part, patterns);
    if (message !== undefined) return message;
  }
  const { exprKind } = expr;
  return exprKind.case === "callExpr" && exprKind.value.function === "matches" ? replace(expr, patterns) : undefined;
}

function replace(expr: Expr, patterns: Pattern[]): string | undefined {
  if (expr.exprKind.case !== "callExpr") return undefined;
  const { target, args } = expr.exprKind.value;
  const [text, written] = target === undefined ? args : [target, args[0]];
  if (text === undefined || written === undefined || args.length !== (target === undefined ? 2 : 1)) {
    return "matches requires a text and a regular expression: write event.type.matches('^order[.]')";
  }
  const source = textOf(written);
  if (source === undefined) {
    return "the regular expression of matches must be a literal text in the expression, such as 'a+' or 'a' + 'b', because it is compiled when the subscription is accepted: to compare with a value of the event use ==, contains, startsWith or endsWith";
  }
  const known = patterns.findIndex((pattern) => pattern.source === source);
  const message = known < 0 ? add(source, patterns) : undefined;
  expr.exprKind = call(expr, MATCHES, [text, integer(expr, known < 0 ? patterns.length - 1 : known)]).exprKind;
  return message;
}

function add(source: string, patterns: Pattern[]): string | undefined {
  const compiled = Pattern.compile(source);
  if (!compiled.ok) return `matches(${shown(source)}): ${compiled.message}`;
  patterns.push(compiled.pattern);
  const together = patterns.reduce((sum, { instructions }) => sum + instructions, 0);
  return together > INSTRUCTIONS_MAX
    ? `the regular expressions compile to ${together} instructions together, more than the ${INSTRUCTIONS_MAX} allowed in one expression: use fewer or smaller ones`
    : undefined;
}

/** The text that a literal, or several joined by +, spell; undefined for anything else. */
function textOf({ exprKind }: Expr): string | undefined {
  if (exprKind.case === "constExpr") {
    return exprKind.value.constantKind.case === "stringValue" ? exprKind.value.constantKind.value : undefined;
  }
  if (exprKind.case !== "callExpr" || exprKind.value.function !== "_+_" || exprKind.value.args.length !== 2) return undefined;
  const [left, right] = exprKind.value.args.map(textOf);
  return left === undefined || right === undefined ? undefined : left + right;
}

const SHOWN_CHARS = 48;

function shown(source: string): string {
  return JSON.stringify(source.length > SHOWN_CHARS ? `${source.slice(0, SHOWN_CHARS)}…` : source);
}
