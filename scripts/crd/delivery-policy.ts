import type { Definition } from "./definition.ts";
import { choice, fields, isLength, length, list, rule, whole } from "./schema.ts";
import type { Schema } from "../../src/api/schema.ts";
import { conditions, observedGeneration, rateLimit, status, statusCode } from "./shared-fields.ts";

const AGE_MAX = "720h";
/** Most of a receiver's answer that can be kept. */
const RESPONSE_BYTES_MAX = 65_536;
export const IN_FLIGHT_MAX = 1_024;
export const ATTEMPTS_MAX = 100;

function retry(): Schema {
  return fields(
    "When a failed attempt is retried.",
    {
      maxAttempts: whole("Most attempts of one delivery. Default: 10.", 1, ATTEMPTS_MAX),
      maxAge: maxAge("Longest time a delivery is tried for, counted from acceptance, waiting included. Default: 96h."),
      schedule: list(
        "The delay before each attempt, starting with the first; after the last entry, that entry repeats. " +
          "Default: 0s, 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h (Standard Webhooks). Excludes backoff.",
        length("Delay before one attempt.", "0s", AGE_MAX),
        { min: 1, max: 32, type: "atomic" },
      ),
      backoff: fields(
        "Delays that grow by rule. The first attempt is made at once. Excludes schedule.",
        {
          policy: choice("How the delay grows. Default: Exponential (doubling).", ["Exponential", "Linear", "Constant"]),
          initialDelay: length("Delay before the second attempt. Default: 2s.", "100ms", "24h"),
          maxDelay: length("Longest delay. Default: 1h.", "100ms", "24h"),
        },
        {
          rules: [
            rule(
              // A field that is no duration has a message of its own.
              `(has(self.initialDelay) && !${isLength("self.initialDelay")}) || (has(self.maxDelay) && !${isLength("self.maxDelay")}) || ` +
                "duration(has(self.initialDelay) ? self.initialDelay : '2s') <= duration(has(self.maxDelay) ? self.maxDelay : '1h')",
              "initialDelay (2s if unset) must not be longer than maxDelay (1h if unset)",
            ),
          ],
        },
      ),
      jitterPercent: whole("Each delay is lengthened by a random share of up to this, never before the first attempt. Default: 10.", 0, 50),
      statusCodes: list(
        'HTTP statuses that are retried, as "404", "5xx" or "300-499". Default: 404, 408, 409, 425, 429, 5xx. ' +
          "Network, DNS and TLS errors are always retried.",
        statusCode("A status, a class or a range.", "345"),
        { max: 32, type: "set" },
      ),
      retryAfterMax: length("Longest Retry-After that is obeyed; 0s ignores the header. Default: 1h.", "0s", "24h"),
    },
    { rules: [rule("!(has(self.schedule) && has(self.backoff))", "set schedule or backoff, not both")] },
  );
}

/** `maxAge`, also a ceiling. */
export function maxAge(description: string): Schema {
  return length(description, "1s", AGE_MAX);
}

/** `timeout`, also a ceiling. */
export function timeout(description: string): Schema {
  return length(description, "100ms", "5m");
}

/** How long things are kept: a policy's own, and its ceilings. */
export function retention(description: string, defaults: { history: string; bodies: string; bytes: string }): Schema {
  return fields(description, {
    history: length(`How long deliveries and attempts stay visible after they ended.${defaults.history}`, "1m", AGE_MAX),
    bodies: length(`How long bodies of events, requests and answers are kept.${defaults.bodies}`, "1m", AGE_MAX),
    responseBytes: whole(`How much of an answer's body is kept, in bytes.${defaults.bytes}`, 0, RESPONSE_BYTES_MAX),
  });
}

function success(): Schema {
  const crossing = rule(
    "self.size() != 7 || self.substring(0, 3) >= '400' || self.substring(4, 7) < '300'",
    "a redirect (3xx) is never a success and never followed: end the range below 300 or start it at 400",
  );
  return fields("What counts as delivered.", {
    statusCodes: list(
      'HTTP statuses that are a success, as "204", "2xx" or "200-204". Default: 2xx.',
      statusCode("A status, a class or a range.", "245", [crossing]),
      {
        min: 1,
        max: 32,
        type: "set",
      },
    ),
  });
}

/** The fields that DeliveryPolicy and ClusterDeliveryPolicy share. No schema defaults: what is left out is decided by the code. */
export function policyFields(): Record<string, Schema> {
  return {
    timeout: timeout("Total time of one attempt, from connecting to the end of the answer. Default: 15s."),
    connectTimeout: timeout("Time for DNS, TCP and TLS, within timeout. Default: 5s."),
    retry: retry(),
    success: success(),
    rateLimit: rateLimit("Most requests to the receiver in a period. Default: no limit."),
    maxInFlight: whole(
      "Most requests to the receiver at the same time. Lowered so that timeout x maxInFlight is at most 1920 s, unless a ClusterDeliveryPolicy sets limits.maxInFlight. Default: 8.",
      1,
      IN_FLIGHT_MAX,
    ),
    circuitBreaker: fields("When deliveries to a receiver that keeps failing are paused.", {
      consecutiveFailures: whole("Failed attempts in a row that open the circuit. Default: 20.", 1, 1_000),
      openFor: length("How long nothing is sent while the circuit is open. Default: 30s.", "1s", "1h"),
      halfOpenProbes: whole("Attempts that must succeed before traffic returns. Default: 1.", 1, 10),
    }),
    autoSuspendAfter: length(
      "Continuous failure after which the subscription is suspended until it is resumed. Default: 120h.",
      "1m",
      AGE_MAX,
    ),
    retention: retention("How long the record is kept.", { history: " Default: 72h.", bodies: " Default: 72h.", bytes: " Default: 4096." }),
  };
}

/** What the status of both policy kinds holds: they are judged, nothing more. */
export function policyStatus(types: string): Record<string, Schema> {
  return { observedGeneration: observedGeneration(), conditions: conditions(types) };
}

export const acceptedColumn: Definition["columns"][number] = {
  name: "Accepted",
  type: "string",
  jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
  description: "Whether the policy can be obeyed.",
};

/** Columns of both policy kinds, after what they say of themselves. */
export const policyColumns: Definition["columns"] = [
  { name: "Timeout", type: "string", jsonPath: ".spec.timeout" },
  { name: "Attempts", type: "integer", jsonPath: ".spec.retry.maxAttempts" },
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  { name: "Max-In-Flight", type: "integer", priority: 1, jsonPath: ".spec.maxInFlight" },
  { name: "Reason", type: "string", priority: 1, jsonPath: '.status.conditions[?(@.type=="Accepted")].reason' },
  { name: "Message", type: "string", priority: 1, jsonPath: '.status.conditions[?(@.type=="Accepted")].message' },
];

/** DeliveryPolicy: how a namespace's deliveries are made. */
export const deliveryPolicy: Definition = {
  plural: "deliverypolicies",
  singular: "deliverypolicy",
  kind: "DeliveryPolicy",
  shortNames: ["dpol"],
  scope: "Namespaced",
  description:
    "A DeliveryPolicy says how deliveries are tried, limited and recorded, for the subscriptions that name it, or with the label " +
    'postrider.dev/default: "true" for all of its namespace that name none.',
  spec: fields("The rules. Fields that are left out have their built-in values.", policyFields()),
  status: status("What Postrider found; written by the controller.", policyStatus("Accepted, Ready, Stalled")),
  columns: [acceptedColumn, ...policyColumns],
};
