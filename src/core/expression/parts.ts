import type { parse } from "@bufbuild/cel";

/** A node of CEL's syntax tree. */
export type Expr = NonNullable<ReturnType<typeof parse>["expr"]>;

type Entry = Extract<Expr["exprKind"], { case: "structExpr" }>["value"]["entries"][number];

/** The parts of an entry of a map: its key, its value. */
export function entryParts({ keyKind, value }: Entry): readonly (Expr | undefined)[] {
  return [keyKind.case === "mapKey" ? keyKind.value : undefined, value];
}

/** The parts right below one of a tree. */
export function partsOf(expr: Expr): readonly (Expr | undefined)[] {
  const kind = expr.exprKind;
  switch (kind.case) {
    case "selectExpr":
      return [kind.value.operand];
    case "callExpr":
      return [kind.value.target, ...kind.value.args];
    case "listExpr":
      return kind.value.elements;
    case "structExpr":
      return kind.value.entries.flatMap(entryParts);
    case "comprehensionExpr": {
      const { iterRange, accuInit, loopCondition, loopStep, result } = kind.value;
      return [iterRange, accuInit, loopCondition, loopStep, result];
    }
    default:
      return [];
  }
}
