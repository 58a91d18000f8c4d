import type { IncomingMessage } from "node:http";
import { EVENT_BYTES_MAX, REQUEST_BYTES_MAX } from "../core/event.ts";
import type { LongWork } from "../lib/long-work.ts";
import { type Acceptance, diskLow } from "./acceptance.ts";
import type { Authenticator, Verdict } from "./authenticator.ts";
import type { EventDraft } from "./event-draft.ts";
import { readBinaryEvent } from "./header-envelope.ts";
import { hookMayCarryToken, readHook } from "./hook-body.ts";
import { type BodyRequest, readJsonRequest } from "./json-envelope.ts";
import { isUtf8Charset, parseMediaType } from "./media-type.ts";
import { type RequestHead, readHead } from "./request-head.ts";
import { type Checked, type Refusal, refuse, refused } from "./refusal.ts";
import { type AnswerForm, isRedirecting, processingAnswer, type Answer, type ResultOrder } from "./result-answer.ts";

export interface ReceptionParts {
  readonly authenticator: Authenticator;
  readonly acceptance: Acceptance;
  readonly work: LongWork;
  readonly tokenInQuery: boolean;
  /** The store's disk is below its floor (cached by the caller; asked for every request). */
  readonly diskLow: () => boolean;
}

/** Read at once up to this, in bytes: a body of 1,000 events in 85 KiB takes some 8 ms, one of 4 MiB up to 50. */
const BODY_AT_ONCE_BYTES = 16 * 1024;

type Mode = "structured" | "batch" | "short" | "binary" | "hook";

/** How the body of a request will be read. */
interface Plan {
  readonly mode: Mode;
  readonly bytesMax: number;
  readonly tooLarge: (bytes: number) => Refusal;
}

interface Admitted {
  readonly kind: "read";
  readonly head: RequestHead;
  readonly plan: Plan;
  /** The header's token let the caller in; else the body's must. */
  readonly authenticated: boolean;
}

/** Who may go on: an event's body will be read, or a result waited for. */
export type LetIn = Admitted | { readonly kind: "poll"; readonly order: ResultOrder };

type Opened =
  | LetIn
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "answer"; readonly status: number; readonly headers: string[] };

/** Everything is stored: either that is the answer, or the caller wants to hear more. */
type Accepted = { readonly kind: "answer"; readonly answer: Answer } | { readonly kind: "order"; readonly order: ResultOrder };

/** What a request asks for and whether it may: everything between HTTP's bytes and the acceptance of events. */
export class Reception {
  readonly #parts: ReceptionParts;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** Judges by the head alone, so that nothing is read from somebody who will be refused anyway. A promise only when somebody must be asked. */
  open(request: IncomingMessage): Opened | Promise<Opened> {
    const head = readHead(request, { tokenInQuery: this.#parts.tokenInQuery });
    if (!head.ok) return { kind: "refused", refusal: head.refusal };
    if (request.method === "OPTIONS") return handshake(head.value);
    const { namespace, token } = head.value;
    const verdict = this.#verdict(namespace, token);
    if (verdict instanceof Promise) return verdict.then((settled) => this.#judge(head.value, settled));
    return this.#judge(head.value, verdict);
  }

  #judge(head: RequestHead, verdict: Verdict): Opened {
    if (head.resultId !== undefined) {
      if (verdict !== "allowed") return { kind: "refused", refusal: this.#denied(verdict, head.namespace) };
      const receipts = [{ id: head.resultId, matched: 0, duplicate: false }];
      return { kind: "poll", order: orderOf(head, { form: "poll", receipts, mayRedirect: true }) };
    }
    const plan = planOf(head);
    const authenticated = verdict === "allowed";
    if (!authenticated && (head.token !== undefined || head.foreignAuthorization || !mayCarryToken(plan, head))) {
      return { kind: "refused", refusal: this.#denied(verdict, head.namespace) };
    }
    const refusal = this.#refusal(head, plan);
    if (refusal !== undefined) return { kind: "refused", refusal };
    if (!plan.ok) return { kind: "refused", refusal: plan.refusal };
    return { kind: "read", head, plan: plan.value, authenticated };
  }

  /** Judges, stores and answers the whole request. */
  async accept(admitted: Admitted, body: Uint8Array): Promise<Checked<Accepted>> {
    const { head, plan } = admitted;
    const form: AnswerForm = plan.mode === "batch" ? "batch" : plan.mode === "hook" ? "hook" : "event";
    const found = admitted.authenticated
      ? this.#worked(admitted, body, () => knownDrafts(admitted, body))
      : this.#draftsWithToken(admitted, body);
    const read = found instanceof Promise ? await found : found;
    if (!read.ok) return read;
    const drafts = read.value.map((draft) => traced(draft, head.traceparent));
    if (drafts.length === 0) return { ok: true, value: toldAtOnce(orderOf(head, { form, receipts: [], mayRedirect: false })) };
    const unready = this.#parts.acceptance.unready(head.namespace);
    if (unready !== undefined) return { ok: false, refusal: unready };
    const receipts = await this.#parts.acceptance.accept(head.namespace, drafts, head.idempotencyKey);
    if (!receipts.ok) return receipts;
    const order = orderOf(head, { form, receipts: receipts.value, mayRedirect: admitted.authenticated });
    if (order.wish.waitMs === undefined && !isRedirecting(order)) return { ok: true, value: toldAtOnce(order) };
    return { ok: true, value: { kind: "order", order } };
  }

  #verdict(namespace: string, token: string | undefined): Verdict | Promise<Verdict> {
    const { authenticator } = this.#parts;
    if (authenticator.mode === "none") return "allowed";
    return token === undefined ? "unauthenticated" : authenticator.authenticate(namespace, token);
  }

  #refusal(head: RequestHead, plan: Checked<Plan>): Refusal | undefined {
    if (this.#parts.diskLow()) return diskLow();
    const unready = this.#parts.acceptance.unready(head.namespace);
    if (unready !== undefined || !plan.ok) return unready;
    if (plan.value.mode === "batch" && head.idempotencyKey !== undefined) {
      return refuse(
        "idempotency_key_invalid",
        "Idempotency-Key names one event: leave it out of a batch, whose events have source and id.",
      );
    }
    if (head.contentLength !== undefined && head.contentLength > plan.value.bytesMax) return plan.value.tooLarge(head.contentLength);
    return undefined;
  }

  /** The body's token decides; once it has, it is no part of the event. */
  async #draftsWithToken(admitted: Admitted, body: Uint8Array): Promise<Checked<readonly EventDraft[]>> {
    const read = await this.#worked(admitted, body, () => readBody(admitted, body));
    if (!read.ok) return read;
    const { namespace } = admitted.head;
    const verdict = await this.#verdict(namespace, read.value.token);
    if (verdict !== "allowed") return { ok: false, refusal: this.#denied(verdict, namespace) };
    return this.#worked(admitted, body, () => read.value.drafts(true));
  }

  /** Reading a body: at once, or, when it is large, in a turn of the event loop of its own. */
  #worked<T>({ head }: Admitted, body: Uint8Array, work: () => T): T | Promise<T> {
    return body.length <= BODY_AT_ONCE_BYTES ? work() : this.#parts.work.later(head.namespace, work);
  }

  #denied(verdict: Verdict, namespace: string): Refusal {
    switch (verdict) {
      case "forbidden":
        return refuse("forbidden", forbiddenDetail(namespace));
      case "unavailable":
        return refuse("reviews_unavailable", "Nobody can be asked about the token now: try again shortly.", {
          retryAfterSeconds: REVIEW_RETRY_AFTER_SECONDS,
        });
      default:
        return refuse("unauthenticated", unauthenticatedDetail(this.#parts.authenticator.hint));
    }
  }
}

function orderOf({ namespace, wish, queryToken }: RequestHead, rest: Pick<ResultOrder, "form" | "receipts" | "mayRedirect">): ResultOrder {
  return { namespace, wish, queryToken, ...rest };
}

function toldAtOnce(order: ResultOrder): Accepted {
  return { kind: "answer", answer: processingAnswer(order) };
}

function knownDrafts(admitted: Admitted, body: Uint8Array): Checked<readonly EventDraft[]> {
  const { head, plan } = admitted;
  if (plan.mode === "binary") {
    const draft = readBinaryEvent(body, head);
    return draft.ok ? { ok: true, value: [draft.value] } : draft;
  }
  const read = readBody(admitted, body);
  return read.ok ? read.value.drafts(false) : read;
}

/** Not for binary mode, whose body can hold no token. */
function readBody({ head, plan }: Admitted, body: Uint8Array): Checked<BodyRequest> {
  if (head.hookType !== undefined) return readHook(body, head.hookType, head.contentType);
  return readJsonRequest(body, plan.mode === "structured" || plan.mode === "batch" ? plan.mode : "short");
}

/** The producer's trace goes on in the delivery; an event that names its own (CloudEvents distributed tracing) keeps it. */
function traced(draft: EventDraft, traceparent: string | undefined): EventDraft {
  if (traceparent === undefined || draft.extensions["traceparent"] !== undefined) return draft;
  return { ...draft, extensions: { ...draft.extensions, traceparent } };
}

/** Seconds until somebody may be there to ask again. */
const REVIEW_RETRY_AFTER_SECONDS = 5;

function unauthenticatedDetail(hint: string): string {
  return `Send one valid token as 'Authorization: Bearer …' (or as the field token of the body): ${hint}.`;
}

function forbiddenDetail(namespace: string): string {
  return `The token is good, but its owner may not publish in namespace ${namespace}. Allow the verb publish on webhooksubscriptions.postrider.dev by RBAC; check with: kubectl -n ${namespace} auth can-i publish webhooksubscriptions.postrider.dev --as system:serviceaccount:NAMESPACE:NAME`;
}

/** Only a JSON object or a form can hold the field `token`. */
function mayCarryToken(plan: Checked<Plan>, head: RequestHead): boolean {
  if (!plan.ok) return false;
  if (plan.value.mode === "hook") return hookMayCarryToken(head.contentType);
  return plan.value.mode === "structured" || plan.value.mode === "short";
}

const TAKEN = "application/json, application/cloudevents+json, application/cloudevents-batch+json, or any type with ce-* headers";

/** What `curl -d` sends by itself is the usual first try. */
function sentType(essence: string | undefined): string {
  if (essence === undefined) return "no Content-Type (-H 'Content-Type: application/json' for one event as JSON)";
  const isForm = essence === "application/x-www-form-urlencoded";
  return `${essence.slice(0, 100)}${isForm ? ", as curl does unless told otherwise: -H 'Content-Type: application/json'" : ""}`;
}

/** CloudEvents HTTP binding 3: the Content-Type tells the mode; without it, `ce-specversion` does. */
function planOf(head: RequestHead): Checked<Plan> {
  const media = head.contentType === undefined ? undefined : parseMediaType(head.contentType);
  if (head.contentType !== undefined && media === undefined) {
    return refused("media_type_unsupported", `Content-Type is not a media type; taken are ${TAKEN}.`);
  }
  if (head.hookType !== undefined) return { ok: true, value: PLANS.hook };
  const mode = modeOf(media?.essence, head);
  if (mode === undefined) return refused("media_type_unsupported", `You sent ${sentType(media?.essence)}. Taken are ${TAKEN}.`);
  if (mode !== "binary" && !isUtf8Charset(media?.charset)) {
    return refused("charset_unsupported", "JSON is UTF-8 (RFC 8259 8.1): send it so and leave charset out.");
  }
  return { ok: true, value: PLANS[mode] };
}

function modeOf(essence: string | undefined, head: RequestHead): Mode | undefined {
  if (essence === "application/cloudevents+json") return "structured";
  if (essence === "application/cloudevents-batch+json") return "batch";
  if (essence?.startsWith("application/cloudevents") === true) return undefined;
  if (head.attributes.length > 0) return "binary";
  return essence === "application/json" ? "short" : undefined;
}

const tooLargeEvent = (bytes: number): Refusal =>
  refuse(
    "event_too_large",
    `The event has ${bytes} bytes or more, at most ${EVENT_BYTES_MAX} are taken: put large content elsewhere and send its address.`,
  );
const tooLargeRequest = (bytes: number): Refusal =>
  refuse("request_too_large", `The request has ${bytes} bytes or more, at most ${REQUEST_BYTES_MAX} are taken: send several.`);

const PLANS: Readonly<Record<Mode, Plan>> = {
  structured: { mode: "structured", bytesMax: EVENT_BYTES_MAX, tooLarge: tooLargeEvent },
  short: { mode: "short", bytesMax: EVENT_BYTES_MAX, tooLarge: tooLargeEvent },
  binary: { mode: "binary", bytesMax: EVENT_BYTES_MAX, tooLarge: tooLargeEvent },
  hook: { mode: "hook", bytesMax: EVENT_BYTES_MAX, tooLarge: tooLargeEvent },
  batch: { mode: "batch", bytesMax: REQUEST_BYTES_MAX, tooLarge: tooLargeRequest },
};

const ORIGIN = /^[A-Za-z0-9.:_-]{1,253}$/;

/** CloudEvents HTTP webhook 1.0.2, section 4: yes, you may send here; how fast is said by 429. */
function handshake(head: RequestHead): Opened {
  const headers = ["Allow", "POST, OPTIONS", "Content-Length", "0"];
  if (head.origin !== undefined && ORIGIN.test(head.origin)) {
    headers.push("WebHook-Allowed-Origin", head.origin, "WebHook-Allowed-Rate", "*");
  }
  return { kind: "answer", status: 200, headers };
}
