import type { WebhookSubscriptionStatus } from "../../api/generated/custom-resources.ts";
import { movedConditions } from "../../core/conditions.ts";
import type { Condition, ConditionDraft } from "../../core/conditions.ts";
import type { ConditionType } from "../../core/reasons.ts";
import type { SubscriptionKey } from "../objects.ts";
import type { FilterErrors } from "./filter-errors.ts";
import type { Known } from "./known-book.ts";
import type { DueStatus } from "../status-reporter.ts";
import { composeStatus, keyWithoutValueText } from "./status.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/** Conditions whose moves become Kubernetes Events; the others follow from them. */
const TOLD: ReadonlySet<ConditionType> = new Set<ConditionType>(["Accepted", "ResolvedRefs", "EndpointHealthy", "Suspended"]);

/** One Event an hour says that a key has no value. */
const KEYS_QUIET_MS = 3_600_000;
/** Longest message of an Event, in characters (the API server's own limit is 1,024; two paths of 256 fit). */
const MESSAGE_CHARS_MAX = 1_000;

/** Statuses of subscriptions, from what is remembered of the last look and what the engine knows now. */
export class SubscriptionStatuses {
  readonly #parts: SubscriptionParts;
  readonly #filterErrors: Pick<FilterErrors, "of" | "forget">;
  /** When an Event last told of keys without a value, of the clock that never jumps; at most one for each subscription that exists. */
  readonly #keysToldAtMs = new Map<SubscriptionKey, number>();

  constructor(parts: SubscriptionParts, filterErrors: Pick<FilterErrors, "of" | "forget">) {
    this.#parts = parts;
    this.#filterErrors = filterErrors;
  }

  /** The subscription is gone. */
  forget(key: SubscriptionKey): void {
    this.#keysToldAtMs.delete(key);
    this.#filterErrors.forget(key);
  }

  compose(key: SubscriptionKey): DueStatus | undefined {
    const { resources, routes, deliveries, clock } = this.#parts;
    const known = this.#parts.known.get(key);
    if (known === undefined) return undefined;
    const { verdict, uid } = known;
    // Our own status writes move the resourceVersion without a look at the object.
    const newest = resources.get("WebhookSubscription", known.namespace, known.name);
    const object = newest?.metadata.uid === uid ? newest : known.object;
    const route = routes.get(uid);
    const status = composeStatus(
      {
        generation: known.object.metadata.generation ?? 1,
        verdict,
        programmed: route !== undefined,
        draining: route?.draining ?? false,
        health: deliveries.health(uid),
        filterErrors: this.#filterErrors.of(key, verdict.active?.spec.filter),
        signingName: known.signingName,
        lastHandledResume: known.resume,
      },
      known.status,
      clock.trueMs(),
    );
    return { object, current: known.status, status };
  }

  /** Notes a status that is there now, and tells of conditions that moved. */
  written(key: SubscriptionKey, status: WebhookSubscriptionStatus): void {
    const known = this.#parts.known.get(key);
    if (known === undefined) return;
    const before = (known.status?.conditions ?? []) as readonly Condition[];
    const after = (status.conditions ?? []) as readonly (Condition & ConditionDraft)[];
    for (const { type, status: now, reason, message } of movedConditions(before, after)) {
      if (!TOLD.has(type) || reason === "SecretPending") continue;
      const isBad = type === "Suspended" ? now === "True" : now === "False";
      const isNew = !before.some((condition) => condition.type === type);
      if (isBad || (!isNew && now !== "Unknown"))
        this.#parts.sink.recordEvent(known.object, { type: isBad ? "Warning" : "Normal", reason, message });
    }
    this.#tellChangedKeys(known, status);
    this.#tellKeysWithoutValue(key, known, status);
    known.status = status;
  }

  /** Events are delivered all the same, only without order or record id: it would be found out when both are needed. */
  #tellKeysWithoutValue(key: SubscriptionKey, { object }: Known, { keysWithoutValue = [] }: WebhookSubscriptionStatus): void {
    const nowMs = this.#parts.clock.monotonicMs();
    if (keysWithoutValue.length === 0 || nowMs - (this.#keysToldAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < KEYS_QUIET_MS) return;
    this.#keysToldAtMs.set(key, nowMs);
    const message = keysWithoutValue.map(keyWithoutValueText).join(" ").slice(0, MESSAGE_CHARS_MAX);
    this.#parts.sink.recordEvent(object, { type: "Warning", reason: "KeyWithoutValue", message });
  }

  /** The value of a Secret was replaced, by a restore or by hand: receivers refuse what they cannot verify, so people must hear of it. */
  #tellChangedKeys(known: Known, { signingKeys = [] }: WebhookSubscriptionStatus): void {
    for (const { secretName, fingerprint } of signingKeys) {
      const before = known.status?.signingKeys?.find((key) => key.secretName === secretName)?.fingerprint;
      if (before === undefined || fingerprint === undefined || before === fingerprint) continue;
      const message = `The signing key in Secret ${secretName} has changed: its fingerprint was ${before} and is ${fingerprint}. Receivers that know only the key before refuse deliveries: give them the new one, or restore the Secret.`;
      this.#parts.sink.recordEvent(known.object, { type: "Warning", reason: "SigningKeyChanged", message });
    }
  }
}
