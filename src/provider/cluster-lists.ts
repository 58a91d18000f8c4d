import type { Unlisted } from "../controller/objects.ts";
import type { RestartReason } from "../kube/reflector.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { CLUSTER_KINDS, type ClusterKind } from "./cluster-kinds.ts";
import type { Sight, WatchSight } from "./watch-sight.ts";

/** One list that is read and then watched. */
export interface ClusterList {
  readonly kind: ClusterKind;
  /** Undefined: of all namespaces, or of a kind that is in none. */
  readonly namespace: string | undefined;
}

interface ListState extends ClusterList {
  listed: boolean;
  trouble: Trouble | undefined;
  readonly sight: Sight;
}

interface Trouble {
  readonly reason: RestartReason;
  /** For people: what was answered. */
  readonly said: string;
  readonly sinceMs: number;
}

export interface ClusterListsOptions {
  /** Only these namespaces; empty = all. */
  readonly namespaces: readonly string[];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly sight: WatchSight;
  /** Whether the namespace is among those that were listed; asked only once they were. */
  readonly exists: (namespace: string) => boolean;
}

/** Lists named in one line of /readyz. */
const LOST_SHOWN_MAX = 5;

/** In this metric's label stands for all namespaces, and for what is in none; no namespace can be called so. */
const ALL = "*";

/**
 * What has been listed once since the start and what has not, and why. A list that was read stays read: what was last seen stays in force
 * while it cannot be read anew. One namespace's lists never hold up another's.
 */
export class ClusterLists {
  readonly #options: ClusterListsOptions;
  readonly #lists: readonly ListState[];
  readonly #common: readonly ListState[];
  readonly #ofNamespace: ReadonlyMap<string, readonly ListState[]>;

  constructor(options: ClusterListsOptions) {
    this.#options = options;
    const { namespaces, metrics, sight } = options;
    const served = [...new Set(namespaces)];
    this.#lists = CLUSTER_KINDS.flatMap((kind) => {
      const scopes = kind.namespaced && served.length > 0 ? served : [undefined];
      return scopes.map((namespace): ListState => ({ kind, namespace, listed: false, trouble: undefined, sight: sight.begin(kind.kind) }));
    });
    this.#common = this.#lists.filter(({ namespace }) => namespace === undefined);
    this.#ofNamespace = new Map(served.map((name) => [name, this.#lists.filter(({ namespace }) => namespace === name)]));
    for (const list of this.#lists) {
      metrics.watchSynced.set(labelsOf(list), 0);
      // There at 0, so that the first one is seen as an increase.
      metrics.watchRestarts.inc({ kind: list.kind.kind, reason: "network" }, 0);
    }
  }

  all(): readonly ClusterList[] {
    return this.#lists;
  }

  /** A list was read whole. Answers whether it is the first time. */
  read(list: ClusterList): boolean {
    const state = list as ListState;
    state.trouble = undefined;
    if (state.listed) return false;
    state.listed = true;
    this.#options.metrics.watchSynced.set(labelsOf(list), 1);
    return true;
  }

  heard(list: ClusterList): void {
    (list as ListState).sight.heard();
  }

  /** What was read is followed. */
  followed(list: ClusterList): void {
    (list as ListState).trouble = undefined;
    this.#options.metrics.watchSynced.set(labelsOf(list), 1);
  }

  /** A list or watch was refused or broke off. Answers whether that is the first word of a list that was not read yet. */
  broke(list: ClusterList, reason: RestartReason, message: string, status?: number): boolean {
    const { log, metrics } = this.#options;
    const state = list as ListState;
    const { kind, namespace } = list;
    metrics.watchRestarts.inc({ kind: kind.kind, reason });
    if (reason === "periodic" || reason === "expired") {
      log.debug({ event: "watch.restarted", kind: kind.kind, namespace, reason }, message);
      return false;
    }
    metrics.watchSynced.set(labelsOf(list), 0);
    const said = status === undefined ? message : `HTTP ${status}: ${message}`;
    const before = state.trouble;
    state.trouble = { reason, said, sinceMs: before?.sinceMs ?? this.#options.clock.monotonicMs() };
    // Said again every few seconds for as long as it lasts, it would bury everything else.
    const level = before?.said === said ? "debug" : "warn";
    log[level](
      { event: "watch.restarted", kind: kind.kind, namespace, reason },
      `${whatOf(list)} cannot be read: ${this.#troubleOf(state)}`,
    );
    return before === undefined && !state.listed;
  }

  isListed(namespace: string): boolean {
    if (!this.#common.every(({ listed }) => listed)) return false;
    const own = this.#ofNamespace.get(namespace);
    return own === undefined || own.every(({ listed }) => listed) || !this.#options.exists(namespace);
  }

  /** All is listed, but for namespaces that are in trouble; of several at least one is not. */
  get settled(): boolean {
    if (!this.#common.every(({ listed }) => listed)) return false;
    const served = [...this.#ofNamespace];
    const inTrouble = served.filter(([, own]) => own.some(({ listed, trouble }) => !listed && trouble !== undefined));
    const troubled = new Set(inTrouble.map(([name]) => name));
    const isDone = served.every(([name]) => troubled.has(name) || this.isListed(name));
    return isDone && (served.length === 0 || troubled.size < served.length);
  }

  unlisted(): Unlisted[] {
    return this.#lists
      .filter(({ listed }) => !listed)
      .map((state) => ({ what: whatOf(state), trouble: state.trouble === undefined ? undefined : this.#troubleOf(state) }));
  }

  /** What was read and cannot be followed now, and since when. */
  lostSight(): string | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const lost = this.#lists.flatMap((state) => {
      const { listed, trouble } = state;
      if (!listed || trouble === undefined) return [];
      return [`${whatOf(state)} for ${Math.round((nowMs - trouble.sinceMs) / 1_000)} s: ${this.#troubleOf(state)}`];
    });
    if (lost.length === 0) return undefined;
    const more = lost.length > LOST_SHOWN_MAX ? `; and ${lost.length - LOST_SHOWN_MAX} more` : "";
    return `no change arrives, what was read stays in force: ${lost.slice(0, LOST_SHOWN_MAX).join("; ")}${more}`;
  }

  /** What was answered, and what mends it. */
  #troubleOf({ kind, namespace, trouble }: ListState): string {
    if (trouble === undefined) return "";
    const { reason, said } = trouble;
    const group = kind.apiVersion.split("/");
    const resource = group.length === 1 ? kind.plural : `${kind.plural}.${group[0]}`;
    const isKnown = this.#common.every(({ listed }) => listed);
    if (namespace !== undefined && isKnown && !this.#options.exists(namespace)) {
      return `namespace ${namespace} does not exist (${said}): create it with "kubectl create namespace ${namespace}" and run "helm upgrade", or remove it from "namespaces"`;
    }
    if (reason === "forbidden" && namespace !== undefined) {
      return `${said}; Postrider's Role or RoleBinding in namespace ${namespace} is missing: "helm upgrade" creates them; or remove the namespace from "namespaces"`;
    }
    if (reason === "forbidden") {
      return `${said}; Postrider's ClusterRole must allow list and watch of ${resource}: "helm upgrade" restores it`;
    }
    if (reason === "not_found") {
      return `${said}; the CustomResourceDefinition ${resource} is missing: "kubectl apply --server-side -f crds/" or "helm upgrade" creates it`;
    }
    if (reason === "unauthorized") return `${said}; the API server rejects the token of Postrider's ServiceAccount: check that it exists`;
    return `${said}; Postrider retries by itself: check the API server with "kubectl get --raw '/readyz?verbose'"`;
  }
}

function whatOf({ kind, namespace }: ClusterList): string {
  return namespace === undefined ? kind.kind : `${kind.kind} of namespace ${namespace}`;
}

function labelsOf({ kind, namespace }: ClusterList): { kind: string; scope: string } {
  return { kind: kind.kind, scope: namespace ?? ALL };
}
