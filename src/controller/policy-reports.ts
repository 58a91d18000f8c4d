import { mergeConditions } from "../core/conditions.ts";
import type { Condition, ConditionDraft } from "../core/conditions.ts";
import { defaultPolicyOf } from "../core/policy-resolution.ts";
import type { Clock } from "../lib/clock.ts";
import { refKey } from "./objects.ts";
import type { ObjectKind, ReportedObject, Resources } from "./objects.ts";
import type { PolicyView } from "./policy-view.ts";
import { ACCEPTED, CONFLICTED } from "./reasons.ts";
import type { DueStatus } from "./status-reporter.ts";

/** Kinds that have nothing but an `Accepted` condition. */
export type SimpleKind = Exclude<ReportedObject["kind"], "WebhookSubscription">;

export function isSimpleKind(kind: ObjectKind): kind is SimpleKind {
  return kind === "DeliveryPolicy" || kind === "ClusterDeliveryPolicy" || kind === "DeliveryReplay";
}

/** `Accepted` of policies and replays. */
export class PolicyReports {
  readonly #resources: Resources;
  readonly #policies: PolicyView;
  readonly #clock: Clock;
  /** By kind and name, with the uid of the object that has this status. */
  readonly #written = new Map<string, { readonly uid: string | undefined; readonly status: object }>();

  constructor(resources: Resources, policies: PolicyView, clock: Clock) {
    this.#resources = resources;
    this.#policies = policies;
    this.#clock = clock;
  }

  compose(kind: SimpleKind, namespace: string, name: string): DueStatus | undefined {
    const object = this.#resources.get(kind, namespace, name);
    const key = refKey({ kind, namespace, name });
    if (object === undefined) {
      this.#written.delete(key);
      return undefined;
    }
    const written = this.#written.get(key);
    const current = written?.uid === object.metadata.uid ? written?.status : object.status;
    const generation = object.metadata.generation ?? 1;
    const before: { readonly conditions?: readonly Condition[] } = current ?? {};
    const conditions = mergeConditions(
      before.conditions ?? [],
      [this.#newest(object) ?? this.#accepted(object)],
      generation,
      this.#clock.trueMs(),
    );
    const status = { observedGeneration: generation, conditions };
    return { object, current, status };
  }

  written(kind: SimpleKind, namespace: string, name: string, status: object): void {
    const object = this.#resources.get(kind, namespace, name);
    if (object !== undefined) this.#written.set(refKey({ kind, namespace, name }), { uid: object.metadata.uid, status });
  }

  #newest({ kind, metadata }: Exclude<ReportedObject, { kind: "WebhookSubscription" }>): ConditionDraft | undefined {
    const { name, namespace = "", generation = 1 } = metadata;
    const problem = this.#resources.refusalOf?.({ kind, namespace, name });
    if (problem === undefined) return undefined;
    const { field, reason, message } = problem;
    const what = field === "" || message.includes(field) ? message : `${field}: ${message}`;
    return refused(reason, `${what}; generation ${generation}, the last accepted one, stays in force until this is fixed`);
  }

  #accepted(object: Exclude<ReportedObject, { kind: "WebhookSubscription" }>): ConditionDraft {
    if (object.kind === "DeliveryReplay") {
      return refused("NotImplemented", "DeliveryReplay is part of the API but not supported by this version: it has no effect");
    }
    if (object.kind === "ClusterDeliveryPolicy") {
      const candidate = this.#policies.clusterPolicy(object);
      return candidate.accepted ? ACCEPTED_DRAFT : refused("NotImplemented", candidate.message);
    }
    const candidate = this.#policies.namespacePolicy(object);
    if (!candidate.accepted) return refused("NotImplemented", candidate.message);
    const { namespace } = object.metadata;
    const winner = defaultPolicyOf(this.#policies.namespacePolicies(namespace));
    if (!candidate.policy.isDefault || winner === undefined || winner.policy.name === object.metadata.name) return ACCEPTED_DRAFT;
    return refused(
      CONFLICTED,
      `${winner.policy.name} is the default of namespace ${namespace} already (the oldest, then the first by name, is): remove the label from one of them`,
    );
  }
}

const ACCEPTED_DRAFT: ConditionDraft = { type: ACCEPTED, status: "True", reason: ACCEPTED, message: "the policy is valid" };

function refused(reason: string, message: string): ConditionDraft {
  return { type: ACCEPTED, status: "False", reason, message };
}
