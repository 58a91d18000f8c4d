import type { Outcome } from "../../core/outcome.ts";
import { BUILT_IN_POLICY } from "../../core/policy.ts";
import type { EgressPolicy } from "../../core/policy.ts";
import type { Target } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import { errorCode, UNKNOWN_CODE } from "../../lib/error-code.ts";
import type { TimerWheel } from "../../lib/timer-wheel.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { EGRESS_DENIED, refusalOf } from "../connect/egress-guard.ts";
import { ReceiverExchange } from "./receiver-exchange.ts";
import { sentSecrets } from "./sent-secrets.ts";

/** Side requests are few: one connection to each destination is enough. */
const CONNECTIONS = 1;

/** A request that carries no event: to a token endpoint, or to ask a receiver for permission. */
export interface SideRequest {
  /** Names the pool of connections. Two that differ in tenant or destination must not share one. */
  readonly pool: string;
  readonly method: "POST" | "OPTIONS";
  readonly url: string;
  /** No part of the URL but its host may be shown. */
  readonly urlIsSecret?: true | undefined;
  /** Flat: name, value, name, value. */
  readonly headers: string[];
  readonly body: Uint8Array;
  readonly egress: EgressPolicy;
  /** How the destination is reached, as of the endpoint it belongs to. */
  readonly via?: Pick<Target, "dial" | "tls" | "proxy"> | undefined;
  readonly connectLimitMs: number;
  /** One deadline for everything. */
  readonly timeoutMs: number;
  /** Of the answer's body at most this much is kept. */
  readonly answerBytesMax: number;
}

export interface SideRequestsParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly dispatcher: Dispatcher;
}

/** Sends what is not a delivery through the same guard, pools and bounds as deliveries. Redirects are not followed. */
export class SideRequests {
  readonly #parts: SideRequestsParts;
  readonly #underWay = new Set<ReceiverExchange>();

  constructor(parts: SideRequestsParts) {
    this.#parts = parts;
  }

  /** What came of it; `success` is any 2xx. Never rejects; settles by `timeoutMs` (+ a timer tick). */
  send(request: SideRequest): Promise<Outcome> {
    return new Promise((resolve) => this.#start(request, resolve));
  }

  /** Cuts off what is under way. */
  cancel(reason: string): void {
    for (const exchange of this.#underWay) exchange.cancel(reason);
  }

  #start(request: SideRequest, resolve: (outcome: Outcome) => void): void {
    const { clock, wheel } = this.#parts;
    const exchange: ReceiverExchange = new ReceiverExchange({
      clock,
      policy: { ...BUILT_IN_POLICY, timeoutMs: request.timeoutMs },
      tls: /^https:/i.test(request.url),
      captureBytes: request.answerBytesMax,
      secrets: () => sentSecrets(request.url, request.urlIsSecret === true, valuesOf(request.headers, "authorization")),
      stoodMs: () => wheel.stoodSince(slot),
      done: (outcome) => {
        wheel.cancel(slot);
        this.#underWay.delete(exchange);
        resolve(outcome);
      },
    });
    const slot = wheel.add(request.timeoutMs, exchange);
    this.#underWay.add(exchange);
    const refused = refusalOf({ url: request.url, dial: request.via?.dial }, request.egress);
    if (refused === undefined) this.#dispatch(request, exchange);
    else exchange.refuseUrl(EGRESS_DENIED, `not sent: ${refused}`);
  }

  #dispatch({ pool, method, url, headers, body, egress, via, ...limits }: SideRequest, exchange: ReceiverExchange): void {
    const { origin, pathname, search } = new URL(url);
    const target = { origin, egress, connections: CONNECTIONS, connectLimitMs: Math.min(limits.connectLimitMs, limits.timeoutMs), ...via };
    try {
      this.#parts.dispatcher.send(pool, target, { method, path: `${pathname}${search}`, headers, body }, exchange);
    } catch (error) {
      const code = errorCode(error) ?? UNKNOWN_CODE;
      exchange.refuse("client_error", code, `the request could not be built (${code})`);
    }
  }
}

/** Of flat headers. */
function valuesOf(headers: readonly string[], name: string): string[] {
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1] === name);
}
