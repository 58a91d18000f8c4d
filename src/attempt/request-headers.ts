import type { Event } from "../core/event.ts";
import type { Payload } from "../core/payload.ts";
import type { SignedHeader } from "../core/signing/scheme.ts";
import { passedOn } from "../core/trace-context.ts";
import type { Target } from "../core/subscription.ts";
import { REDACTED } from "../observe/redact.ts";

type HeaderList = readonly (readonly [string, string])[];

export interface AttemptHeaders {
  /** Flat, as the dispatcher takes them. */
  readonly sent: string[];
  /** Redacted, for history. */
  readonly shown: (readonly [string, string])[];
}

/** The headers of one subscription's requests: what is always the same is put together, and redacted, once. */
export class RequestHeaders {
  readonly #sent: readonly string[];
  readonly #shown: HeaderList;
  readonly #shownProof: ReadonlySet<string>;

  /** `shownProof`: which of the signature's headers history shows (`Scheme.shownHeaders`). */
  constructor(userAgent: string, target: Target, shownProof: ReadonlySet<string>) {
    this.#shownProof = shownProof;
    const own = target.authorization === undefined ? target.headers : [...target.headers, ["authorization", target.authorization] as const];
    this.#sent = ["user-agent", userAgent, ...own.flat()];
    // Whatever they are called: their values may come from Secrets.
    this.#shown = [["user-agent", userAgent], ...own.map(([name]) => [name, REDACTED] as const)];
  }

  /** `webhook-id` is the event's id under every scheme; `signature` is what its scheme made (`Scheme.sign`). */
  forAttempt(event: Event, payload: Payload, signature: readonly SignedHeader[]): AttemptHeaders {
    const sent = this.#sent.slice();
    const shown = this.#shown.slice();
    if (payload.contentType !== undefined) push(sent, shown, ["content-type", payload.contentType]);
    for (const header of payload.headers) push(sent, shown, header);
    push(sent, shown, ["webhook-id", event.id]);
    for (const [name, value] of signature) {
      sent.push(name, value);
      shown.push([name, this.#shownProof.has(name) ? value : REDACTED]);
    }
    const received = event.extensions["traceparent"];
    const traceparent = typeof received === "string" ? passedOn(received) : undefined;
    if (traceparent !== undefined) push(sent, shown, ["traceparent", traceparent]);
    return { sent, shown };
  }

  /** Of a request that cannot be made. */
  bare(event: Event): AttemptHeaders {
    return { sent: [], shown: [...this.#shown, ["webhook-id", event.id]] };
  }
}

function push(sent: string[], shown: (readonly [string, string])[], header: readonly [string, string]): void {
  sent.push(header[0], header[1]);
  shown.push(header);
}
