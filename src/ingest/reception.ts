import type { IncomingMessage } from "node:http";
import { EVENT_BYTES_MAX, REQUEST_BYTES_MAX } from "../core/event.ts";
import type { LongWork } from "../lib/long-work.ts";
import { type Acceptance, diskLow } from "./acceptance.ts";
import type { Denial } from "../core/access-token.ts";
import { BASIC } from "../core/hook-settings.ts";
import type { Admission, Authenticator, Caller } from "./authenticator.ts";
import type { EventDraft } from "./event-draft.ts";
import { readBinaryEvent } from "./header-envelope.ts";
import { earlyToken, TOKEN_WITHIN_BYTES } from "./early-token.ts";
import { hookMayCarryToken, isJsonHook, readHook } from "./hook-body.ts";
import { hookTokens } from "./hook-head.ts";
import { type BodyRequest, readJsonRequest } from "./json-envelope.ts";
import { liveTokenRefusal } from "./live-token.ts";
import { isUtf8Charset, parseMediaType } from "./media-type.ts";
import { type RequestHead, readHead } from "./request-head.ts";
import { type Checked, type Refusal, refuse, refused } from "./refusal.ts";
import { type AnswerForm, isRedirecting, processingAnswer, type Answer, type ResultOrder } from "./results/result-answer.ts";

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
  readonly isKnown: boolean;
  /** Who that is. */
  readonly caller: Caller | undefined;
  /** Its next request, which follows a redirect, has the token too. */
  readonly mayRedirect: boolean;
}

/** Events of somebody who may send them. */
interface Sent {
  readonly drafts: readonly EventDraft[];
  readonly caller: Caller;
  /** By which the caller was let in; empty where everybody is. */
  readonly tokens: readonly string[];
}

/** A valid token that somebody whom no header's let in has shown at the beginning of the body. */
export interface Shown {
  readonly token: string;
  readonly caller: Caller;
}

/** What a first look into a body gives: the events, or a token that must be judged before they are read. */
type FirstLook =
  | { readonly kind: "drafts"; readonly drafts: readonly EventDraft[] }
  | { readonly kind: "token"; readonly body: BodyRequest; readonly token: string | undefined };

/** Who may go on: an event's body will be read, or a result waited for. */
export type LetIn = Admitted | { readonly kind: "poll"; readonly isKnown: true; readonly order: ResultOrder };

/** `isKnown`: the caller may publish here, whatever the answer is. */
type Opened =
  | LetIn
  | { readonly kind: "refused"; readonly isKnown: boolean; readonly refusal: Refusal }
  | { readonly kind: "answer"; readonly isKnown: boolean; readonly status: number; readonly headers: string[] };

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
    if (!head.ok) return { kind: "refused", isKnown: false, refusal: head.refusal };
    if (request.method === "OPTIONS") return handshake(head.value);
    const { namespace, token } = head.value;
    const ofHook = this.#ofHook(head.value);
    if (ofHook !== undefined) return this.#judge({ ...head.value, token: ofHook.token }, ofHook.caller, false);
    const verdict = this.#verdict(namespace, token);
    if (verdict instanceof Promise) return verdict.then((settled) => this.#judge(head.value, settled, true));
    return this.#judge(head.value, verdict, true);
  }

  /** Whom a token in one of the places lets in that the owners of the namespace's tokens have chosen for hooks. A Bearer token is judged alone. */
  #ofHook(head: RequestHead): Shown | undefined {
    const { authenticator } = this.#parts;
    if (head.hookType === undefined || head.token !== undefined || authenticator.mode === "none") return undefined;
    for (const { place, token } of hookTokens(head, authenticator.hookPlaces(head.namespace))) {
      const caller = authenticator.authenticateHook(head.namespace, place, token);
      if (caller !== "unauthenticated") return { token, caller };
    }
    return undefined;
  }

  #judge(head: RequestHead, verdict: Admission, mayRedirect: boolean): Opened | Promise<Opened> {
    const caller = isDenial(verdict) ? undefined : verdict;
    const isKnown = caller !== undefined;
    if (head.resultId !== undefined) {
      if (isDenial(verdict)) return { kind: "refused", isKnown, refusal: this.#denied(verdict, head) };
      const sees = this.#parts.authenticator.maySeeAnswers(head.namespace, head.token);
      return sees instanceof Promise ? sees.then((settled) => pollOf(head, settled)) : pollOf(head, sees);
    }
    const plan = planOf(head);
    if (isDenial(verdict)) {
      const denied = this.#deniedAtHead(head, plan, verdict);
      if (denied !== undefined) return { kind: "refused", isKnown, refusal: denied };
    }
    if (head.isProbe && isKnown) return { kind: "answer", isKnown, status: 200, headers: ["Content-Length", "0"] };
    const refusal = this.#refusal(head, plan) ?? (isKnown ? this.#parts.acceptance.storageFull(head.namespace) : undefined);
    if (refusal !== undefined) return { kind: "refused", isKnown, refusal };
    if (!plan.ok) return { kind: "refused", isKnown, refusal: plan.refusal };
    return { kind: "read", head, plan: plan.value, isKnown, caller, mayRedirect };
  }

  /** Whether somebody who has shown no valid token may show one in the body: only there where one can let him in, for its beginning must be read for that. */
  #deniedAtHead(head: RequestHead, plan: Checked<Plan>, verdict: Denial): Refusal | undefined {
    if (head.token !== undefined) return this.#denied(verdict, head);
    const tokens = this.#parts.authenticator.bodyTokens(head.namespace);
    // Where a hook's token may be is known only with the namespace's Secrets.
    if (head.hookType !== undefined && tokens === "unknown") return this.#denied("unavailable", head);
    if (head.foreignAuthorization || head.isProbe || !mayCarryToken(plan, head)) return this.#denied(verdict, head);
    return tokens === "some" ? undefined : this.#denied(tokens === "unknown" ? "unavailable" : "unauthenticated", head);
  }

  /** The valid token of a body of which so much is here, or why its sender may not go on. */
  tokenIn({ head, plan }: Admitted, start: Uint8Array, isWhole: boolean): Checked<Shown> {
    const { namespace } = head;
    const token = earlyToken(start, plan.mode === "hook" && !isJsonHook(head.contentType) ? "urlencoded" : "json", isWhole);
    if (token === undefined && !isWhole) return refused("unauthenticated", LATE_TOKEN);
    const verdict = token === undefined ? "unauthenticated" : this.#parts.authenticator.authenticateBody(namespace, token);
    if (token === undefined || isDenial(verdict)) {
      return { ok: false, refusal: this.#denied(isDenial(verdict) ? verdict : "unauthenticated", head) };
    }
    return { ok: true, value: { token, caller: verdict } };
  }

  /** Judges, stores and answers the whole request; `shown` is what let in somebody who is not known by a header. */
  async accept(admitted: Admitted, body: Uint8Array, shown: Shown | undefined): Promise<Checked<Accepted>> {
    const { head, plan } = admitted;
    const form: AnswerForm = plan.mode === "batch" ? "batch" : plan.mode === "hook" ? "hook" : "event";
    const found = await this.#sent(admitted, body, shown);
    if (!found.ok) return found;
    const { caller, tokens } = found.value;
    const drafts = found.value.drafts.map((draft) => traced(draft, head.traceparent));
    const empty = { form, receipts: [], mayRedirect: false, seesAnswers: false };
    if (drafts.length === 0) return { ok: true, value: toldAtOnce(orderOf(head, empty)) };
    const unready = this.#parts.acceptance.unready(head.namespace);
    if (unready !== undefined) return { ok: false, refusal: unready };
    const sender = { producer: caller.producer, idempotencyKey: head.idempotencyKey };
    const wants = head.wish.waitMs !== undefined || head.wish.redirects;
    // Asked beside the commit: nobody waits for both.
    const sees = wants && this.#parts.authenticator.maySeeAnswers(head.namespace, tokens[0]);
    const receipts = await this.#parts.acceptance.accept(head.namespace, drafts, sender);
    if (!receipts.ok) return receipts;
    const order = orderOf(head, {
      form,
      receipts: receipts.value,
      mayRedirect: admitted.isKnown && admitted.mayRedirect,
      seesAnswers: false,
    });
    if (order.wish.waitMs === undefined && !isRedirecting(order)) return { ok: true, value: toldAtOnce(order) };
    return { ok: true, value: { kind: "order", order: { ...order, seesAnswers: await sees } } };
  }

  #verdict(namespace: string, token: string | undefined): Admission | Promise<Admission> {
    const { authenticator } = this.#parts;
    if (authenticator.mode === "none") return authenticator.authenticate(namespace, "");
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

  async #sent(admitted: Admitted, body: Uint8Array, shown: Shown | undefined): Promise<Checked<Sent>> {
    const { head, caller } = admitted;
    const areTokens = this.#parts.authenticator.mode === "tokens";
    const looked = this.#worked(admitted, body, () => firstLook(admitted, body, areTokens));
    const first = looked instanceof Promise ? await looked : looked;
    if (!first.ok) return first;
    if (first.value.kind === "token") {
      const asked = this.#bodyVerdict(admitted, first.value.token, shown);
      const verdict = asked instanceof Promise ? await asked : asked;
      return this.#sentWithToken(admitted, body, { ...first.value, verdict });
    }
    const tokens = head.token === undefined || !areTokens ? [] : [head.token];
    return caller === undefined
      ? { ok: false, refusal: this.#denied("unauthenticated", head) }
      : { ok: true, value: { drafts: first.value.drafts, caller, tokens } };
  }

  #bodyVerdict({ head, caller }: Admitted, token: string | undefined, shown: Shown | undefined): Admission | Promise<Admission> {
    if (caller !== undefined) return token === head.token ? caller : this.#verdict(head.namespace, token);
    // It was found before all was here: what is cut out must be the same.
    return shown === undefined || shown.token !== token ? "unauthenticated" : shown.caller;
  }

  /** The body's token decides where the header's has not. Wherever it is alive it is no part of the event. */
  async #sentWithToken(
    admitted: Admitted,
    body: Uint8Array,
    first: FirstLook & { readonly kind: "token"; readonly verdict: Admission },
  ): Promise<Checked<Sent>> {
    const { head } = admitted;
    const { verdict } = first;
    const caller = admitted.caller ?? (isDenial(verdict) ? undefined : verdict);
    // Beside a header's good token, whose verdict stands, only a word that is nobody's token stays in the event.
    if (caller === undefined || verdict === "unavailable") {
      return { ok: false, refusal: this.#denied(isDenial(verdict) ? verdict : "unauthenticated", head) };
    }
    const isAlive = verdict !== "unauthenticated";
    const tokens = [head.token, isAlive ? first.token : undefined].filter((token) => token !== undefined);
    const read = await this.#worked(admitted, body, () =>
      withoutTokens(first.body.drafts(isAlive, caller.hooks), tokens, head.idempotencyKey),
    );
    return read.ok ? { ok: true, value: { drafts: read.value, caller, tokens } } : read;
  }

  /** Reading a body: at once, or, when it is large, in a turn of the event loop of its own. */
  #worked<T>({ head }: Admitted, body: Uint8Array, work: () => T): T | Promise<T> {
    return body.length <= BODY_AT_ONCE_BYTES ? work() : this.#parts.work.later(head.namespace, work);
  }

  #challenge({ namespace, hookType }: RequestHead): Pick<Refusal, "challenge"> {
    const isBasic = hookType !== undefined && this.#parts.authenticator.hookPlaces(namespace).has(BASIC);
    return isBasic ? { challenge: "Basic" } : {};
  }

  #denied(verdict: Denial, head: RequestHead): Refusal {
    const { namespace } = head;
    switch (verdict) {
      case "forbidden":
        return refuse("forbidden", forbiddenDetail(namespace));
      case "unavailable":
        return refuse("reviews_unavailable", "The API server cannot verify tokens right now: try again shortly.", {
          retryAfterSeconds: REVIEW_RETRY_AFTER_SECONDS,
        });
      default:
        return refuse(
          "unauthenticated",
          unauthenticatedDetail(this.#parts.authenticator.hint, head.hookType !== undefined),
          this.#challenge(head),
        );
    }
  }
}

function isDenial(verdict: Admission): verdict is Denial {
  return typeof verdict === "string";
}

type OrderRest = Pick<ResultOrder, "form" | "receipts" | "mayRedirect" | "seesAnswers">;

function orderOf({ namespace, wish, queryToken }: RequestHead, rest: OrderRest): ResultOrder {
  return { namespace, wish, queryToken, ...rest };
}

function pollOf(head: RequestHead, seesAnswers: boolean): LetIn {
  const receipts = [{ id: head.resultId ?? "", matched: 0, duplicate: false }];
  return { kind: "poll", isKnown: true, order: orderOf(head, { form: "poll", receipts, mayRedirect: true, seesAnswers }) };
}

function toldAtOnce(order: ResultOrder): Accepted {
  return { kind: "answer", answer: processingAnswer(order) };
}

/** `areTokens`: the header's token means something, and so would one in the body. */
function firstLook(admitted: Admitted, body: Uint8Array, areTokens: boolean): Checked<FirstLook> {
  const { head, plan, isKnown } = admitted;
  const tokens = head.token === undefined || !areTokens ? [] : [head.token];
  const known = (read: Checked<readonly EventDraft[]>): Checked<FirstLook> => {
    const drafts = withoutTokens(read, tokens, head.idempotencyKey);
    return drafts.ok ? { ok: true, value: { kind: "drafts", drafts: drafts.value } } : drafts;
  };
  if (plan.mode === "binary") {
    const draft = readBinaryEvent(body, head);
    return known(draft.ok ? { ok: true, value: [draft.value] } : draft);
  }
  const read = readBody(admitted, body);
  if (!read.ok) return read;
  const { token } = read.value;
  if (isKnown && (token === undefined || !areTokens)) return known(read.value.drafts(false, admitted.caller?.hooks));
  return { ok: true, value: { kind: "token", body: read.value, token } };
}

/** The events, unless a token that let them in stands in them. */
function withoutTokens(
  read: Checked<readonly EventDraft[]>,
  tokens: readonly string[],
  idempotencyKey: string | undefined,
): Checked<readonly EventDraft[]> {
  const refusal = read.ok ? liveTokenRefusal(read.value, { tokens, idempotencyKey }) : undefined;
  return refusal === undefined ? read : { ok: false, refusal };
}

/** Not for binary mode, whose body can hold no token. */
function readBody({ head, plan }: Admitted, body: Uint8Array): Checked<BodyRequest> {
  if (head.hookType !== undefined) return readHook(body, { ...head, type: head.hookType });
  return readJsonRequest(body, plan.mode === "structured" || plan.mode === "batch" ? plan.mode : "short");
}

/** The producer's trace goes on in the delivery; an event that names its own (CloudEvents distributed tracing) keeps it. */
function traced(draft: EventDraft, traceparent: string | undefined): EventDraft {
  if (traceparent === undefined || draft.extensions["traceparent"] !== undefined) return draft;
  return { ...draft, extensions: { ...draft.extensions, traceparent } };
}

/** Seconds until somebody may be there to ask again. */
const REVIEW_RETRY_AFTER_SECONDS = 5;

function unauthenticatedDetail(hint: string, isHook: boolean): string {
  const places = isHook ? ", or in a header that the annotation postrider.dev/hooks of its Secret names" : "";
  return `Send one valid token as 'Authorization: Bearer …' (or, a static one, as the field token of the body${places}): ${hint}.`;
}

const LATE_TOKEN = `The first ${TOKEN_WITHIN_BYTES} bytes of the body contain no field token, and Postrider reads no more before it knows the sender: put the field first, or send the token as 'Authorization: Bearer …'.`;

function forbiddenDetail(namespace: string): string {
  return `The token is valid, but its owner lacks the permission to publish in namespace ${namespace}. Allow the verb publish on webhooksubscriptions.postrider.dev with RBAC; check with: kubectl -n ${namespace} auth can-i publish webhooksubscriptions.postrider.dev --as system:serviceaccount:NAMESPACE:NAME`;
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
    return refused("media_type_unsupported", `Content-Type is not a media type; supported types are ${TAKEN}.`);
  }
  if (head.hookType !== undefined) return { ok: true, value: PLANS.hook };
  const mode = modeOf(media?.essence, head);
  if (mode === undefined) return refused("media_type_unsupported", `You sent ${sentType(media?.essence)}. Supported types are ${TAKEN}.`);
  if (mode !== "binary" && !isUtf8Charset(media?.charset)) {
    return refused("charset_unsupported", "JSON is UTF-8 (RFC 8259 8.1): send UTF-8 and leave charset out.");
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
    `The event has ${bytes} bytes or more; at most ${EVENT_BYTES_MAX} are allowed: put large content elsewhere and send its address.`,
  );
const tooLargeRequest = (bytes: number): Refusal =>
  refuse("request_too_large", `The request has ${bytes} bytes or more; at most ${REQUEST_BYTES_MAX} are allowed: send several.`);

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
  const headers = ["Allow", head.hookType === undefined ? "POST, OPTIONS" : "POST, HEAD, OPTIONS", "Content-Length", "0"];
  if (head.origin !== undefined && ORIGIN.test(head.origin)) {
    headers.push("WebHook-Allowed-Origin", head.origin, "WebHook-Allowed-Rate", "*");
  }
  return { kind: "answer", isKnown: false, status: 200, headers };
}
