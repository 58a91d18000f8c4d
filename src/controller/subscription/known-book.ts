import type { WebhookSubscription, WebhookSubscriptionStatus } from "../../api/generated/custom-resources.ts";
import type { Route } from "../../core/route-table.ts";
import type { Reason } from "../../core/reasons.ts";
import type { SubscriptionKey } from "../objects.ts";
import type { Verdict } from "./checks.ts";
import type { SubscriptionFacts } from "./facts.ts";

/** What is remembered of a subscription between two looks. */
export interface Known {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  object: WebhookSubscription;
  verdict: Verdict;
  signingName: string | undefined;
  resume: string | undefined;
  status: WebhookSubscriptionStatus | undefined;
  /** When the present reason for waiting was first seen. */
  blocked: { readonly reason: Reason; readonly sinceMs: number } | undefined;
  /** Its endpoint moved and the engine has not been told yet. */
  endpointMoved: boolean;
  /** This process has seen it without a time of deletion. */
  seenAlive: boolean;
  /** Its last route that led somewhere, from when something that it names disappeared; see `ROUTE_KEPT_MS`. */
  lastAimed: { readonly route: Route; readonly lostAtMs: number } | undefined;
}

/** The subscriptions that were looked at, by key and by uid. Nothing is kept over a restart, because everything is looked at then. */
export class KnownBook {
  readonly #known = new Map<SubscriptionKey, Known>();
  readonly #keyOf = new Map<string, SubscriptionKey>();

  get(key: SubscriptionKey): Known | undefined {
    return this.#known.get(key);
  }

  keyOf(uid: string): SubscriptionKey | undefined {
    return this.#keyOf.get(uid);
  }

  byUid(uid: string): Known | undefined {
    const key = this.#keyOf.get(uid);
    return key === undefined ? undefined : this.#known.get(key);
  }

  /** Notes a look. */
  remember(key: SubscriptionKey, { object, uid, lastAccepted }: SubscriptionFacts, verdict: Verdict): Known {
    const { namespace, name } = object.metadata;
    const known: Known = this.#known.get(key) ?? {
      uid,
      namespace,
      name,
      object,
      verdict,
      signingName: lastAccepted?.signingSecretName ?? object.status?.signingSecretName,
      resume: lastAccepted?.lastHandledResume ?? object.status?.lastHandledResume,
      status: object.status,
      blocked: undefined,
      endpointMoved: false,
      seenAlive: false,
      lastAimed: undefined,
    };
    known.seenAlive ||= object.metadata.deletionTimestamp === undefined;
    known.object = object;
    known.verdict = verdict;
    // Not before it can sign: what never signed may be deleted, and another key is generated.
    if (verdict.active?.target !== undefined) known.signingName ??= verdict.ownKey?.metadata.name;
    this.#known.set(key, known);
    this.#keyOf.set(uid, key);
    return known;
  }

  forget(key: SubscriptionKey, { uid }: Known): void {
    this.#known.delete(key);
    this.#keyOf.delete(uid);
  }
}
