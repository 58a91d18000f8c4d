/**
 * What one attempt came to. Expected results are values: a receiver's 500 or a dead name is an outcome, never an exception.
 * The metric `delivery_attempts_total{outcome}` uses exactly these words.
 */
export type OutcomeClass =
  | "success"
  | "client_error"
  | "server_error"
  | "timeout"
  | "connect_error"
  | "dns_error"
  | "tls_error"
  | "blocked";

/** How the API and `status` spell an outcome: Kubernetes' enums are CamelCase. `unknown` is an attempt that a crash cut off. */
export const OUTCOME_NAMES = {
  success: "Success",
  client_error: "ClientError",
  server_error: "ServerError",
  timeout: "Timeout",
  connect_error: "ConnectError",
  dns_error: "DNSError",
  tls_error: "TLSError",
  blocked: "Blocked",
  unknown: "Unknown",
} as const satisfies Record<OutcomeClass | "unknown", string>;

/** How the message of an outcome that is `reconnected` ends: the log of attempts keeps the message, and knows it by this. */
export const RECONNECTED_NOTE = " (on a new connection: the receiver had closed the one that was kept)";

/** How long the parts of making a connection took, ms; a part that was not needed is undefined. */
export interface ConnectTimes {
  readonly dnsMs: number | undefined;
  /** TCP, and the tunnel of an egress proxy. */
  readonly connectMs: number | undefined;
  readonly tlsMs: number | undefined;
}

/** How long the parts of an attempt took, ms; a kept connection needs no new one. */
export interface AttemptPhases extends Partial<ConnectTimes> {
  /** From when the request was handed to its connection until the answer began. */
  readonly firstByteMs: number | undefined;
}

/** The result of one HTTP attempt, as seen by the state machine and the attempt log. */
export interface Outcome {
  readonly class: OutcomeClass;
  /** HTTP status of the answer; undefined when there was none. */
  readonly statusCode: number | undefined;
  /** What happened, for a person: `connection refused`, `certificate has expired`, `redirect to … not followed`. Redacted. */
  readonly message: string;
  /** `ok` or a stable error code: ECONNREFUSED, ENOTFOUND, ETIMEDOUT, EGRESS_DENIED, … */
  readonly connectionStatus: string;
  /** `ok`, `none` (plain HTTP or never reached) or OpenSSL's verify code name, e.g. CERT_HAS_EXPIRED (10). */
  readonly tlsStatus: string;
  /** Parsed Retry-After in ms from now, when the answer had a valid one. */
  readonly retryAfterMs: number | undefined;
  readonly durationMs: number;
  /** Absent where no request went out. */
  readonly phases?: AttemptPhases;
  readonly responseHeaders: readonly (readonly [string, string])[];
  /** At most the captured bytes. */
  readonly responseBody: Uint8Array;
  /** True when no request was made and trying again cannot help until the spec changes (a body expression failed). */
  readonly permanent?: boolean;
  /**
   * True when there was no answer, but this process itself stood still meanwhile (frozen, out of CPU), or its clock was stepped before it could send:
   * it says nothing of the receiver, so it counts neither for the circuit breaker nor for health nor for the cap of what is in flight.
   */
  readonly stalled?: boolean;
  /**
   * True when the request went out twice: a kept connection was closed before a byte of an answer came, which says nothing of the receiver, so it was
   * sent at once on a new one. It is one attempt all the same, and what came of the second is what counts.
   */
  readonly reconnected?: boolean;
  /** True when the receiver refused a token (401) that the next attempt replaces: so it is tried again, whatever the policy lists. */
  readonly tokenDropped?: boolean;
}
