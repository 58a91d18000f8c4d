/** What the API answers, as far as commands read it (docs/api.md). An operator of another version may leave fields out or have more of them. */

export interface Waiting {
  readonly reason: string;
  readonly untilTime: string | null;
}

export interface LastAttempt {
  readonly attempt: number;
  readonly time: string | null;
  readonly durationMs: number;
  readonly outcome: string;
  readonly statusCode: number | null;
  readonly message: string;
}

/** A row of the schedule. */
export interface DeliveryRow {
  readonly id: string;
  readonly eventID: string;
  readonly eventType: string;
  readonly subscription: string | null;
  readonly deadLetter?: boolean;
  readonly state: string;
  readonly reason: string | null;
  readonly attempts: number;
  readonly acceptedTime: string | null;
  readonly firstAttemptTime?: string | null;
  readonly nextAttemptTime: string | null;
  readonly waitingFor?: Waiting | null;
  readonly endedTime: string | null;
  readonly recordID?: string | null;
  readonly url?: string | null;
  readonly lastAttempt?: LastAttempt | null;
}

/** Bytes of an event, a request or an answer. */
export type Body = { readonly text: string } | { readonly base64: string };

interface Message {
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: Body | null;
}

/** A row of the log. */
export interface AttemptRow {
  readonly deliveryID: string;
  readonly eventID: string;
  readonly eventType: string;
  readonly subscription: string | null;
  readonly attempt: number;
  readonly time: string | null;
  readonly durationMs: number;
  readonly recordID?: string | null;
  readonly outcome: string;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly statusCode: number | null;
  readonly message: string;
  readonly url: string;
  readonly request?: Message;
  readonly response?: Message;
}

/** What both a row of the list of events and an event as it was accepted have. */
interface EventFacts {
  readonly id: string;
  readonly sourceID: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string | null;
  readonly time: string | null;
  readonly dataContentType: string | null;
  readonly receivedTime: string | null;
  readonly extensions: Readonly<Record<string, string>>;
  readonly dataKept: boolean;
}

/** A row of the list of events. */
export interface EventRow extends EventFacts {
  /** With how many deliveries it was accepted. */
  readonly matched: number;
  readonly dataBytes: number;
}

/** An event as it was accepted. */
export interface EventDetail extends EventFacts {
  readonly data: Body | null;
}

export interface ConditionRow {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime?: string;
}

export interface SubscriptionRow {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly generation: number;
  readonly spec?: {
    readonly className?: string;
    readonly suspend?: boolean;
    readonly events?: { readonly types?: readonly string[] };
    readonly endpoint?: { readonly url?: string };
    readonly history?: { readonly recordIDField?: string };
  };
  readonly status?: {
    readonly conditions?: readonly ConditionRow[];
    readonly endpointHost?: string;
    readonly effectivePolicy?: {
      readonly kind?: string;
      readonly name?: string;
      readonly clamped?: readonly string[];
      readonly cluster?: { readonly name: string };
      readonly values?: { readonly retention?: { readonly history?: string } };
    };
    readonly delivery?: DeliveryCounts;
    readonly recentFilterErrors?: { readonly count: number; readonly message: string };
    readonly keysWithoutValue?: readonly { readonly field: string; readonly path: string; readonly events: number }[];
  };
}

export interface DeliveryCounts {
  readonly since?: string;
  readonly accepted?: number;
  readonly delivered?: number;
  readonly failed?: number;
  readonly pending?: number;
  readonly oldestPendingTime?: string;
  readonly consecutiveFailures?: number;
  readonly nextAttemptTime?: string;
  readonly lastSuccessTime?: string;
  readonly lastFailureTime?: string;
  readonly lastAttempt?: { readonly statusCode?: number; readonly outcome?: string };
}
