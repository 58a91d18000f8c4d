import type { Expr } from "./parts.ts";
import { APPEND, call } from "./tree.ts";

/** Reads a member or an item of an event's data; a number stays as it is spelled. Not spellable in CEL's grammar, so no expression can call it itself. */
export const SPELLED = "@spelled";

/**
 * Has a body's tree, metered already, hand numbers on as they are spelled wherever a value of the event goes straight into the JSON: in loops, in choices,
 * in lists and maps of loops. What computes, compares or converts is left alone, and gets numbers that are exact or fails. Changes the tree.
 * @returns what stands in the place of `expr`
 */
export function spelled(expr: Expr): Expr {
  const kind = expr.exprKind;
  switch (kind.case) {
    case "selectExpr": {
      const { operand, field, testOnly } = kind.value;
      if (testOnly || operand === undefined || isEvent(operand)) return expr;
      return call(expr, SPELLED, [lookedInto(operand), text(expr, field)]);
    }
    case "callExpr":
      spellArguments(kind.value.function, kind.value.args);
      if (kind.value.function !== "_[_]") return expr;
      if (kind.value.args[0] !== undefined) kind.value.args[0] = lookedInto(kind.value.args[0]);
      return call(expr, SPELLED, kind.value.args);
    case "listExpr":
      spellAll(kind.value.elements);
      return expr;
    case "structExpr":
      for (const entry of kind.value.entries) if (entry.value !== undefined) entry.value = spelled(entry.value);
      return expr;
    case "comprehensionExpr":
      if (isList(kind.value.accuInit) && kind.value.loopStep !== undefined) kind.value.loopStep = spelled(kind.value.loopStep);
      return expr;
    default:
      return expr;
  }
}

/** Which arguments of a call become part of its value as they are. */
function spellArguments(called: string, args: Expr[]): void {
  if (called === "_?_:_" || called === APPEND) spellAll(args, 1);
  else if (called === "_+_" && args.every(isMadeList)) spellAll(args);
}

function spellAll(parts: Expr[], from = 0): void {
  for (let at = from; at < parts.length; at++) {
    const part = parts[at];
    if (part !== undefined) parts[at] = spelled(part);
  }
}

/** What the expression makes is looked into only to take something out of it. A plain path stays one: CEL looks it up under its whole name. */
function lookedInto(operand: Expr): Expr {
  return operand.exprKind.case === "selectExpr" ? operand : spelled(operand);
}

function isList(expr: Expr | undefined): boolean {
  return expr?.exprKind.case === "listExpr";
}

function isMadeList(expr: Expr): boolean {
  return isList(expr) || (expr.exprKind.case === "comprehensionExpr" && isList(expr.exprKind.value.accuInit));
}

function isEvent({ exprKind }: Expr): boolean {
  return exprKind.case === "identExpr" && exprKind.value.name === "event";
}

function text(at: Expr, value: string): Expr {
  return {
    $typeName: "cel.expr.Expr",
    id: at.id,
    exprKind: { case: "constExpr", value: { $typeName: "cel.expr.Constant", constantKind: { case: "stringValue", value } } },
  };
}
