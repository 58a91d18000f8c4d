import type { CompiledBody, CompiledFilter } from "./expression.ts";
import type { Event } from "./event.ts";
import { eventBudget } from "./expression-patience.ts";
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

  /** The subscriptions of the event's namespace that want it, each once, in a stable order. */
  match(event: Event): Match {
    const pieces = this.matching(event);
    for (;;) {
      const step = pieces.next();
      if (step.done === true) return step.value;
    }
  }

  /** The same in pieces: a thousand filters may take longer than others should wait. */
  *matching(event: Event): Generator<undefined, Match, undefined> {
    const index = this.#byNamespace.get(event.namespace);
    if (index === undefined) return NO_MATCH;
    const candidates = new Set<Route>(index.exact.get(event.type));
    for (const { prefix, routes } of index.prefixes) {
      if (event.type.startsWith(prefix)) for (const route of routes) candidates.add(route);
    }
    if (candidates.size === 0) return NO_MATCH;
    const routes: Route[] = [];
    const filterErrors: FilterError[] = [];
    const budget = eventBudget();
    let looked = 0;
    for (const route of candidates) {
      if (++looked % CANDIDATES_A_PIECE === 0) yield undefined;
      const verdict = route.filter === undefined ? MATCHES : route.filter.evaluate(event, budget);
      if (verdict.ok ? verdict.matched : false) routes.push(route);
      else if (!verdict.ok) filterErrors.push({ route, message: verdict.message });
    }
    return { routes, filterErrors };
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

/** Filters evaluated in one piece. */
const CANDIDATES_A_PIECE = 16;
const NO_MATCH: Match = { routes: [], filterErrors: [] };
const MATCHES = { ok: true, matched: true } as const;

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
