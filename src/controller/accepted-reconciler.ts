import { mergeConditions } from "../core/conditions.ts";
import type { Condition, ConditionDraft } from "../core/conditions.ts";
import type { Problem } from "../core/problem.ts";
import type { Clock } from "../lib/clock.ts";
import { objectKey, refOfKey } from "./objects.ts";
import type { ObjectKey, ObjectRef, ObjectsByKind, ReportedKind, Resources } from "./objects.ts";
import type { Reconciler, ReconcilerParts } from "./reconciler.ts";
import type { DueStatus } from "./status-reporter.ts";

/** Kinds that have nothing but an `Accepted` condition. */
export type AcceptedOnlyKind = Exclude<ReportedKind, "WebhookSubscription">;

/** How such a kind is judged. */
export interface AcceptedRules<K extends AcceptedOnlyKind> {
  readonly judge: (object: ObjectsByKind[K]) => ConditionDraft;
  /** What may be judged otherwise when one object of the kind changes: itself, or all of its namespace. */
  readonly affects: "itself" | "namespace";
}

/** Shows what became of the objects of a kind that has nothing but an `Accepted` condition. */
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
    this.#reportAll();
  }

  changed({ kind, namespace, name }: ObjectRef): void {
    if (kind !== this.kind) return;
    if (this.#rules.affects === "namespace") this.#reportAll(namespace);
    else this.#report(namespace, name);
  }

  #reportAll(namespace?: string): void {
    for (const { metadata } of this.#resources.list(this.kind, namespace)) this.#report(metadata.namespace ?? "", metadata.name);
  }

  #report(namespace: string, name: string): void {
    this.#reporter.report(objectKey({ kind: this.kind, namespace, name }), "transition");
  }

  compose(key: ObjectKey<K>): DueStatus | undefined {
    const { namespace, name } = refOfKey(key);
    const object = this.#resources.get(this.kind, namespace, name);
    if (object === undefined) {
      this.#written.delete(key);
      return undefined;
    }
    const written = this.#written.get(key);
    const current = written?.uid === object.metadata.uid ? written?.status : object.status;
    const generation = object.metadata.generation ?? 1;
    const before: { readonly conditions?: readonly Condition[] } = current ?? {};
    const problem = this.#resources.refusalOf?.({ kind: this.kind, namespace, name });
    const draft = problem === undefined ? this.#rules.judge(object) : newerRefused(problem, generation);
    const conditions = mergeConditions(before.conditions ?? [], [draft], generation, this.#clock.trueMs());
    return { object, current, status: { observedGeneration: generation, conditions } };
  }

  written(key: ObjectKey<K>, status: object): void {
    const { namespace, name } = refOfKey(key);
    const object = this.#resources.get(this.kind, namespace, name);
    if (object !== undefined) this.#written.set(key, { uid: object.metadata.uid, status });
  }
}

/** The newest form could not be read, and the one before stands. */
function newerRefused({ field, reason, message }: Problem, generation: number): ConditionDraft {
  const what = field === "" || message.includes(field) ? message : `${field}: ${message}`;
  return notAccepted({ reason, message: `${what}; generation ${generation}, the last accepted one, stays in force until this is fixed` });
}

export function notAccepted({ reason, message }: Pick<Problem, "reason" | "message">): ConditionDraft {
  return { type: "Accepted", status: "False", reason, message };
}
