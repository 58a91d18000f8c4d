import { Pot } from "../lib/door/pot.ts";
import type { BusinessEvents } from "../observe/events.ts";
import { TOKEN_WITHIN_BYTES } from "./early-token.ts";
import type { Exchange } from "./exchange.ts";
import { refuse, RETRY_AFTER_SECONDS } from "./refusal.ts";

/** Requests at once whose token has yet to come; with TOKEN_WITHIN_BYTES each, 4 MiB. */
export const STRANGERS_MAX = 256;
/** The token, or the whole body, must be here after this, ms. */
const TOKEN_DEADLINE_MS = 5_000;

/** Requests whose token has yet to come in the body. They have a pot of their own: whatever they do, they hinder only each other, and of those nobody who sends at once. */
export class Strangers {
  readonly #pot: Pot<Exchange>;
  readonly #events: BusinessEvents;

  constructor(max: number, events: BusinessEvents) {
    this.#pot = new Pot(max);
    this.#events = events;
  }

  enter(exchange: Exchange): void {
    for (const given of this.#pot.enter(exchange, exchange.request.socket.remoteAddress ?? "")) {
      this.#events.strangerRefused("room");
      const detail = `${this.#pot.max} requests are waiting for a token in their body, and yours was the oldest from your address: send the body at once, or the token as 'Authorization: Bearer …'.`;
      given.failBody(refuse("overloaded", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS }));
    }
  }

  /** It has shown a token, or is refused, or lost. */
  leave(exchange: Exchange): void {
    this.#pot.leave(exchange);
  }

  /** Refuses it if it is one and late. Called about once a second for each request. */
  sweep(exchange: Exchange, nowMs: number): void {
    if (!this.#pot.has(exchange) || nowMs - exchange.startedMs < TOKEN_DEADLINE_MS || !exchange.isReading) return;
    this.leave(exchange);
    this.#events.strangerRefused("late");
    const detail = `No token arrived in the body within ${TOKEN_DEADLINE_MS / 1_000} s, of which at most ${TOKEN_WITHIN_BYTES} bytes are read: send the token as 'Authorization: Bearer …'.`;
    exchange.failBody(refuse("request_timeout", detail));
  }
}
