import { STATUS_CODES } from "node:http";
import { RECONNECTED_NOTE } from "../../core/outcome.ts";
import type { ConnectTimes, Outcome, OutcomeClass } from "../../core/outcome.ts";
import { inRanges } from "../../core/policy.ts";
import type { Policy } from "../../core/policy.ts";
import { parseRetryAfter } from "../../core/retry-after.ts";
import type { Clock } from "../../lib/clock.ts";
import { errorCode, UNKNOWN_CODE } from "../../lib/error-code.ts";
import type { WheelEntry, WheelSlot } from "../../lib/timer-wheel.ts";
import { redactHeader, redactText, redactUrl, redactValues } from "../../observe/redact.ts";
import { ANSWER_BYTES_MAX } from "./answer-limit.ts";
import { ConnectFailure, isTlsCode, tlsFailure } from "../connect/connect-failure.ts";
import type { DispatchController, DispatchHandler } from "./receiver-pool.ts";

/** An answer's body is read up to this much even if less is kept, so that short answers leave the connection usable. */
const READ_BYTES_MIN = 4 * 1024;
/** An answer's body is read in at most so many pieces: one that comes byte by byte costs the parser an object for each. */
const READ_PIECES_MAX = 1_024;
/** Interim answers (1xx) allowed before the real one. */
export const INTERIM_RESPONSES_MAX = 16;
/** Of an answer's headers at most this many are kept, each value up to so many characters. */
const KEPT_HEADERS_MAX = 64;
const KEPT_HEADER_CHARS_MAX = 1_024;
const NO_BODY = new Uint8Array(0);
const NO_HEADERS: Outcome["responseHeaders"] = [];
const BODY_BROKE_OFF = "; its body broke off";
/**
 * A request that is with its receiver goes on against the receiver's clock while we stand still: afterwards it gets so much more, in which an
 * answer that the network has kept is sent again.
 */
const SENT_GIVEN_BACK_MS = 2_000;
/** Having stood for this share of the time-out, we cannot say that the receiver was slow. */
const STALLED_SHARE = 0.25;
/** What a receiver that is well may seem to do while we stand. */
const STALLED_CODES: ReadonlySet<string> = new Set(["ETIMEDOUT", "ETIMEOUT", "ECONNRESET", "PROXY_TIMEOUT"]);
/**
 * A request that is older by the wall when it could at last be written is not sent: receivers refuse signatures of five minutes ago, and what they
 * refuse would not be tried again.
 */
const SIGNED_AGE_MAX_MS = 120_000;
/** What undici is told when we let a socket go; never shown. */
const LET_GO = new Error("answer complete for us");

export interface ReceiverExchangeOptions {
  readonly clock: Clock;
  readonly policy: Policy;
  readonly tls: boolean;
  /** Bytes of the answer to keep; 0 = none. */
  readonly captureBytes: number;
  /** What the request carried that must not be shown where its receiver says it again; asked when it has answered. */
  readonly secrets: () => readonly string[];
  /** How long the process stood still since the beginning, ms. */
  readonly stoodMs: () => number;
  readonly done: (outcome: Outcome) => void;
}

type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/**
 * One request's life, as undici and the timer wheel tell it. Whatever they do, `done` is called exactly once. The status line decides; the
 * rest of the answer is read up to its cap and then the socket is let go.
 */
export class ReceiverExchange implements DispatchHandler, WheelEntry {
  readonly #options: ReceiverExchangeOptions;
  readonly #startedMs: number;
  readonly #startedAtMs: number;
  #controller: DispatchController | undefined;
  #done = false;
  #statusCode: number | undefined;
  #headers: ResponseHeaders = {};
  #kept: Buffer | undefined;
  #keptBytes = 0;
  #bytes = 0;
  #pieces = 0;
  #interim = 0;
  #begun = false;
  /** The deadline was over while the process stood still. */
  #late = false;
  /** It was too old to be sent. */
  #stale = false;
  #before: string | undefined;
  /** The connection that was kept was dead, and another one is made. */
  #reconnected = false;
  /** What making its connection took, where it has a new one. */
  #times: ConnectTimes | undefined;
  /** When the request was handed to its connection. */
  #requestedMs: number | undefined;
  #firstByteMs: number | undefined;

  constructor(options: ReceiverExchangeOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.#startedAtMs = options.clock.trueMs();
  }

  get ended(): boolean {
    return this.#done;
  }

  /** Something must come before the request is made; should the deadline come first, it is what was waited for. */
  waitFor(what: string | undefined): void {
    this.#before = what;
  }

  onConnected(times: ConnectTimes): void {
    this.#times = times;
  }

  onRequestStart(controller: DispatchController): void {
    this.#requestedMs = this.#options.clock.monotonicMs();
    if (!this.#done) this.#refuseStale();
    this.#controller = controller;
    if (this.#done) controller.abort(LET_GO);
  }

  /** Nothing has come back on a kept connection that is gone: the rest of the time is for a new one. */
  onReconnect(): boolean {
    if (this.#done) return false;
    this.#reconnected = true;
    this.#controller = undefined;
    return true;
  }

  /** After a long freeze, or when the machine's clock was put right while the connection came about. */
  #refuseStale(): void {
    const { clock, policy } = this.#options;
    const ageMs = Math.abs(clock.trueMs() - this.#startedAtMs);
    if (ageMs <= Math.max(SIGNED_AGE_MAX_MS, policy.timeoutMs)) return;
    this.#stale = true;
    this.#fail("timeout", "ETIMEDOUT", `not sent: according to the machine's clock, it was signed ${Math.round(ageMs / 1_000)} s ago`);
  }

  /** The first byte of an answer, of an interim one too. */
  onResponseStarted(): void {
    this.#begun = true;
    if (this.#requestedMs !== undefined) this.#firstByteMs ??= this.#options.clock.monotonicMs() - this.#requestedMs;
  }

  onResponseStart(controller: DispatchController, statusCode: number, headers: ResponseHeaders): void {
    if (statusCode >= 100 && statusCode < 200) {
      this.#interim += 1;
      this.#begun = false;
      if (this.#interim > INTERIM_RESPONSES_MAX) {
        this.#fail(
          "connect_error",
          "INTERIM_FLOOD",
          `the receiver sent more than ${INTERIM_RESPONSES_MAX} interim answers (status ${statusCode})`,
        );
      }
      return;
    }
    this.#controller = controller;
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  onResponseData(_controller: DispatchController, chunk: Buffer): void {
    if (this.#done) return;
    this.#keep(chunk);
    this.#bytes += chunk.length;
    this.#pieces += 1;
    if (this.#bytes > Math.max(this.#options.captureBytes, READ_BYTES_MIN) || this.#pieces === READ_PIECES_MAX) this.#answered();
  }

  /** One piece is kept as it is; more are copied together, because an answer of single bytes would else cost an object for each. */
  #keep(chunk: Buffer): void {
    const room = this.#options.captureBytes - this.#keptBytes;
    if (room <= 0) return;
    const piece = chunk.length > room ? chunk.subarray(0, room) : chunk;
    if (this.#kept === undefined) this.#kept = piece;
    else {
      if (this.#kept.length < this.#options.captureBytes) this.#kept = grown(this.#kept, this.#options.captureBytes);
      piece.copy(this.#kept, this.#keptBytes);
    }
    this.#keptBytes += piece.length;
  }

  onResponseEnd(): void {
    // Complete: nothing to abort, so the connection stays open for the next attempt.
    this.#controller = undefined;
    this.#answered();
  }

  onResponseError(_controller: DispatchController, error: Error): void {
    if (this.#done) return;
    if (this.#statusCode !== undefined) this.#answered(BODY_BROKE_OFF);
    else this.#settle(this.#outcomeOf(error));
  }

  /** What needs us to go on (a name, a connection, a token) loses nothing while we stand still. */
  givenBackMs(): number {
    return this.#controller === undefined ? Number.POSITIVE_INFINITY : SENT_GIVEN_BACK_MS;
  }

  /** The deadline. */
  expire({ late }: Pick<WheelSlot, "late">): void {
    this.#late = late;
    if (this.#statusCode !== undefined) {
      this.#answered(`; its body had not ended after ${this.#options.policy.timeoutMs / 1_000} s`);
      return;
    }
    const seconds = `${this.#options.policy.timeoutMs / 1_000} s`;
    if (this.#begun) {
      this.#fail("timeout", "ETIMEDOUT", `the receiver's answer had started, but its head was incomplete after ${seconds}`);
      return;
    }
    const waitedFor = this.#before ?? (this.#controller === undefined ? "no connection" : "no answer");
    this.#fail("timeout", "ETIMEDOUT", `${waitedFor} within ${seconds}`);
  }

  /** Ends it from outside, as at shutdown. */
  cancel(reason: string): void {
    this.#fail("connect_error", "ECANCELED", reason);
  }

  /** The guard refused the URL: nothing was sent; a changed cluster policy may allow it, so it is not permanent. */
  refuseUrl(code: string, message: string): void {
    this.#fail("blocked", code, message);
  }

  /** Ends it before anything was sent, for want of something that the next attempt may have. */
  giveUp(want: { class: OutcomeClass; code: string; message: string; retryAfterMs?: number | undefined }): void {
    this.#settle({ ...this.#blank(want.class, want.message), connectionStatus: want.code, retryAfterMs: want.retryAfterMs });
  }

  /** Ends it before anything was sent; trying again cannot help until the spec changes. */
  refuse(outcomeClass: OutcomeClass, code: string, message: string): void {
    this.#fail(outcomeClass, code, message, true);
  }

  #fail(outcomeClass: OutcomeClass, code: string, message: string, permanent = false): void {
    const connected = this.#controller !== undefined;
    this.#settle({
      ...this.#blank(outcomeClass, message),
      connectionStatus: code,
      tlsStatus: connected && this.#options.tls ? "ok" : "none",
      ...(permanent ? { permanent } : {}),
    });
  }

  #settle(outcome: Outcome): void {
    if (this.#done) return;
    this.#done = true;
    const excused = this.#phased(this.#excused(outcome));
    this.#options.done(this.#reconnected ? reconnected(excused) : excused);
    // Afterwards, so that nothing undici does in `abort` can come between the outcome and its reader.
    if (this.#controller !== undefined && !this.#controller.aborted) this.#controller.abort(LET_GO);
  }

  #phased(outcome: Outcome): Outcome {
    if (this.#requestedMs === undefined) return outcome;
    return { ...outcome, phases: { ...this.#times, firstByteMs: this.#firstByteMs } };
  }

  /** A failure that may be our own standing still is not the receiver's. */
  #excused(outcome: Outcome): Outcome {
    if (outcome.statusCode !== undefined || !STALLED_CODES.has(outcome.connectionStatus)) return outcome;
    if (this.#stale) return { ...outcome, stalled: true };
    const { stoodMs, policy } = this.#options;
    const stood = stoodMs();
    if (!this.#late && stood < policy.timeoutMs * STALLED_SHARE) return outcome;
    return {
      ...outcome,
      stalled: true,
      message: `${outcome.message}; Postrider itself was frozen for ${(stood / 1_000).toFixed(1)} s of it`,
    };
  }

  /** `note` tells of a body that did not end well; the status line has decided all the same. */
  #answered(note = ""): void {
    const statusCode = this.#statusCode;
    if (this.#done || statusCode === undefined) return;
    const { policy, clock } = this.#options;
    const secrets = this.#options.secrets();
    const said = headerText(this.#headers["location"]);
    const location = said === undefined ? undefined : redactValues(said, secrets);
    const outcomeClass = classOf(statusCode, policy);
    this.#settle({
      ...this.#blank(outcomeClass, messageOf(statusCode, outcomeClass, location) + note),
      statusCode,
      tlsStatus: this.#options.tls ? "ok" : "none",
      retryAfterMs: parseRetryAfter(
        this.#headers["retry-after"],
        clock.trueMs(),
        policy.retry.retryAfterMaxMs,
        headerText(this.#headers["date"]),
      ),
      responseHeaders: keptHeaders(this.#headers, secrets),
      responseBody: this.#kept?.subarray(0, this.#keptBytes) ?? NO_BODY,
    });
  }

  #blank(outcomeClass: OutcomeClass, message: string): Outcome {
    return {
      class: outcomeClass,
      statusCode: undefined,
      message,
      connectionStatus: "ok",
      tlsStatus: "none",
      retryAfterMs: undefined,
      durationMs: Math.max(0, Math.round(this.#options.clock.monotonicMs() - this.#startedMs)),
      responseHeaders: NO_HEADERS,
      responseBody: NO_BODY,
    };
  }

  #outcomeOf(error: Error): Outcome {
    if (error instanceof ConnectFailure) {
      return { ...this.#blank(error.outcome, redactText(error.message)), connectionStatus: error.code, tlsStatus: error.tlsStatus };
    }
    const code = errorCode(error) ?? (error.name === "HTTPParserError" ? "HPE_INVALID" : UNKNOWN_CODE);
    if (isTlsCode(code)) return this.#outcomeOf(tlsFailure(code));
    const [connectionStatus, message] = explain(code, error.message);
    return { ...this.#blank("connect_error", message), connectionStatus, tlsStatus: this.#options.tls ? "ok" : "none" };
  }
}

function reconnected(outcome: Outcome): Outcome {
  return { ...outcome, reconnected: true, message: `${outcome.message}${RECONNECTED_NOTE}` };
}

function grown(kept: Buffer, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  kept.copy(buffer);
  return buffer;
}

/** Status line -> class; a redirect is a failure, a status outside 200-599 is not HTTP and a client_error. */
function classOf(statusCode: number, policy: Policy): OutcomeClass {
  if (inRanges(statusCode, policy.successCodes)) return "success";
  return statusCode >= 500 && statusCode <= 599 ? "server_error" : "client_error";
}

function messageOf(statusCode: number, outcomeClass: OutcomeClass, location: string | undefined): string {
  const line = `HTTP ${statusCode}${STATUS_CODES[statusCode] === undefined ? "" : ` ${STATUS_CODES[statusCode]}`}`;
  if (outcomeClass === "success") return line;
  if (statusCode >= 300 && statusCode < 400) {
    return location === undefined
      ? `${line}: redirects are not followed`
      : `${line}: redirect to ${redactText(redactUrl(location))} not followed`;
  }
  if (statusCode >= 200 && statusCode < 300) return `${line} is not among the policy's success codes`;
  return statusCode >= 400 && statusCode < 600 ? line : `the receiver answered with status ${statusCode}, which HTTP does not define`;
}

/** Why undici's parser stopped, in its own fixed words: nothing of the receiver's. */
const PARSER_REASON = /^Response does not match the HTTP\/1\.1 protocol \(([A-Za-z0-9 ,/`'-]{1,80})\)$/;

function explain(code: string, said: string): readonly [connectionStatus: string, message: string] {
  if (code === "UND_ERR_SOCKET" && said === "bad upgrade") {
    return ["UNASKED_UPGRADE", "the receiver switched protocols (status 101) without being asked"];
  }
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "EPIPE") {
    return ["ECONNRESET", "the receiver closed the connection before it answered"];
  }
  if (code === "UND_ERR_HEADERS_OVERFLOW") return [code, "the head of the receiver's answer is too long (over 16 KiB)"];
  if (code === "ANSWER_TOO_LONG")
    return [code, `the head of the receiver's answer is too long (over ${ANSWER_BYTES_MAX} bytes without an end)`];
  if (code.startsWith("HPE_") || code === "ERR_ASSERTION") return [code, `the receiver's answer is not valid HTTP${reasonIn(said)}`];
  if (code.startsWith("UND_ERR_RES")) return [code, "the receiver's answer is not valid HTTP, or contradicts its own length"];
  return [code, `the request failed (${code})`];
}

function reasonIn(said: string): string {
  const reason = PARSER_REASON.exec(said)?.[1];
  return reason === undefined ? "" : `: ${reason}`;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : value?.[0];
}

function keptHeaders(headers: ResponseHeaders, secrets: readonly string[]): Outcome["responseHeaders"] {
  const kept: (readonly [string, string])[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    if (kept.length === KEPT_HEADERS_MAX) break;
    const text = typeof value === "string" ? value : value.join(", ");
    const bounded = text.length > KEPT_HEADER_CHARS_MAX ? text.slice(0, KEPT_HEADER_CHARS_MAX) : text;
    kept.push([name, redactValues(redactHeader(name, bounded), secrets)]);
  }
  return kept;
}
