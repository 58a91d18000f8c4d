import type { AttemptRecord } from "./store.ts";

/** The message of the attempt row written for a delivery that was in flight when the process ended. */
export const INTERRUPTED_MESSAGE = "the process ended during this attempt; whether the receiver got it is unknown";

/** An attempt without what its delivery knows. */
export type OwnerlessAttempt = Omit<AttemptRecord, "deliveryId" | "eventId" | "subscription" | "namespace" | "eventType">;

/** What is logged of an attempt that was under way when the process ended. */
export function interruptedAttempt(attempt: number, startedAtMs: number): OwnerlessAttempt {
  return {
    attempt,
    startedAtMs,
    durationMs: 0,
    outcome: "unknown",
    statusCode: undefined,
    connectionStatus: "unknown",
    tlsStatus: "none",
    message: INTERRUPTED_MESSAGE,
    url: "",
    recordId: undefined,
    requestHeaders: [],
    requestBody: undefined,
    responseHeaders: [],
    responseBody: undefined,
  };
}
