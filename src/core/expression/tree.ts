import { charge } from "./meter.ts";
import { entryParts, partsOf, type Expr } from "./parts.ts";

/** Not spellable in CEL's grammar, so no expression can call them itself. */
export const RANGE = "@range";
export const APPEND = "@append";
export const KEYED = "@keyed";

/** What each part costs, in steps: measured, with the ones that may cost more (an absent field makes an error) at their worst. */
const TURN = 1;
const SELECT = 4;
/** CEL looks for `event.data.a` under its whole name first, and under `event.data`: the longer the path, the dearer. */
const SELECT_DEEP = 9;
const CALL = 4;
const LIST = 5;
const LIST_ITEM = 2;
/** A list that is only appended is never made. */
const APPENDED_LESS = 6;
const MAP = 8;
const MAP_ENTRY = 4;
/** Calls that cost less, or more, than others. */
const CALLS: Readonly<Record<string, number>> = {
  "_&&_": 1,
  "_||_": 1,
  "_?_:_": 2,
  "@not_strictly_false": 1,
  "!_": 1,
  "_[_]": 8,
  "_+_": 6,
};
/** Maps with so many keys that are no texts are searched from end to end for one that is not there. */
const KEYS_SEARCHED_FREE = 16;
const KEYS_PER_STEP = 8;

/**
 * The names by which loops pay for a turn: reading `@9` costs nine steps and is true. A function would cost more than most that it counts, and the error
 * of a name goes through to the end, past `||`.
 */
const TURNS: Record<string, unknown> = Object.create(null) as Record<string, unknown>;

/** What an expression's names are looked up in. */
export function variables(event: unknown): Record<string, unknown> {
  const found = Object.create(TURNS) as Record<string, unknown>;
  found["event"] = event;
  return found;
}

function turnName(steps: number): string {
  const name = `@${steps}`;
  if (!(name in TURNS)) {
    Object.defineProperty(TURNS, name, {
      get: () => {
        charge(steps);
        return true;
      },
    });
  }
  return name;
}

/**
 * Has every loop of the tree pay for each turn what its body costs and for the list or map it reads, and lets `map` and `filter` append in place: cel-js
 * joins lists in a chain, which makes a map over 10,000 items overflow the stack. Changes the tree. @returns the steps that everything outside of
 * loops costs
 */
export function meterTree(expr: Expr): number {
  return new Metering(largestKeyed(expr)).cost(expr);
}

class Metering {
  /** Keys of the largest map of the expression whose keys are no texts. */
  readonly #keyed: number;

  constructor(keyed: number) {
    this.#keyed = keyed;
  }

  cost(expr: Expr | undefined): number {
    if (expr === undefined) return 0;
    const kind = expr.exprKind;
    switch (kind.case) {
      case "selectExpr":
        return (isShort(kind.value.operand) ? SELECT : SELECT_DEEP) + this.cost(kind.value.operand);
      case "callExpr": {
        const { function: name, target, args } = kind.value;
        const inside = this.cost(target) + this.#all(args);
        if (name === "_[_]" && this.#keyed > KEYS_SEARCHED_FREE && args[1] !== undefined) {
          args[1] = call(expr, KEYED, [args[1], integer(expr, Math.ceil(this.#keyed / KEYS_PER_STEP))]);
        }
        return (CALLS[name] ?? CALL) + inside;
      }
      case "listExpr":
        return LIST + LIST_ITEM * kind.value.elements.length + this.#all(kind.value.elements);
      case "structExpr":
        return MAP + MAP_ENTRY * kind.value.entries.length + this.#all(kind.value.entries.flatMap(entryParts));
      case "comprehensionExpr":
        return this.#loop(expr, kind.value);
      default:
        return 1;
    }
  }

  #all(exprs: readonly (Expr | undefined)[]): number {
    return exprs.reduce((sum, part) => sum + this.cost(part), 0);
  }

  #loop(expr: Expr, loop: Loop): number {
    const { iterRange, loopCondition, loopStep } = loop;
    if (iterRange === undefined || loopCondition === undefined || loopStep === undefined) return 1;
    const body = this.cost(loopCondition) + this.cost(loopStep);
    const around = this.cost(iterRange) + this.cost(loop.accuInit) + this.cost(loop.result);
    const turn = TURN + body - (appendInPlace(loopStep, loop.accuVar) ? APPENDED_LESS : 0);
    loop.loopCondition = call(expr, "_&&_", [name(expr, turnName(turn)), loopCondition]);
    loop.iterRange = call(expr, RANGE, [iterRange]);
    return CALL + around + turn;
  }
}

type Loop = Extract<Expr["exprKind"], { case: "comprehensionExpr" }>["value"];
function largestKeyed(expr: Expr | undefined): number {
  if (expr === undefined) return 0;
  const inside = partsOf(expr).reduce((most, part) => Math.max(most, largestKeyed(part)), 0);
  if (expr.exprKind.case !== "structExpr") return inside;
  const keys = expr.exprKind.value.entries.filter(({ keyKind }) => keyKind.case === "mapKey" && !isText(keyKind.value));
  return Math.max(inside, keys.length);
}

/** The variable of a loop, as it is mostly named. */
function isShort(operand: Expr | undefined): boolean {
  return operand?.exprKind.case === "identExpr" && operand.exprKind.value.name.length === 1;
}

function isText({ exprKind }: Expr): boolean {
  return exprKind.case === "constExpr" && exprKind.value.constantKind.case === "stringValue";
}

/** `@result + […]`, as the macros map and filter write it: no expression can spell that name, so nobody else sees the list while the loop runs. */
function appendInPlace(step: Expr, accuVar: string): boolean {
  if (step.exprKind.case !== "callExpr") return false;
  const { function: called, args } = step.exprKind.value;
  const first = args[0]?.exprKind;
  const added = args[1]?.exprKind;
  if (called === "_+_" && first?.case === "identExpr" && first.value.name === accuVar && added?.case === "listExpr") {
    step.exprKind.value.function = APPEND;
    args.splice(1, 1, ...added.value.elements);
    return true;
  }
  return called === "_?_:_" && args[1] !== undefined && appendInPlace(args[1], accuVar);
}

export function call(at: Expr, called: string, args: Expr[]): Expr {
  return {
    $typeName: "cel.expr.Expr",
    id: at.id,
    exprKind: { case: "callExpr", value: { $typeName: "cel.expr.Expr.Call", function: called, args } },
  };
}

export function integer(at: Expr, value: number): Expr {
  return {
    $typeName: "cel.expr.Expr",
    id: at.id,
    exprKind: {
      case: "constExpr",
      value: { $typeName: "cel.expr.Constant", constantKind: { case: "int64Value", value: BigInt(value) } },
    },
  };
}

function name(at: Expr, spelled: string): Expr {
  return {
    $typeName: "cel.expr.Expr",
    id: at.id,
    exprKind: { case: "identExpr", value: { $typeName: "cel.expr.Expr.Ident", name: spelled } },
  };
}
