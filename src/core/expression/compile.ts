import { isCelError, parse, plan } from "@bufbuild/cel";
import { WeighedStore, type Held } from "../../lib/weighed-store.ts";
import type { Event } from "../event.ts";
import { bodyWriter, type Evaluate, kindOf } from "./body.ts";
import { meteredEnv } from "./functions.ts";
import { eventBinding } from "./input.ts";
import { judgeExpression } from "./limits.ts";
import type { Expr } from "./parts.ts";
import { charge, EVALUATION_STEPS_MAX, metered, stepsTaken } from "./meter.ts";
import { Patience } from "./patience.ts";
import { compilePatterns } from "./patterns.ts";
import { meterTree, variables } from "./tree.ts";
import { failed, withinMs, type Watched } from "./watchdog.ts";
import type { Pattern } from "./pattern.ts";
import type { Problem } from "../problem.ts";

/** What an evaluation took of the steps that it was allowed; `cut` when they (or the time) were not enough. */
export interface Spent {
  readonly steps: number;
  readonly cut: boolean;
}

export type FilterVerdict = Spent & ({ readonly ok: true; readonly matched: boolean } | { readonly ok: false; readonly message: string });

/** A CEL filter, compiled at reconcile. Reading an absent field is "no match"; any other failure is an error to be counted. */
export interface CompiledFilter {
  readonly source: string;
  /** Allowed less than EVALUATION_STEPS_MAX, one that is cut has said nothing: it is to be asked again with more. */
  evaluate(event: Event, stepsMax?: number): FilterVerdict;
  /** It took more than its share of what one event of the namespace may cost: it rests there (patience.ts). */
  blame(namespace: string): void;
}

/** A CEL body expression, compiled at reconcile; gives the JSON body's bytes. */
export interface CompiledBody {
  readonly source: string;
  /** Whether it may take long: it has loops, or functions that read what they are given. */
  readonly costly: boolean;
  evaluate(event: Event): Spent & ({ readonly ok: true; readonly json: Uint8Array } | { readonly ok: false; readonly message: string });
}

export type Compiled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/**
 * The net below the count of steps, for what that might not foresee: ten times what any evaluation takes (docs/adr/0017), in processor time, so that a
 * busy machine never decides whether an event matches. What falls into it has been cut.
 */
const EVALUATION_MS_MAX = 250;
/** The same for compiling, which takes 40 ms at worst: a valid filter that a busy start refused would match nothing, and lose events. */
const COMPILATION_MS_MAX = 5_000;
/** The net costs 0.25 ms, and what takes the parser long is brackets within brackets: 32 of them 140 ms. */
const PLAIN_CHARS_MAX = 256;
const PLAIN_BRACKETS_MAX = 6;
/** With less data, or so few steps, no function has enough before it to run long between two counts: no net is spread (it costs a thread). */
const UNGUARDED_BYTES_MAX = 16 * 1024;
const UNGUARDED_STEPS_MAX = 10_000;
/** What all compiled expressions may weigh together. Beyond that those of the namespace that has most are compiled anew when they are next needed. */
const PLANS_BYTES_MAX = 96 * 1024 * 1024;
const PLAN_BYTES = 4_096;
const BYTES_PER_PART = 640;
/** Compiling again takes so many steps for each part, and for each instruction of a regular expression. */
const STEPS_PER_PART = 100;
const STEPS_PER_INSTRUCTION = 40;

const env = meteredEnv();

interface Plan<T> {
  readonly run: T;
  readonly patterns: readonly Pattern[];
  readonly costly: boolean;
  /** Of everything outside of loops. */
  readonly steps: number;
  readonly parts: number;
}

const plans = new WeighedStore<Plan<unknown>>(PLANS_BYTES_MAX);

/** What all compiled expressions weigh, bytes. */
export function compiledBytes(): number {
  return plans.bytes;
}

/** Compiles `spec.events.filter`. The problem (`InvalidFilter`) says what is wrong; CEL's parser gives the place. */
export function compileFilter(source: string): Compiled<CompiledFilter> {
  const compiled = Expression.compile(source, { field: "spec.events.filter", reason: "InvalidFilter" }, planOf);
  if (!compiled.ok) return compiled;
  const expression = compiled.value;
  const patience = new Patience();
  const evaluate = (event: Event, stepsMax = EVALUATION_STEPS_MAX): FilterVerdict => {
    const refusal = patience.refusal(event.namespace);
    if (refusal !== undefined) return { ok: false, message: refusal, steps: 1, cut: false };
    const { steps, cut, ...outcome } = expression.evaluate(event, stepsMax, (run) => run(event));
    if (!cut || stepsMax >= EVALUATION_STEPS_MAX) patience.evaluated(event.namespace, cut);
    if (!outcome.ok) return { ok: false, message: outcome.message, steps, cut };
    const result = outcome.value;
    if (typeof result === "boolean") return { ok: true, matched: result, steps, cut };
    if (!isCelError(result)) return { ok: false, message: `the filter gave ${kindOf(result)} instead of true or false`, steps, cut };
    return isAbsence(result.message) ? { ok: true, matched: false, steps, cut } : { ok: false, message: result.message, steps, cut };
  };
  return { ok: true, value: { source, evaluate, blame: (namespace) => patience.blamed(namespace) } };
}

/** Compiles `spec.payload.body`. The problem (`InvalidBody`) says what is wrong. */
export function compileBody(source: string): Compiled<CompiledBody> {
  const compiled = Expression.compile(source, { field: "spec.payload.body", reason: "InvalidBody" }, (expr) => bodyWriter(expr, planOf));
  if (!compiled.ok) return compiled;
  const expression = compiled.value;
  return {
    ok: true,
    value: {
      source,
      costly: expression.costly,
      evaluate: (event) => {
        const { steps, cut, ...outcome } = expression.evaluate(event, EVALUATION_STEPS_MAX, (run) => run(event));
        return outcome.ok ? { ok: true, json: outcome.value, steps, cut } : { ok: false, message: outcome.message, steps, cut };
      },
    },
  };
}

function planOf(expr: Expr): Evaluate {
  const evaluate = plan(env, expr);
  return (event) => evaluate(variables(eventBinding(event)) as Parameters<typeof evaluate>[0]);
}

type Outcome<T> = Spent & ({ readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string });

/** An expression that has been found good: its text, and what was made of it as long as there is room for that. */
class Expression<T> {
  readonly #source: string;
  readonly #make: (expr: Expr) => T;
  #held: Held<Plan<T>>;
  readonly costly: boolean;

  private constructor(source: string, make: (expr: Expr) => T, first: Plan<T>) {
    this.#source = source;
    this.#make = make;
    this.costly = first.costly;
    this.#held = held(first, undefined);
  }

  static compile<T>(source: string, at: Pick<Problem, "field" | "reason">, make: (expr: Expr) => T): Compiled<Expression<T>> {
    const made = compilePlan(source, make);
    if (!made.ok) return { ok: false, problem: { ...at, message: made.message } };
    return { ok: true, value: new Expression(source, make, made.value) };
  }

  /** Evaluates within so many steps. Cut off is cut off, even where the expression itself would have swallowed the error (`||`). */
  evaluate<R>(event: Event, stepsMax: number, use: (run: T) => R): Outcome<R> {
    const known = this.#held.value;
    const made = known === undefined ? compilePlan(this.#source, this.#make) : { ok: true as const, value: known };
    if (!made.ok) return { ok: false, message: made.message, steps: 1, cut: false };
    const { run, patterns, steps: outside, parts, costly } = made.value;
    if (known === undefined) this.#held = held(made.value, event.namespace);
    this.#held.used(event.namespace);
    const again = known === undefined ? parts * STEPS_PER_PART + instructionsOf(patterns) * STEPS_PER_INSTRUCTION : 0;
    const evaluated = guarded(event, costly, stepsMax, () =>
      metered(stepsMax, patterns, () => {
        charge(outside);
        return use(run);
      }),
    );
    return { ...evaluated, steps: evaluated.steps + again };
  }
}

function instructionsOf(patterns: readonly Pattern[]): number {
  return patterns.reduce((sum, { instructions }) => sum + instructions, 0);
}

function held<T>(made: Plan<T>, owner: string | undefined): Held<Plan<T>> {
  const bytes = PLAN_BYTES + made.parts * BYTES_PER_PART + made.patterns.reduce((sum, pattern) => sum + pattern.bytes, 0);
  return plans.hold(made, bytes, owner) as Held<Plan<T>>;
}

type Made<T> = { readonly ok: true; readonly value: Plan<T> } | { readonly ok: false; readonly message: string };

function compilePlan<T>(source: string, make: (expr: Expr) => T): Made<T> {
  const before = judgeExpression.source(source);
  if (before !== undefined) return { ok: false, message: before };
  const parsed = isPlain(source) ? attempted(() => parse(source).expr) : withinMs(COMPILATION_MS_MAX, () => parse(source).expr);
  if (!parsed.ok) return { ok: false, message: `not a CEL expression: ${parsed.message}` };
  const expr = parsed.value;
  const judged = judgeExpression.tree(expr);
  if (typeof judged === "string") return { ok: false, message: judged };
  const patterns = compilePatterns(expr);
  if (!patterns.ok) return patterns;
  const steps = meterTree(expr);
  return { ok: true, value: { run: make(expr), patterns: patterns.patterns, steps, ...judged } };
}

function guarded<T>(event: Event, costly: boolean, stepsMax: number, evaluate: () => ReturnType<typeof metered<T>>): Outcome<T> {
  const netted = costly && event.data.length > UNGUARDED_BYTES_MAX && stepsMax > UNGUARDED_STEPS_MAX;
  const watched = netted ? withinMs(EVALUATION_MS_MAX, evaluate) : attempted(evaluate);
  if (!watched.ok) return { ok: false, message: watched.message, steps: stepsTaken(), cut: watched.late === true };
  const { value, steps, cut } = watched.value;
  if (cut) return { ok: false, message: `the expression needs more than the ${stepsMax} steps allowed`, steps, cut };
  return { ok: true, value: value as T, steps, cut };
}

function isPlain(source: string): boolean {
  return source.length <= PLAIN_CHARS_MAX && (source.match(/[([{?]/g)?.length ?? 0) <= PLAIN_BRACKETS_MAX;
}

function attempted<T>(run: () => T): Watched<T> {
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
