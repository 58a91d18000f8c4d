import { isCelError, isCelList, isCelMap, isCelUint, parse, plan } from "@bufbuild/cel";
import type { CelResult, CelValue } from "@bufbuild/cel";
import type { Event } from "./event.ts";
import { asBuffer } from "./event-data.ts";
import { eventBinding, jsonBytesAt, rawJsonOf } from "./expression-input.ts";
import type { EventBinding } from "./expression-input.ts";
import { judgeExpression } from "./expression-limits.ts";
import type { Expr } from "./expression-limits.ts";
import { chargeChars, EVALUATION_STEPS_MAX, metered, meteredEnv, meterLoops } from "./expression-meter.ts";
import { eventBudget, Patience } from "./expression-patience.ts";
import type { EvaluationBudget } from "./expression-patience.ts";
import { failed, withinMs } from "./expression-watchdog.ts";
import type { Problem } from "./problem.ts";

/** A CEL filter, compiled at reconcile. Reading an absent field is "no match"; any other failure is an error to be counted. */
export interface CompiledFilter {
  readonly source: string;
  /** `budget` is what this event's filters share; without one it is evaluated as if it were the only one. */
  evaluate(
    event: Event,
    budget?: EvaluationBudget,
  ): { readonly ok: true; readonly matched: boolean } | { readonly ok: false; readonly message: string };
}

/** A CEL body expression, compiled at reconcile; gives the JSON body's bytes. */
export interface CompiledBody {
  readonly source: string;
  evaluate(event: Event): { readonly ok: true; readonly json: Uint8Array } | { readonly ok: false; readonly message: string };
}

export type Compiled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/**
 * The net below the count of steps, for what that might not foresee. Far above what any evaluation takes (docs/spec/webhooksubscription.md): it is
 * wall time, and a busy machine must not decide whether an event matches.
 */
const EVALUATION_MS_MAX = 5_000;
/** The same for compiling, which takes 40 ms at worst: a valid filter that a busy start refused would match nothing, and lose events. */
const COMPILATION_MS_MAX = 5_000;
/** The longest JSON a body expression may give. */
const BODY_BYTES_MAX = 1024 * 1024;
/** With less data, or so few steps, no net is spread (it costs a thread). */
const UNGUARDED_BYTES_MAX = 16 * 1024;
const UNGUARDED_STEPS_MAX = 10_000;

const env = meteredEnv();
type Evaluate = (ctx: { event: EventBinding }) => CelResult;

/** Compiles `spec.events.filter`. The problem (`InvalidFilter`) says what is wrong; CEL's parser gives the place. */
export function compileFilter(source: string): Compiled<CompiledFilter> {
  const parsed = parseExpression(source, { field: "spec.events.filter", reason: "InvalidFilter" });
  if (!parsed.ok) return parsed;
  const { expr, loops } = parsed.value;
  const evaluate: Evaluate = plan(env, expr);
  const patience = new Patience();
  return {
    ok: true,
    value: {
      source,
      evaluate: (event, budget = eventBudget()) => {
        const allowance = patience.allowance(budget);
        if ("refused" in allowance) return { ok: false, message: allowance.refused };
        const outcome = guarded(event, loops, allowance.steps, () => evaluate({ event: eventBinding(event) }));
        patience.evaluated(budget, allowance.steps, outcome);
        if (!outcome.ok) return { ok: false, message: outcome.message };
        const result = outcome.value;
        if (typeof result === "boolean") return { ok: true, matched: result };
        if (!isCelError(result)) return { ok: false, message: `the filter gave ${kindOf(result)} instead of true or false` };
        return isAbsence(result.message) ? { ok: true, matched: false } : { ok: false, message: result.message };
      },
    },
  };
}

/** Compiles `spec.payload.body`. The problem (`InvalidBody`) says what is wrong. */
export function compileBody(source: string): Compiled<CompiledBody> {
  const parsed = parseExpression(source, { field: "spec.payload.body", reason: "InvalidBody" });
  if (!parsed.ok) return parsed;
  const { expr, loops } = parsed.value;
  const writer = writerOf(expr);
  return {
    ok: true,
    value: {
      source,
      evaluate: (event) => {
        const outcome = guarded(event, loops, EVALUATION_STEPS_MAX, () => {
          const out = new JsonOutput();
          writer(event, out);
          return out.bytes();
        });
        return outcome.ok ? { ok: true, json: outcome.value } : { ok: false, message: outcome.message };
      },
    },
  };
}

function parseExpression(
  source: string,
  at: Pick<Problem, "field" | "reason">,
): Compiled<{ readonly expr: Expr; readonly loops: boolean }> {
  const before = judgeExpression.source(source);
  if (before !== undefined) return { ok: false, problem: { ...at, message: before } };
  const parsed = withinMs(COMPILATION_MS_MAX, () => parse(source).expr);
  if (!parsed.ok) return { ok: false, problem: { ...at, message: `not a CEL expression: ${parsed.message}` } };
  const judged = judgeExpression.tree(parsed.value);
  if (typeof judged === "string") return { ok: false, problem: { ...at, message: judged } };
  meterLoops(parsed.value);
  return { ok: true, value: { expr: parsed.value, loops: judged.costly } };
}

type Guarded<T> = { readonly steps: number; readonly cut: boolean } & (
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string }
);

/** Evaluates within so many steps. Cut off is cut off, even where the expression itself would have swallowed the error (`||`). */
function guarded<T>(event: Event, costly: boolean, stepsMax: number, run: () => T): Guarded<T> {
  const evaluate = (): ReturnType<typeof metered<T>> => metered(stepsMax, run);
  const netted = costly && event.data.length > UNGUARDED_BYTES_MAX && stepsMax > UNGUARDED_STEPS_MAX;
  const watched = netted ? withinMs(EVALUATION_MS_MAX, evaluate) : attempted(evaluate);
  if (!watched.ok) return { ok: false, message: watched.message, steps: stepsMax, cut: false };
  const { value, steps, cut } = watched.value;
  if (cut) return { ok: false, message: `the expression needs more than the ${stepsMax} steps allowed`, steps, cut };
  return { ok: true, value: value as T, steps, cut };
}

function attempted<T>(run: () => T): ReturnType<typeof withinMs<T>> {
  try {
    return { ok: true, value: run() };
  } catch (error) {
    return failed(error);
  }
}

/** CEL's words for reading what is not there. */
function isAbsence(message: string): boolean {
  return /field not found|no such key|undefined field|key not found|index out of (range|bounds)|not found/i.test(message);
}

type Writer = (event: Event, out: JsonOutput) => void;

/**
 * A body is written along its syntax tree: map literals entry by entry in the order written, a plain path like `event.data.items` as the bytes
 * received, all else as the JSON of its value.
 */
function writerOf(expr: Expr): Writer {
  const kind = expr.exprKind;
  if (kind.case === "structExpr" && kind.value.messageName === "") {
    const entries = kind.value.entries.map(({ keyKind, value }) => ({
      key: keyKind.case === "mapKey" ? valueOf(keyKind.value) : undefined,
      value: value === undefined ? undefined : writerOf(value),
    }));
    return (event, out) => {
      const seen = new Set<string>();
      out.text("{");
      for (const { key, value } of entries) {
        const name = key?.(event);
        if (typeof name !== "string") throw new Error("the keys of a JSON object must be strings");
        if (seen.has(name)) throw new Error(`the key '${name.slice(0, 64)}' is written twice`);
        out.text(`${seen.size === 0 ? "" : ","}${JSON.stringify(name)}:`);
        seen.add(name);
        value?.(event, out);
      }
      out.text("}");
    };
  }
  if (kind.case === "listExpr") {
    const elements = kind.value.elements.map(writerOf);
    return (event, out) => {
      out.text("[");
      for (const [i, element] of elements.entries()) {
        if (i > 0) out.text(",");
        element(event, out);
      }
      out.text("]");
    };
  }
  const path = dataPath(expr);
  const value = valueOf(expr);
  return (event, out) => {
    const bytes = path === undefined ? undefined : jsonBytesAt(event, path);
    if (bytes === undefined) out.value(value(event));
    else out.raw(bytes);
  };
}

function valueOf(expr: Expr): (event: Event) => CelValue {
  const evaluate: Evaluate = plan(env, expr);
  return (event) => {
    const result = evaluate({ event: eventBinding(event) });
    if (isCelError(result)) throw new Error(result.message);
    return result;
  };
}

/** `event.data.a.b` -> [a, b]; undefined for anything else. */
function dataPath(expr: Expr): readonly string[] | undefined {
  const kind = expr.exprKind;
  if (kind.case !== "selectExpr" || kind.value.testOnly || kind.value.operand === undefined) return undefined;
  const operand = kind.value.operand.exprKind;
  if (operand.case === "identExpr" && operand.value.name === "event") return kind.value.field === "data" ? [] : undefined;
  const above = dataPath(kind.value.operand);
  return above === undefined ? undefined : [...above, kind.value.field];
}

class JsonOutput {
  readonly #chunks: Buffer[] = [];
  #length = 0;

  text(text: string): void {
    this.raw(Buffer.from(text));
  }

  raw(bytes: Uint8Array): void {
    chargeChars(bytes.length);
    this.#length += bytes.length;
    if (this.#length > BODY_BYTES_MAX) throw new Error(`the body is longer than ${BODY_BYTES_MAX} bytes`);
    this.#chunks.push(asBuffer(bytes));
  }

  bytes(): Uint8Array {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }

  value(value: CelValue): void {
    if (value === null || typeof value === "boolean" || typeof value === "string") this.text(JSON.stringify(value));
    else if (typeof value === "bigint") this.text(value.toString());
    else if (isCelUint(value)) this.text(value.value.toString());
    else if (typeof value === "number") this.text(finite(value));
    else if (isCelMap(value) || isCelList(value)) this.#container(value);
    else if (value instanceof Uint8Array) this.text(JSON.stringify(asBuffer(value).toString("base64")));
    else throw new Error(`${kindOf(value)} has no JSON form: use string(…)`);
  }

  #container(value: CelValue): void {
    const raw = rawJsonOf(value);
    if (raw !== undefined) {
      this.raw(raw);
      return;
    }
    let first = true;
    const comma = (): void => {
      if (!first) this.text(",");
      first = false;
    };
    if (isCelList(value)) {
      this.text("[");
      for (const item of value) {
        comma();
        this.value(item);
      }
      this.text("]");
    } else if (isCelMap(value)) {
      this.text("{");
      for (const [key, item] of value) {
        if (typeof key !== "string") throw new Error("the keys of a JSON object must be strings");
        comma();
        this.text(`${JSON.stringify(key)}:`);
        this.value(item);
      }
      this.text("}");
    }
  }
}

function finite(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`${value} has no JSON form`);
  return JSON.stringify(value);
}

function kindOf(value: CelValue): string {
  if (value === null) return "null";
  if (isCelList(value)) return "a list";
  if (isCelMap(value)) return "a map";
  return typeof value === "object" ? "an object" : `a ${typeof value === "bigint" ? "number" : typeof value}`;
}
