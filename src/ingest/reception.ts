import type { IncomingMessage } from "node:http";
import { EVENT_BYTES_MAX, REQUEST_BYTES_MAX } from "../core/event.ts";
import type { Clock } from "../lib/clock.ts";
import { type Acceptance, type Receipt, diskLow } from "./acceptance.ts";
import type { Authenticator } from "./authenticator.ts";
import type { EventDraft } from "./event-draft.ts";
import { readBinaryEvent } from "./header-envelope.ts";
import { readJsonRequest } from "./json-envelope.ts";
import { isUtf8Charset, parseMediaType } from "./media-type.ts";
import type { RateGate } from "./rate-gate.ts";
import { type RequestHead, readHead } from "./request-head.ts";
import { type Checked, type Refusal, refuse, refused } from "./refusal.ts";

export interface ReceptionParts {
  readonly authenticator: Authenticator;
  readonly acceptance: Acceptance;
  readonly rate: RateGate;
  readonly clock: Clock;
  readonly tokenInQuery: boolean;
  /** The store's disk is below its floor (cached by the caller; asked for every request). */
  readonly diskLow: () => boolean;
}

type Mode = "structured" | "batch" | "short" | "binary";

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

type Opened =
  | Admitted
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "answer"; readonly status: number; readonly headers: string[] };

interface Answer {
  readonly headers: string[];
  readonly text: string;
}

/** What a request asks for and whether it may: everything between HTTP's bytes and the acceptance of events. */
export class Reception {
  readonly #parts: ReceptionParts;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** Judges by the head alone, so that nothing is read from somebody who will be refused anyway. */
  open(request: IncomingMessage): Opened {
    const head = readHead(request, { tokenInQuery: this.#parts.tokenInQuery });
    if (!head.ok) return { kind: "refused", refusal: head.refusal };
    if (request.method === "OPTIONS") return handshake(head.value);
    const plan = planOf(head.value);
    const authenticated = this.#authenticated(head.value);
    if (!authenticated && (head.value.token !== undefined || head.value.foreignAuthorization || !mayCarryToken(plan))) {
      return { kind: "refused", refusal: unauthenticated() };
    }
    const refusal = this.#refusal(head.value, plan);
    if (refusal !== undefined) return { kind: "refused", refusal };
    if (!plan.ok) return { kind: "refused", refusal: plan.refusal };
    return { kind: "read", head: head.value, plan: plan.value, authenticated };
  }

  /** Judges, stores and answers the whole request. */
  async accept(admitted: Admitted, body: Uint8Array): Promise<Checked<Answer>> {
    const { head, plan } = admitted;
    const read = this.#drafts(admitted, body);
    if (!read.ok) return read;
    const drafts = read.value.map((draft) => traced(draft, head.traceparent));
    if (drafts.length === 0) return { ok: true, value: batchAnswer([]) };
    const waitSeconds = this.#parts.rate.take(head.namespace, drafts.length, this.#parts.clock.monotonicMs());
    if (waitSeconds !== undefined) {
      const detail = `Namespace ${head.namespace} publishes faster than its limit: wait ${waitSeconds} s.`;
      return refused("rate_limited", detail, { retryAfterSeconds: waitSeconds });
    }
    const unready = this.#parts.acceptance.unready();
    if (unready !== undefined) return { ok: false, refusal: unready };
    const receipts = await this.#parts.acceptance.accept(head.namespace, drafts, head.idempotencyKey);
    if (!receipts.ok) return receipts;
    return { ok: true, value: plan.mode === "batch" ? batchAnswer(receipts.value) : singleAnswer(receipts.value[0]!) };
  }

  #authenticated(head: RequestHead): boolean {
    if (this.#parts.authenticator.mode === "none") return true;
    return head.token !== undefined && this.#parts.authenticator.authenticate(head.namespace, head.token);
  }

  #refusal(head: RequestHead, plan: Checked<Plan>): Refusal | undefined {
    if (this.#parts.diskLow()) return diskLow();
    const unready = this.#parts.acceptance.unready();
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

  #drafts(admitted: Admitted, body: Uint8Array): Checked<readonly EventDraft[]> {
    const { head, plan, authenticated } = admitted;
    if (plan.mode === "binary") {
      const draft = readBinaryEvent(body, head);
      return draft.ok ? { ok: true, value: [draft.value] } : draft;
    }
    const read = readJsonRequest(body, plan.mode);
    if (!read.ok) return read;
    const { token, drafts } = read.value;
    const matched = !authenticated && token !== undefined && this.#parts.authenticator.authenticate(head.namespace, token);
    if (!authenticated && !matched) return { ok: false, refusal: unauthenticated() };
    return drafts(matched);
  }
}

/** The producer's trace goes on in the delivery; an event that names its own (CloudEvents distributed tracing) keeps it. */
function traced(draft: EventDraft, traceparent: string | undefined): EventDraft {
  if (traceparent === undefined || draft.extensions["traceparent"] !== undefined) return draft;
  return { ...draft, extensions: { ...draft.extensions, traceparent } };
}

function unauthenticated(): Refusal {
  return refuse(
    "unauthenticated",
    "Send a token valid for this namespace as 'Authorization: Bearer …' (or as the field token of a JSON body). Tokens are the values of Secrets labelled postrider.dev/ingest-token.",
  );
}

/** Only a JSON object can hold the field `token`. */
function mayCarryToken(plan: Checked<Plan>): boolean {
  return plan.ok && (plan.value.mode === "structured" || plan.value.mode === "short");
}

const TAKEN = "application/json, application/cloudevents+json, application/cloudevents-batch+json, or any type with ce-* headers";

/** CloudEvents HTTP binding 3: the Content-Type tells the mode; without it, `ce-specversion` does. */
function planOf(head: RequestHead): Checked<Plan> {
  const media = head.contentType === undefined ? undefined : parseMediaType(head.contentType);
  if (head.contentType !== undefined && media === undefined) {
    return refused("media_type_unsupported", `Content-Type is not a media type; taken are ${TAKEN}.`);
  }
  const mode = modeOf(media?.essence, head);
  if (mode === undefined) return refused("media_type_unsupported", `Taken are ${TAKEN}.`);
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

const SHAPE_HEAD = '{"statusCode":202,"status":"processing","value":null,"pollingRedirectEnabled":false,';

function singleAnswer(receipt: Receipt): Answer {
  const text = `${SHAPE_HEAD}${receiptFields(receipt)}}`;
  const headers = ["Content-Type", "application/json", "Content-Length", String(text.length), "postrider-result-correlationid", receipt.id];
  return { headers, text };
}

function batchAnswer(receipts: readonly Receipt[]): Answer {
  let matched = 0;
  for (const receipt of receipts) matched += receipt.matched;
  const items = receipts.map((receipt) => `{${receiptFields(receipt)}}`).join(",");
  const text = `${SHAPE_HEAD}"correlationId":null,"id":null,"matched":${matched},"duplicate":false,"items":[${items}]}`;
  return { headers: ["Content-Type", "application/json", "Content-Length", String(text.length)], text };
}

/** Ids are ours (hexadecimal and dashes): nothing to escape. */
function receiptFields({ id, matched, duplicate }: Receipt): string {
  return `"correlationId":"${id}","id":"${id}","matched":${matched},"duplicate":${duplicate}`;
}
