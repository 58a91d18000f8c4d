import { hash } from "node:crypto";
import type { Event } from "../core/event.ts";
import { BUILT_IN_LIMITS, BUILT_IN_POLICY } from "../core/policy.ts";
import type { Match, Route, RouteTable } from "../core/route-table.ts";
import type { Clock } from "../lib/clock.ts";
import { uuidv7 } from "../lib/random.ts";
import type { BusinessEvents } from "../observe/events.ts";
import { type AcceptItem, type AcceptedItem, type Store, StoreError } from "../store/store.ts";
import type { EventDraft } from "./event-draft.ts";
import type { Intake } from "./intake.ts";
import { type Checked, type Refusal, refuse, refused } from "./refusal.ts";

/** The routing table in force; not ready for a namespace until all it depends on was listed, or the last accepted routes were loaded. */
interface Routes {
  ready(namespace: string): boolean;
  table(): RouteTable;
}

export interface AcceptanceParts {
  readonly store: Pick<Store, "accept">;
  readonly routes: Routes;
  readonly intake: Intake;
  readonly events: BusinessEvents;
  readonly clock: Clock;
  /** Namespaces labelled `postrider.dev/strict` refuse types that no subscription names. */
  readonly isStrict: (namespace: string) => boolean;
}

/** What the producer is told about one event. */
export interface Receipt {
  readonly id: string;
  readonly matched: number;
  readonly duplicate: boolean;
}

/** Seconds a producer waits before it tries again where nothing better is known. */
export const RETRY_AFTER_SECONDS = 1;
const DISK_RETRY_AFTER_SECONDS = 30;

/**
 * From drafts to a durable commit: match, admit, store, in one transaction for the whole request. Resolves only after the commit
 * returned; exactly one of `Intake.committed` and `Intake.abandoned` follows every `admit`.
 */
export class Acceptance {
  readonly #parts: AcceptanceParts;

  constructor(parts: AcceptanceParts) {
    this.#parts = parts;
  }

  /** Why nothing can be accepted now; asked before a body is read and again before it is stored. */
  unready(namespace: string): Refusal | undefined {
    const retryAfterSeconds = RETRY_AFTER_SECONDS;
    if (!this.#parts.routes.ready(namespace)) {
      const detail = `Subscriptions of namespace ${namespace} have not been read yet: try again shortly. /readyz of the metrics port says why.`;
      return refuse("not_ready", detail, { retryAfterSeconds });
    }
    if (!this.#parts.intake.accepting()) {
      return refuse("overloaded", "No room for more deliveries now: try again shortly.", { retryAfterSeconds });
    }
    return undefined;
  }

  /** `idempotencyKey` is the header's value; a batch has none. */
  async accept(namespace: string, drafts: readonly EventDraft[], idempotencyKey: string | undefined): Promise<Checked<readonly Receipt[]>> {
    const table = this.#parts.routes.table();
    const strict = this.#strictRefusal(namespace, drafts, table);
    if (strict !== undefined) return { ok: false, refusal: strict };
    const nowMs = this.#parts.clock.nowMs();
    const items: AcceptItem[] = [];
    try {
      for (const [index, draft] of drafts.entries()) {
        const event = eventOf(namespace, draft, { id: uuidv7(this.#parts.clock.trueMs()), nowMs });
        const match = table.match(event);
        const tooWide = fanOutRefusal(match.routes, drafts.length > 1 ? { index } : {});
        if (tooWide !== undefined) {
          this.#abandon(items);
          return { ok: false, refusal: tooWide };
        }
        items.push(this.#admit(event, match, keyOf(draft, idempotencyKey)));
      }
      const result = await this.#parts.store.accept({ namespace, items, nowMs });
      if (result.ok) return { ok: true, value: this.#committed(items, result.items) };
      this.#abandon(items);
      return conflict(result.conflict, drafts.length > 1);
    } catch (error) {
      this.#abandon(items);
      return { ok: false, refusal: storeRefusal(error) };
    }
  }

  #strictRefusal(namespace: string, drafts: readonly EventDraft[], table: RouteTable): Refusal | undefined {
    if (!this.#parts.isStrict(namespace)) return undefined;
    const index = drafts.findIndex((draft) => !table.names(namespace, draft.type));
    const draft = drafts[index];
    if (draft === undefined) return undefined;
    const detail = `No subscription in namespace ${namespace} names this event's type, and the namespace is strict: check the spelling, or add a subscription.`;
    return refuse("type_unknown", detail, drafts.length > 1 ? { index } : {});
  }

  #admit(event: Event, match: Match, key: string | undefined): AcceptItem {
    this.#tellFilterErrors(match);
    const deliveries = this.#parts.intake.admit(event, match.routes, event.receivedAtMs);
    return {
      event,
      idempotencyKey: key,
      contentHash: key === undefined ? NO_HASH : contentHash(event),
      deliveries,
      bodyRetentionMs: longest(match.routes, "bodiesMs"),
      historyRetentionMs: longest(match.routes, "historyMs"),
      maxAgeMs: oldest(match.routes),
    };
  }

  #tellFilterErrors(match: Match): void {
    for (const { route, message } of match.filterErrors) this.#parts.events.filterFailed(route.subscription, message);
  }

  #committed(items: readonly AcceptItem[], stored: readonly AcceptedItem[]): Receipt[] {
    const receipts: Receipt[] = [];
    for (const [index, item] of items.entries()) {
      const answer = stored[index]!;
      if (answer.duplicate) this.#parts.intake.abandoned(item.event, item.deliveries);
      else {
        this.#parts.intake.committed(item.event, item.deliveries, answer.deliveryIds);
        this.#parts.events.eventAccepted(item.event.namespace, answer.matched);
      }
      receipts.push({ id: answer.eventId, matched: answer.matched, duplicate: answer.duplicate });
    }
    return receipts;
  }

  #abandon(items: readonly AcceptItem[]): void {
    for (const item of items) this.#parts.intake.abandoned(item.event, item.deliveries);
  }
}

/** Never compared: without a key nothing is deduplicated. */
const NO_HASH = new Uint8Array(32);

/** The id holds the wall's time at acceptance, which the body tells where the producer gave none. */
function eventOf(namespace: string, draft: EventDraft, { id, nowMs }: { readonly id: string; readonly nowMs: number }): Event {
  return {
    id,
    namespace,
    sourceId: draft.identity?.id ?? id,
    source: draft.identity?.source ?? `/namespaces/${namespace}`,
    type: draft.type,
    subject: draft.subject,
    time: draft.time,
    dataContentType: draft.dataContentType,
    dataKind: draft.dataKind,
    data: ownData(draft.data),
    extensions: draft.extensions,
    receivedAtMs: nowMs,
  };
}

/** The data alone, without the rest of the request: copied unless it is most of what a view of it would keep in memory. */
function ownData(data: Uint8Array): Uint8Array {
  return data.byteLength * 2 >= data.buffer.byteLength ? data : new Uint8Array(data);
}

/** Longest key stored as it is; longer ones by their SHA-256. */
const KEY_CHARS_MAX = 160;

/** The header's key and CloudEvents identities never meet: their first letter differs. */
function keyOf(draft: EventDraft, header: string | undefined): string | undefined {
  if (header === undefined && draft.identity === undefined) return undefined;
  // Neither part of an identity holds a line break, so the pair cannot be spelled in two ways.
  const key = header === undefined ? `c:${draft.identity?.source}\n${draft.identity?.id}` : `k:${header}`;
  return key.length <= KEY_CHARS_MAX ? key : `h:${hash("sha256", key, "base64url")}`;
}

/** SHA-256 over type, subject, datacontenttype and data bytes, each with its length in front so that none can flow into the next. */
export function contentHash(event: Pick<Event, "type" | "subject" | "dataContentType" | "data">): Uint8Array {
  const head = JSON.stringify([event.type, event.subject ?? null, event.dataContentType ?? null]);
  const headBytes = Buffer.byteLength(head);
  const all = Buffer.allocUnsafe(4 + headBytes + event.data.length);
  all.writeUInt32BE(headBytes, 0);
  all.write(head, 4, "utf8");
  all.set(event.data, 4 + headBytes);
  return hash("sha256", all, "buffer");
}

/** All routes of one event are of one namespace, so they share one cluster policy's limit. */
function fanOutRefusal(routes: readonly Route[], place: { readonly index?: number }): Refusal | undefined {
  const max = routes[0]?.subscription.fanOutMax ?? BUILT_IN_LIMITS.fanOut;
  if (routes.length <= max) return undefined;
  const detail = `The event matches ${routes.length} subscriptions, more than the ${max} that limits.fanOut of the cluster policy allows: nothing was stored. Narrow the subscriptions, or raise the limit.`;
  return refuse("fan_out_exceeded", detail, place);
}

function longest(routes: readonly Route[], what: "bodiesMs" | "historyMs"): number {
  let most = 0;
  for (const { subscription } of routes) most = Math.max(most, subscription.policy.retention[what]);
  return most === 0 ? BUILT_IN_POLICY.retention[what] : most;
}

function oldest(routes: readonly Route[]): number {
  let most = 0;
  for (const { subscription } of routes) most = Math.max(most, subscription.policy.retry.maxAgeMs);
  return most;
}

function conflict(found: { readonly index: number; readonly eventId: string }, isBatch: boolean): Checked<never> {
  const { index, eventId } = found;
  const detail =
    "This idempotency key (the Idempotency-Key header, else source and id) was used for other content: send a new key for a new event. Nothing of this request was stored.";
  return refused("idempotency_conflict", detail, isBatch ? { index, eventId } : { eventId });
}

function storeRefusal(error: unknown): Refusal {
  const code = error instanceof StoreError ? error.code : "unknown";
  if (code === "disk_full") return diskLow();
  const retryAfterSeconds = RETRY_AFTER_SECONDS;
  if (code === "unknown") {
    const detail = "The commit did not report back: send the same event again with the same idempotency key, it will be stored once.";
    return refuse("outcome_unknown", detail, { retryAfterSeconds });
  }
  return refuse("store_unavailable", "Nothing was stored: try again shortly.", { retryAfterSeconds });
}

export function diskLow(): Refusal {
  const detail = "The store's disk is nearly full, nothing was stored: give it room (see store_free_bytes), then try again.";
  return refuse("disk_low", detail, { retryAfterSeconds: DISK_RETRY_AFTER_SECONDS });
}
