import { celEnv, celFunc, celList, celMethod, CelScalar, isCelList, isCelMap, listType } from "@bufbuild/cel";
import type { CelEnv, CelFunc, CelList, CelResult, CelValue } from "@bufbuild/cel";
import { RE2JS } from "@bufbuild/re2";
import { rawJsonOf } from "./expression-input.ts";
import type { Expr } from "./expression-limits.ts";

/**
 * The cost of evaluating, counted in steps: a step is one part of an expression looked at once, or 32 characters or bytes looked at. Counting is
 * exact and the same on every machine, so what is cut off here would be cut off anywhere: no clock decides about a match.
 */
export const EVALUATION_STEPS_MAX = 200_000;
/** The longest text or bytes an expression may build on its way, and the longest list it may join. */
const BUILT_LENGTH_MAX = 1024 * 1024;
const PATTERN_CHARS_MAX = 256;
const PATTERNS_KEPT_MAX = 256;
const CHARS_PER_STEP = 32;
/** RE2 looks at each character once per part of the pattern, in JavaScript: about half a step each. */
const PATTERN_CHARS_PER_STEP = 2;

/** Not spellable in CEL's grammar, so no expression can call them itself. */
const STEP = "@step";
const RANGE = "@range";
const APPEND = "@append";
class TooManySteps extends Error {}

const meter = { allowed: EVALUATION_STEPS_MAX, left: EVALUATION_STEPS_MAX };

/** Runs `work` with at most so many steps. @returns what it gave and what it took; `cut` when it was stopped for want of steps. */
export function metered<T>(
  stepsMax: number,
  work: () => T,
): { readonly value: T | undefined; readonly steps: number; readonly cut: boolean } {
  meter.allowed = stepsMax;
  meter.left = stepsMax;
  let value: T | undefined;
  try {
    value = work();
  } catch (error) {
    if (meter.left >= 0) throw error;
  }
  return { value, steps: stepsMax - Math.max(0, meter.left), cut: meter.left < 0 };
}

/** Charges a reading of what an event brings, as of its bytes. */
export function chargeChars(length: number): void {
  charge(1 + length / CHARS_PER_STEP);
}

function charge(steps: number): void {
  meter.left -= Math.ceil(steps);
  if (meter.left < 0) throw new TooManySteps(`the expression needs more than the ${meter.allowed} steps allowed`);
}

/**
 * Has every loop of the tree pay for each turn (as many steps as its body has parts) and for the list or map it reads, and lets `map` and `filter`
 * append in place: cel-js joins lists in a chain, which makes a map over 10,000 items overflow the stack. Changes the tree. @returns its parts.
 */
export function meterLoops(expr: Expr | undefined): number {
  if (expr === undefined) return 0;
  const kind = expr.exprKind;
  switch (kind.case) {
    case "selectExpr":
      return 1 + meterLoops(kind.value.operand);
    case "callExpr":
      return 1 + [kind.value.target, ...kind.value.args].reduce((parts, part) => parts + meterLoops(part), 0);
    case "listExpr":
      return 1 + kind.value.elements.reduce((parts, part) => parts + meterLoops(part), 0);
    case "structExpr":
      return kind.value.entries.reduce(
        (parts, { keyKind, value }) => parts + meterLoops(keyKind.case === "mapKey" ? keyKind.value : undefined) + meterLoops(value),
        1,
      );
    case "comprehensionExpr": {
      const loop = kind.value;
      const { iterRange, loopCondition, loopStep } = loop;
      if (iterRange === undefined || loopCondition === undefined || loopStep === undefined) return 1;
      const body = meterLoops(loopCondition) + meterLoops(loopStep);
      const around = meterLoops(iterRange) + meterLoops(loop.accuInit) + meterLoops(loop.result);
      appendInPlace(loopStep, loop.accuVar);
      loop.loopCondition = call(expr, "_&&_", [call(expr, STEP, [integer(expr, body)]), loopCondition]);
      loop.iterRange = call(expr, RANGE, [iterRange]);
      return 1 + around + body;
    }
    default:
      return 1;
  }
}

/** `@result + […]`, as the macros map and filter write it: no expression can spell that name, so nobody else sees the list while the loop runs. */
function appendInPlace(step: Expr, accuVar: string): void {
  if (step.exprKind.case !== "callExpr") return;
  const { function: name, args } = step.exprKind.value;
  const first = args[0]?.exprKind;
  if (name === "_+_" && first?.case === "identExpr" && first.value.name === accuVar && args[1]?.exprKind.case === "listExpr") {
    step.exprKind.value.function = APPEND;
  } else if (name === "_?_:_" && args[1] !== undefined) appendInPlace(args[1], accuVar);
}

function call(at: Expr, name: string, args: Expr[]): Expr {
  return {
    $typeName: "cel.expr.Expr",
    id: at.id,
    exprKind: { case: "callExpr", value: { $typeName: "cel.expr.Expr.Call", function: name, args } },
  };
}

function integer(at: Expr, value: number): Expr {
  return {
    $typeName: "cel.expr.Expr",
    id: at.id,
    exprKind: {
      case: "constExpr",
      value: { $typeName: "cel.expr.Constant", constantKind: { case: "int64Value", value: BigInt(value) } },
    },
  };
}

const { BOOL, BYTES, DYN, INT, STRING } = CelScalar;
const LIST = listType(DYN);
/** Lists that `@append` made, by what they are views of. */
const appendable = new WeakMap<CelList, CelValue[]>();
const patterns = new Map<string, RE2JS>();

const OWN_FUNCTIONS: readonly CelFunc[] = [
  celFunc(STEP, [INT], BOOL, (parts) => {
    charge(Number(parts));
    return true;
  }),
  celFunc(RANGE, [DYN], DYN, (range) => {
    if (isCelList(range) || isCelMap(range)) charge(range.size);
    return range;
  }),
  celFunc(APPEND, [LIST, LIST], LIST, (list, more) => {
    const items = appendable.get(list) ?? [...list];
    items.push(...more);
    const grown = appendable.has(list) ? list : celList(items);
    appendable.set(grown, items);
    return grown;
  }),
  celFunc("_+_", [STRING, STRING], STRING, (left, right) => {
    bounded("text", left.length + right.length);
    return left + right;
  }),
  celFunc("_+_", [BYTES, BYTES], BYTES, (left, right) => {
    bounded("bytes value", left.length + right.length);
    return Buffer.concat([left, right]);
  }),
  celFunc("_+_", [LIST, LIST], LIST, (left, right) => {
    bounded("list", left.size + right.size);
    charge(left.size + right.size);
    return celList([...left, ...right]);
  }),
  celFunc("size", [STRING], INT, codePoints),
  celMethod("size", STRING, [], INT, function () {
    return codePoints(this);
  }),
  celMethod("matches", STRING, [STRING], BOOL, function (pattern) {
    charge((this.length * (pattern.length + 1)) / PATTERN_CHARS_PER_STEP);
    return compiledPattern(pattern).test(this);
  }),
];

/** The functions of CEL, each paying for the texts, bytes and (where it looks into them) lists and maps it is given. */
export function meteredEnv(): CelEnv {
  const standard = celEnv() as unknown as { readonly funcs: Iterable<CelFunc> };
  return celEnv({ funcs: [...[...standard.funcs].flatMap(overloadsOf).map(paying), ...OWN_FUNCTIONS.map(paying)] });
}

function overloadsOf(func: CelFunc | Iterable<CelFunc>): readonly CelFunc[] {
  return Symbol.iterator in func ? [...func] : [func];
}

const LOOKS_INSIDE: ReadonlySet<string> = new Set(["_==_", "_!=_", "@in"]);

function paying(func: CelFunc): CelFunc {
  const deep = LOOKS_INSIDE.has(func.name);
  const call = (id: number, target: CelValue | undefined, args: CelValue[]): CelResult | undefined => {
    if (deep) for (const arg of args) chargeInside(arg);
    const result = func.call(id, target, args);
    if (result !== undefined && !deep) {
      chargeValue(target);
      for (const arg of args) chargeValue(arg);
    }
    return result;
  };
  return Object.create(func, { call: { value: call } }) as CelFunc;
}

function chargeValue(value: CelValue | undefined): void {
  if (typeof value === "string" || value instanceof Uint8Array) chargeChars(value.length);
}

/** As much as comparing may look at. An event's own lists and maps cost their bytes; those of the expression are walked. */
function chargeInside(value: CelValue): void {
  const raw = rawJsonOf(value);
  if (raw !== undefined) charge(1 + raw.length / 2);
  else if (isCelList(value)) {
    charge(1 + value.size);
    for (const item of value) chargeInside(item);
  } else if (isCelMap(value)) {
    charge(1 + value.size);
    for (const [, item] of value) chargeInside(item);
  } else chargeValue(value);
}

function bounded(what: string, length: number): void {
  if (length > BUILT_LENGTH_MAX) throw new Error(`the expression builds a ${what} longer than the ${BUILT_LENGTH_MAX} allowed`);
}

/** CEL's size of a string: its code points. Counted without a list of them. */
function codePoints(text: string): bigint {
  let count = 0;
  for (let at = 0; at < text.length; count++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return BigInt(count);
}

/** RE2 only: linear in the text, no backtracking. */
function compiledPattern(pattern: string): RE2JS {
  const known = patterns.get(pattern);
  if (known !== undefined) return known;
  if (pattern.length > PATTERN_CHARS_MAX)
    throw new Error(`the regular expression has ${pattern.length} characters, more than the ${PATTERN_CHARS_MAX} allowed`);
  const compiled = RE2JS.compile(pattern);
  if (patterns.size >= PATTERNS_KEPT_MAX) patterns.delete(patterns.keys().next().value ?? "");
  patterns.set(pattern, compiled);
  return compiled;
}
