import type { CompiledBody, CompiledFilter } from "./expression/compile.ts";
import type { Event } from "./event.ts";
import { EVALUATION_STEPS_MAX } from "./expression/meter.ts";
import { readEvent } from "./expression/input.ts";
import { EVENT_STEPS_MAX, type StepAllowance } from "./expression/step-budgets.ts";
import type { Subscription } from "./subscription.ts";

/** A subscription with its filter compiled once (never per event). */
export interface Route {
  readonly subscription: Subscription;
  readonly filter: CompiledFilter | undefined;
  /** `payload.body`, compiled. */
  readonly body: CompiledBody | undefined;
  /** Being deleted with Drain: matches nothing new, what was accepted still goes out. */
  readonly draining: boolean;
}

/** A filter that could not be evaluated for an event: no match, counted and shown, never silence. */
export interface FilterError {
  readonly route: Route;
  readonly message: string;
}

export interface Match {
  readonly routes: readonly Route[];
  readonly filterErrors: readonly FilterError[];
  /** What its filters took. */
  readonly steps: number;
  /**
   * They could not all be asked: what they may take for one event, or what was left of the allowance, was not enough. Then it is not known who wants
   * the event, and nothing may be done with it.
   */
  readonly short?: "event" | "allowance";
}

/** What one event type can reach in a namespace: exact names by map, prefixes (`video.*`) by length. */
interface NamespaceIndex {
  readonly exact: ReadonlyMap<string, readonly Route[]>;
  readonly prefixes: readonly { readonly prefix: string; readonly routes: readonly Route[] }[];
}

/**
 * Who gets which event. Immutable: the controller builds a new one for every change and the app hands it to ingest and engine, so
 * no event ever sees half of a change.
 */
export class RouteTable {
  readonly #byNamespace: ReadonlyMap<string, NamespaceIndex>;
  readonly #byUid: ReadonlyMap<string, Route>;

  private constructor(byNamespace: ReadonlyMap<string, NamespaceIndex>, byUid: ReadonlyMap<string, Route>) {
    this.#byNamespace = byNamespace;
    this.#byUid = byUid;
  }

  static readonly empty = new RouteTable(new Map(), new Map());

  /**
   * Builds a table. With `previous`, indexes of namespaces none of whose routes changed are shared, so that a change costs its own
   * namespace and not the whole cluster.
   */
  static build(routes: Iterable<Route>, previous: RouteTable = RouteTable.empty): RouteTable {
    const byUid = new Map<string, Route>();
    const grouped = new Map<string, Route[]>();
    for (const route of routes) {
      byUid.set(route.subscription.uid, route);
      const list = grouped.get(route.subscription.namespace);
      if (list === undefined) grouped.set(route.subscription.namespace, [route]);
      else list.push(route);
    }
    const previousCounts = countByNamespace(previous);
    const byNamespace = new Map<string, NamespaceIndex>();
    for (const [namespace, list] of grouped) {
      const kept = previous.#byNamespace.get(namespace);
      const same =
        kept !== undefined &&
        previousCounts.get(namespace) === list.length &&
        list.every((route) => previous.#byUid.get(route.subscription.uid) === route);
      byNamespace.set(namespace, same ? kept : indexNamespace(list));
    }
    return new RouteTable(byNamespace, byUid);
  }

  /** The subscriptions of the event's namespace that want it, each once, in a stable order; every filter gets all it may ever take. */
  match(event: Event): Match {
    const pieces = this.matching(event);
    for (;;) {
      const step = pieces.next();
      if (step.done === true) return step.value;
    }
  }

  /**
   * The same in pieces of about a millisecond and at most one long evaluation, within an allowance. A filter gets all it may ever take or says nothing:
   * none is cut because of its neighbours. When what one event may cost is used up, those that took more than their share of it rest.
   */
  *matching(event: Event, allowance?: StepAllowance): Generator<undefined, Match, undefined> {
    const candidates = this.#candidates(event);
    if (candidates.size === 0) return NO_MATCH;
    const reading = haveFilters(candidates) ? readEvent(event) : 0;
    const found = new Matching(event, allowance, reading);
    if (reading > STEPS_A_PIECE) yield undefined;
    let looked = 0;
    let pieceSteps = 0;
    for (const route of candidates) {
      if (++looked % CANDIDATES_A_PIECE === 0 || pieceSteps > STEPS_A_PIECE) {
        pieceSteps = 0;
        yield undefined;
      }
      const before = found.steps;
      if (!found.ask(route)) break;
      pieceSteps += found.steps - before;
    }
    return found.result(candidates.size);
  }

  #candidates(event: Event): ReadonlySet<Route> {
    const index = this.#byNamespace.get(event.namespace);
    if (index === undefined) return NO_CANDIDATES;
    const candidates = new Set<Route>(index.exact.get(event.type));
    for (const { prefix, routes } of index.prefixes) {
      if (event.type.startsWith(prefix)) for (const route of routes) candidates.add(route);
    }
    return candidates;
  }

  byUid(uid: string): Route | undefined {
    return this.#byUid.get(uid);
  }

  /** Whether any subscription of the namespace names this type (for namespaces labelled strict). */
  names(namespace: string, type: string): boolean {
    const index = this.#byNamespace.get(namespace);
    if (index === undefined) return false;
    return index.exact.has(type) || index.prefixes.some(({ prefix }) => type.startsWith(prefix));
  }

  get size(): number {
    return this.#byUid.size;
  }

  routes(): Iterable<Route> {
    return this.#byUid.values();
  }
}

/** Filters evaluated in one piece, and the steps after which a piece ends: about a millisecond. */
const CANDIDATES_A_PIECE = 16;
const STEPS_A_PIECE = 10_000;
const NO_CANDIDATES: ReadonlySet<Route> = new Set();
const NO_MATCH: Match = { routes: [], filterErrors: [], steps: 0 };

function haveFilters(candidates: Iterable<Route>): boolean {
  for (const { filter } of candidates) if (filter !== undefined) return true;
  return false;
}

/** One event, and what those who were asked said. */
class Matching {
  readonly #event: Event;
  readonly #allowance: StepAllowance | undefined;
  readonly #routes: Route[] = [];
  readonly #filterErrors: FilterError[] = [];
  readonly #took: (readonly [CompiledFilter, number])[] = [];
  #short: Match["short"];
  steps: number;

  constructor(event: Event, allowance: StepAllowance | undefined, steps: number) {
    this.#event = event;
    this.#allowance = allowance;
    this.steps = steps;
    if (allowance !== undefined) allowance.left -= steps;
  }

  /** False when what is left is not enough. */
  ask(route: Route): boolean {
    const { filter } = route;
    if (filter === undefined) {
      this.#routes.push(route);
      return true;
    }
    const left = this.#left();
    const allowed = Math.min(EVALUATION_STEPS_MAX, left);
    const verdict = allowed > 0 ? filter.evaluate(this.#event, allowed) : undefined;
    this.#spend(verdict?.steps ?? 0);
    if (verdict === undefined || (verdict.cut && allowed < EVALUATION_STEPS_MAX)) {
      this.#short = this.#allowance !== undefined && this.#allowance.left <= 0 ? "allowance" : "event";
      this.#took.push([filter, verdict?.steps ?? 0]);
      return false;
    }
    this.#took.push([filter, verdict.steps]);
    if (!verdict.ok) this.#filterErrors.push({ route, message: verdict.message });
    else if (verdict.matched) this.#routes.push(route);
    return true;
  }

  result(candidates: number): Match {
    if (this.#short === "event") this.#blame(EVENT_STEPS_MAX / candidates);
    return { routes: this.#routes, filterErrors: this.#filterErrors, steps: this.steps, ...(this.#short && { short: this.#short }) };
  }

  /** Without an allowance nobody waits for the event, and it may take what it takes. */
  #left(): number {
    return this.#allowance === undefined ? EVALUATION_STEPS_MAX : Math.min(this.#allowance.left, EVENT_STEPS_MAX - this.steps);
  }

  #spend(steps: number): void {
    this.steps += steps;
    if (this.#allowance !== undefined) this.#allowance.left -= steps;
  }

  #blame(share: number): void {
    for (const [filter, steps] of this.#took) if (steps > share) filter.blame(this.#event.namespace);
  }
}

function countByNamespace(table: RouteTable): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { subscription } of table.routes()) counts.set(subscription.namespace, (counts.get(subscription.namespace) ?? 0) + 1);
  return counts;
}

function indexNamespace(routes: readonly Route[]): NamespaceIndex {
  const exact = new Map<string, Route[]>();
  const byPrefix = new Map<string, Route[]>();
  for (const route of routes) {
    if (route.draining) continue;
    for (const pattern of new Set(route.subscription.spec.types)) {
      const isPrefix = pattern.endsWith("*");
      const map = isPrefix ? byPrefix : exact;
      const key = isPrefix ? pattern.slice(0, -1) : pattern;
      const list = map.get(key);
      if (list === undefined) map.set(key, [route]);
      else list.push(route);
    }
  }
  return { exact, prefixes: [...byPrefix].map(([prefix, list]) => ({ prefix, routes: list })) };
}
