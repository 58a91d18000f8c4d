import { mergeConditions } from "../core/conditions.ts";
import type { Condition, ConditionDraft } from "../core/conditions.ts";
import type { Problem } from "../core/problem.ts";
import type { Clock } from "../lib/clock.ts";
import { objectKey, refOfKey } from "./objects.ts";
import type { ObjectKey, ObjectRef, ObjectsByKind, ReportedKind, Resources } from "./objects.ts";
import type { Reconciler, ReconcilerParts } from "./reconciler.ts";
import type { DueStatus, StatusLane } from "./status-reporter.ts";

/** Kinds that are judged, and nothing more: what they say is obeyed elsewhere. */
export type AcceptedOnlyKind = Exclude<ReportedKind, "WebhookSubscription">;

/** What else the status of such an object holds. */
export interface StatusMore {
  readonly conditions: readonly ConditionDraft[];
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** Which statuses may be another after a change, and how soon people need to see it. */
export interface Affected {
  readonly which: "itself" | "namespace" | "all";
  readonly lane: StatusLane;
}

/** How such a kind is judged. */
export interface AcceptedRules<K extends AcceptedOnlyKind> {
  /** Why it is not obeyed; undefined when it is. */
  readonly judge: (object: ObjectsByKind[K]) => Problem | undefined;
  /** Called with each change of an object, of this kind or another: whose status it affects, undefined for none. */
  readonly affectedBy: (ref: ObjectRef) => Affected | undefined;
  /** Called after a listing, which affects all. */
  readonly listed?: () => void;
  /** Whether its status is ours to write; by default it is. */
  readonly isOurs?: (object: ObjectsByKind[K]) => boolean;
  /** `refusal` is what `judge` said. Undefined while it is not known: the status is reported again once it is. */
  readonly more: (object: ObjectsByKind[K], refusal: Problem | undefined) => StatusMore | undefined;
}

/** Shows what became of the objects of a kind that is judged and nothing more. */
export class AcceptedReconciler<K extends AcceptedOnlyKind> implements Reconciler<K> {
  readonly kind: K;
  readonly #rules: AcceptedRules<K>;
  readonly #resources: Resources;
  readonly #clock: Clock;
  readonly #reporter: ReconcilerParts["reporter"];
  /** The status that was written last, with the uid of the object that has it. */
  readonly #written = new Map<ObjectKey<K>, { readonly uid: string | undefined; readonly status: object }>();

  constructor(kind: K, { resources, clock, reporter }: ReconcilerParts, rules: AcceptedRules<K>) {
    this.kind = kind;
    this.#rules = rules;
    this.#resources = resources;
    this.#clock = clock;
    this.#reporter = reporter;
  }

  listed(): void {
    this.#rules.listed?.();
    this.reportAll("transition");
  }

  changed(ref: ObjectRef): void {
    const affected = this.#rules.affectedBy(ref);
    if (affected === undefined) return;
    if (affected.which === "itself") this.#report(ref.namespace, ref.name, affected.lane);
    else this.reportAll(affected.lane, affected.which === "all" ? undefined : ref.namespace);
  }

  /** The statuses of all objects, or of those of a namespace, may be others now. */
  reportAll(lane: StatusLane, namespace?: string): void {
    for (const { metadata } of this.#resources.list(this.kind, namespace)) this.#report(metadata.namespace ?? "", metadata.name, lane);
  }

  #report(namespace: string, name: string, lane: StatusLane): void {
    this.#reporter.report(objectKey({ kind: this.kind, namespace, name }), lane);
  }

  compose(key: ObjectKey<K>): DueStatus | undefined {
    const { namespace, name } = refOfKey(key);
    const object = this.#resources.get(this.kind, namespace, name);
    if (object === undefined || this.#rules.isOurs?.(object) === false) {
      this.#written.delete(key);
      return undefined;
    }
    const written = this.#written.get(key);
    const current = written?.uid === object.metadata.uid ? written?.status : object.status;
    const generation = object.metadata.generation ?? 1;
    const newer = this.#resources.refusalOf?.({ kind: this.kind, namespace, name });
    const refusal = newer === undefined ? this.#rules.judge(object) : stillObeyed(newer, generation);
    const more = this.#rules.more(object, refusal);
    if (more === undefined) return undefined;
    const before = conditionsOf(object.status) ?? conditionsOf(current) ?? [];
    const conditions = mergeConditions(before, [acceptedDraft(refusal), ...more.conditions], generation, this.#clock.trueMs());
    return { object, current, status: { observedGeneration: generation, conditions, ...more.fields } };
  }

  written(key: ObjectKey<K>, status: object): void {
    const { namespace, name } = refOfKey(key);
    const object = this.#resources.get(this.kind, namespace, name);
    if (object !== undefined) this.#written.set(key, { uid: object.metadata.uid, status });
  }
}

/** The object's own come first: another installation that shares it may have been quicker, and then its times hold. */
function conditionsOf(status: { readonly conditions?: readonly Condition[] } | undefined): readonly Condition[] | undefined {
  return status?.conditions;
}

function acceptedDraft(refusal: Problem | undefined): ConditionDraft {
  return refusal === undefined
    ? { type: "Accepted", status: "True", reason: "Accepted", message: "the spec is valid" }
    : { type: "Accepted", status: "False", reason: refusal.reason, message: refusal.message };
}

/** The newest form could not be read, and the one before is obeyed. */
function stillObeyed({ field, reason, message }: Problem, generation: number): Problem {
  const what = field === "" || message.includes(field) ? message : `${field}: ${message}`;
  return { field, reason, message: `${what}; generation ${generation}, the last accepted one, stays in force until this is fixed` };
}

/** kstatus (Flux, Argo CD, `helm --wait`): a refused object needs a person, and without this it would count as done. */
export function stalledDraft(refusal: Problem | undefined): ConditionDraft {
  return refusal === undefined
    ? { type: "Stalled", status: "False", reason: "Reconciled", message: "nothing blocks it" }
    : { type: "Stalled", status: "True", reason: refusal.reason, message: "it stays so until it is changed: Accepted says why" };
}
