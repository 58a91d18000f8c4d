import { endpoint } from "./endpoint-fields.ts";
import type { Definition } from "./definition.ts";
import { choice, fields, flag, instant, list, openChoice, rule, text, whole } from "./schema.ts";
import type { Schema } from "../../src/api/schema.ts";
import { conditions, counter, observedGeneration, objectName, OPT_IN, secretKeyRef, status } from "./shared-fields.ts";

/** Longest CEL expression, as everywhere in the API. */
const EXPRESSION_CHARS_MAX = 2_048;

function events(): Schema {
  const type = text("An event type, or a prefix that ends in *.", {
    max: 253,
    rules: [
      rule(
        String.raw`self.matches(r'^[^*\s]+[*]?$') || self == '*'`,
        "must be an exact event type such as order.paid, or a prefix that ends in its only *, such as order.*; no spaces",
      ),
    ],
  });
  return fields(
    "Which events are delivered.",
    {
      types: list(
        'Event types: exact ("order.paid"), or a prefix ("order.*", "*"). An event that matches several is delivered once.',
        type,
        {
          min: 1,
          max: 64,
          type: "set",
        },
      ),
      filter: text("A CEL expression that must be true, for example event.data.size > 1000. An absent field makes it false.", {
        max: EXPRESSION_CHARS_MAX,
      }),
    },
    { required: ["types"] },
  );
}

function payload(): Schema {
  return fields(
    "What the body of a delivery looks like.",
    {
      format: choice(
        "StandardWebhooks: {type, timestamp, data}. CloudEventsStructured and CloudEventsBinary: as in the CloudEvents HTTP binding. " +
          "Form: one form parameter that holds the JSON. Raw: the event's data as received.",
        ["StandardWebhooks", "CloudEventsStructured", "CloudEventsBinary", "Form", "Raw"],
        { default: "StandardWebhooks" },
      ),
      formParameter: text("Name of the form parameter, with format Form. Default: payload.", { max: 64, pattern: "^[-._~A-Za-z0-9]+$" }),
      body: text(
        "A CEL expression that produces the JSON body instead, for example {'version': '1.0', 'event': event.type, 'data': event.data}. " +
          "Values that are passed on unchanged keep their bytes.",
        { max: EXPRESSION_CHARS_MAX },
      ),
    },
    {
      rules: [
        rule("!has(self.formParameter) || self.format == 'Form'", "formParameter needs format: Form", ".formParameter"),
        rule(
          "!has(self.body) || self.format in ['StandardWebhooks', 'Raw', 'Form']",
          "body replaces the JSON body of StandardWebhooks, Raw and Form: remove it, or use one of these formats",
          ".body",
        ),
      ],
    },
  );
}

const ALGORITHMS = ["SHA256", "SHA512", "SHA1"];
const HEADER_NAME = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";

function hmac(): Schema {
  return fields(
    "How an HMAC signature is made and written, with scheme HMAC: GitHub, Shopify, Slack, Stripe and similar styles.",
    {
      algorithm: choice("Hash of the HMAC. SHA1 is for receivers that support nothing better.", ALGORITHMS, { default: "SHA256" }),
      encoding: choice("How the signature's bytes are written.", ["Hex", "Base64"], { default: "Hex" }),
      header: text("Header that carries the value.", { max: 128, pattern: HEADER_NAME }),
      prefix: text("What {prefix} stands for, for example sha256=.", { min: 0, max: 64, pattern: "^[ -~]*$", default: "" }),
      timestampHeader: text("Header that carries the Unix time in seconds, if any.", { max: 128, pattern: HEADER_NAME }),
      signedContent: text("What is signed: a text with {body}, {timestamp} and {id}, for example {timestamp}.{body}.", {
        max: 256,
        default: "{body}",
        rules: [
          rule("self.contains('{body}')", "must contain {body}: a signature that does not cover the body proves nothing"),
          rule(String.raw`self.matches(r'^([^{}]|\{body\}|\{timestamp\}|\{id\})*$')`, "may contain only {body}, {timestamp} and {id}"),
        ],
      }),
      value: text("Value of the header: a text with {prefix}, {signature} and {timestamp}, for example t={timestamp},v1={signature}.", {
        max: 256,
        pattern: "^[ -~]+$",
        default: "{prefix}{signature}",
        rules: [
          rule("self.contains('{signature}')", "must contain {signature}"),
          rule(
            String.raw`self.matches(r'^([^{}]|\{prefix\}|\{signature\}|\{timestamp\})*$')`,
            "may contain only {prefix}, {signature} and {timestamp}",
          ),
        ],
      }),
    },
    { required: ["header"] },
  );
}

function token(): Schema {
  return fields(
    "How a timestamp token is made, with scheme TimestampToken: <unix seconds><separator><hmac of the seconds>, fresh for every attempt.",
    {
      field: text("Name of the body's top-level field, or of the header.", { max: 64, pattern: "^[-_A-Za-z0-9]+$", default: "token" }),
      placement: choice("Where the token goes.", ["Body", "Header"], { default: "Body" }),
      separator: text("Separator between the time and the HMAC.", { max: 8, pattern: "^[!-~]+$", default: "|" }),
      algorithm: choice("Hash of the HMAC.", ALGORITHMS, { default: "SHA256" }),
      encoding: choice("How the HMAC's bytes are written.", ["Hex", "Base64"], { default: "Hex" }),
    },
  );
}

function signing(): Schema {
  const scheme = (name: string): string => `(has(self.scheme) && self.scheme == '${name}')`;
  return fields(
    "How deliveries are signed. Without it: Standard Webhooks with a generated key.",
    {
      scheme: choice("The signature scheme. Default: StandardWebhooks.", [
        "StandardWebhooks",
        "StandardWebhooksEd25519",
        "HMAC",
        "TimestampToken",
        "HTTPMessageSignatures",
        "None",
      ]),
      secretRefs: list(
        "Keys, all of which sign, in this order: list the old and the new one while receivers switch. " +
          "Absent: a Secret <subscription>-signing is generated, or one with the label postrider.dev/signing-for that is there already is used.",
        secretKeyRef(`A key of a Secret that holds a signing key. ${OPT_IN}`),
        { min: 1, max: 3, type: "atomic" },
      ),
      secretDeletionPolicy: choice(
        "What happens to the generated Secret after the subscription was deleted. Retain: it stays, and a subscription of this name that is " +
          "created later signs with the same key. Delete: it is deleted once the deliveries have ended. Secrets in secretRefs are never deleted. " +
          "Default: Retain.",
        ["Retain", "Delete"],
      ),
      hmac: hmac(),
      token: token(),
    },
    {
      rules: [
        rule(
          `${scheme("HMAC")} == has(self.hmac)`,
          "scheme HMAC and the field hmac belong together: set both (hmac with at least a header) or neither",
          ".hmac",
        ),
        rule(`!has(self.token) || ${scheme("TimestampToken")}`, "token needs scheme: TimestampToken", ".token"),
        rule(
          `!has(self.secretRefs) || !${scheme("None")}`,
          "scheme None signs nothing: remove secretRefs, or choose a scheme",
          ".secretRefs",
        ),
      ],
    },
  );
}

function ordering(): Schema {
  return fields(
    "Whether deliveries keep the order of events.",
    {
      mode: choice("PerKey: in order for each key, while other keys continue. None: no order.", ["None", "PerKey"], { default: "None" }),
      key: text("What is the key: subject, or a path into the event such as data.id. Default: subject.", {
        max: 256,
        pattern: "^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$",
      }),
    },
    { rules: [rule("!has(self.key) || self.mode == 'PerKey'", "key needs mode: PerKey", ".key")] },
  );
}

function history(): Schema {
  return fields("What the history keeps of each attempt.", {
    captureResponse: flag("Whether headers and body of the receiver's answer are kept (up to the policy's retention.responseBytes).", true),
    answerInResults: flag(
      "Whether results on the ingest port show the receiver's answer to everyone who may publish in the namespace; otherwise only to ServiceAccounts that may get attempts.history.postrider.dev.",
      false,
    ),
    recordIDField: text("Path of the event field by which people look up records, for example data.id.", {
      max: 256,
      pattern: "^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$",
    }),
  });
}

function spec(): Schema {
  return fields(
    "What is delivered, where to, and how.",
    {
      className: text(
        "The Postrider installation that serves this subscription. Changed, the one before delivers what it has accepted; the signing key stays.",
        {
          max: 63,
          pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
          default: "postrider",
        },
      ),
      suspend: flag("While true nothing is sent: deliveries wait until their maxAge.", false),
      events: events(),
      endpoint: endpoint("The receiver."),
      payload: payload(),
      signing: signing(),
      ordering: ordering(),
      policyRef: fields(
        "The DeliveryPolicy of this namespace to obey. Default: the namespace's default policy, else the cluster's, else the built-in one.",
        { name: objectName("Name of the DeliveryPolicy.") },
        { required: ["name"], atomic: true },
      ),
      deadLetter: fields(
        "Where deliveries go after they have failed for good. Default: they stay in the store, from where they can be replayed.",
        { endpoint: endpoint("The receiver of dead letters.") },
        { required: ["endpoint"] },
      ),
      verification: choice(
        "CloudEventsHandshake: nothing is sent until the receiver has allowed it in answer to an OPTIONS request.",
        ["None", "CloudEventsHandshake"],
        { default: "None" },
      ),
      history: history(),
      deletionPolicy: choice(
        "Drain: pending deliveries are still tried for up to 5 minutes after the subscription is deleted. Discard: they end at once.",
        ["Drain", "Discard"],
        { default: "Drain" },
      ),
    },
    { required: ["events", "endpoint"] },
  );
}

const FAILURES = ["ClientError", "ServerError", "Timeout", "ConnectError", "DNSError", "TLSError", "Blocked"];
const OUTCOMES = ["Success", ...FAILURES];
const STATUS_CODE_MAX = 999;
const DURATION_MS_MAX = 3_600_000;

function attemptFields(): Record<string, Schema> {
  return {
    time: instant("When it was made."),
    eventID: text("Id of the event.", { min: 0, max: 128 }),
    eventType: text("Type of the event.", { min: 0, max: 253 }),
    attempt: whole("Number of the attempt, from 1.", 0, 1_000_000),
    statusCode: whole("HTTP status; absent when there was no answer.", 0, STATUS_CODE_MAX),
    durationMs: whole("How long it took, in milliseconds.", 0, DURATION_MS_MAX),
  };
}

function delivery(): Schema {
  return fields("Counters since `since`, and the latest attempt. The full record is in the history API.", {
    since: instant("When counting began."),
    accepted: counter("Deliveries accepted for this subscription."),
    delivered: counter("Deliveries that succeeded."),
    retried: counter("Failed attempts after which the delivery waits for a retry."),
    failed: counter("Deliveries that failed for good."),
    deadLettered: counter("Deliveries in the dead-letter store."),
    pending: counter("Deliveries that have not ended."),
    oldestPendingTime: instant("When the oldest pending delivery was accepted."),
    consecutiveFailures: counter("Failed attempts since the last success."),
    nextAttemptTime: instant("When the next attempt is due."),
    lastSuccessTime: instant("When an attempt last succeeded."),
    lastFailureTime: instant("When an attempt last failed."),
    lastAttempt: fields("The latest attempt.", { ...attemptFields(), outcome: openChoice("How it ended.", OUTCOMES) }),
  });
}

/** What deliveries obey, with every default and ceiling applied. */
function effectiveValues(): Schema {
  const duration = (description: string): Schema => text(description, { max: 32 });
  return fields("What applies to each delivery, after built-in values and ceilings.", {
    timeout: duration("Total time of one attempt."),
    connectTimeout: duration("Time for DNS, TCP and TLS."),
    maxAttempts: counter("Most attempts of one delivery."),
    maxAge: duration("Longest time a delivery is tried for."),
    maxInFlight: counter("Most requests to the receiver at the same time."),
    rateLimit: fields("Most requests to the receiver in a period; absent without a limit.", {
      requests: counter("How many requests are allowed in each period."),
      per: duration("The period."),
      burst: counter("How many requests may go out at once after a quiet time."),
    }),
    retention: fields("How long the record is kept.", {
      history: duration("How long deliveries and attempts stay visible after they ended."),
      bodies: duration("How long bodies of events, requests and answers are kept."),
      responseBytes: counter("How much of an answer's body is kept, in bytes."),
    }),
  });
}

function signingKey(): Schema {
  return fields("A key that signs.", {
    secretName: text("Secret that holds it.", { min: 0, max: 253 }),
    fingerprint: text(
      "First 16 hex digits of the SHA-256 of the Secret's value, or of the public key whpk_... where the key is Ed25519. Only for generated " +
        "and Ed25519 keys: a short key that someone chose could be guessed from it.",
      { min: 0, max: 64 },
    ),
    publicKey: text("The public key of an Ed25519 key, whpk_<base64>: receivers verify with it, and it is not secret.", {
      min: 0,
      max: 128,
    }),
  });
}

function statusFields(): Schema {
  const failure = fields("A failed attempt.", {
    ...attemptFields(),
    reason: openChoice("How it failed.", FAILURES),
    message: text("What went wrong.", { min: 0, max: 256 }),
  });
  return status("What Postrider found and did; written by the controller.", {
    observedGeneration: observedGeneration(),
    conditions: conditions("Ready, Accepted, ResolvedRefs, Programmed, EndpointHealthy, Suspended, Reconciling, Stalled"),
    endpointHost: text("Host that deliveries go to; never the whole URL, which may hold a secret.", { min: 0, max: 253 }),
    signingSecretName: text("Secret that holds the generated signing key.", { min: 0, max: 253 }),
    signingKeys: list("The keys that sign, first the one that is listed first. Never their values.", signingKey(), {
      max: 3,
      type: "atomic",
    }),
    lastHandledResume: text("Value of the annotation postrider.dev/resume that was last obeyed.", { min: 0, max: 256 }),
    effectivePolicy: fields("The policy that is obeyed.", {
      kind: openChoice("Kind of the winning policy.", ["DeliveryPolicy", "ClusterDeliveryPolicy", "BuiltIn"]),
      name: text("Name of the winning policy; empty for the built-in one.", { min: 0, max: 253 }),
      generation: counter("Its generation."),
      clamped: list(
        "Fields lowered by the cluster policy's limits, or by the built-in ceiling of timeout x maxInFlight.",
        text("Path of a field.", { max: 64 }),
        {
          max: 16,
          type: "set",
        },
      ),
      cluster: fields("The ClusterDeliveryPolicy whose limits and egress rules hold.", {
        name: text("Its name.", { min: 0, max: 253 }),
        generation: counter("Its generation."),
      }),
      values: effectiveValues(),
    }),
    delivery: delivery(),
    recentFailures: list("The latest failed attempts, newest first.", failure, { max: 10, type: "atomic" }),
    recentFilterErrors: fields("Events for which the filter failed, which counts as no match; absent while there is none.", {
      count: counter("How many since `since`."),
      since: instant("When counting began: at the first one after a start of Postrider or an edit of the filter."),
      lastTime: instant("When the newest was."),
      message: text("What went wrong with the newest.", { min: 0, max: 256 }),
    }),
    keysWithoutValue: list(
      "Paths of the spec for which no event had a value so far, mostly because they are misspelt.",
      fields("A path.", {
        field: openChoice("Where it is written.", ["ordering.key", "history.recordIDField"]),
        path: text("The path as written.", { min: 0, max: 256 }),
        events: counter("Events since `since`, all without a value there."),
        since: instant("When counting began: at a start of Postrider or an edit of the path."),
      }),
      { max: 2, type: "atomic" },
    ),
  });
}

const ready = (field: string): string => `.status.conditions[?(@.type=="Ready")].${field}`;

/** WebhookSubscription: the resource that product teams write. */
export const webhookSubscription: Definition = {
  plural: "webhooksubscriptions",
  singular: "webhooksubscription",
  kind: "WebhookSubscription",
  shortNames: ["whsub"],
  scope: "Namespaced",
  description: "A WebhookSubscription delivers the events of its namespace that match to one receiver, as signed HTTP requests.",
  spec: spec(),
  status: statusFields(),
  selectable: [".spec.className", ".spec.suspend", ".spec.policyRef.name"],
  columns: [
    { name: "Ready", type: "string", jsonPath: ready("status"), description: "Whether the subscription is in the routing table." },
    {
      name: "Healthy",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="EndpointHealthy")].status',
      description: "Whether the receiver accepts deliveries.",
    },
    {
      name: "Suspended",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Suspended")].status',
      description: "Whether nothing is sent, by spec.suspend or because the receiver failed for too long.",
    },
    { name: "Endpoint", type: "string", jsonPath: ".status.endpointHost", description: "Host of the receiver." },
    { name: "Pending", type: "integer", jsonPath: ".status.delivery.pending", description: "Deliveries that have not ended." },
    {
      name: "Last-Status",
      type: "integer",
      jsonPath: ".status.delivery.lastAttempt.statusCode",
      description: "HTTP status of the latest attempt.",
    },
    { name: "Last-Success", type: "date", jsonPath: ".status.delivery.lastSuccessTime", description: "When an attempt last succeeded." },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
    { name: "Policy", type: "string", priority: 1, jsonPath: ".status.effectivePolicy.name", description: "The policy that is obeyed." },
    {
      name: "Cluster-Policy",
      type: "string",
      priority: 1,
      jsonPath: ".status.effectivePolicy.cluster.name",
      description: "The ClusterDeliveryPolicy whose limits and egress rules apply.",
    },
    {
      name: "Health",
      type: "string",
      priority: 1,
      jsonPath: '.status.conditions[?(@.type=="EndpointHealthy")].reason',
      description: "Why Healthy is as it is.",
    },
    { name: "Failed", type: "integer", priority: 1, jsonPath: ".status.delivery.failed", description: "Deliveries that failed for good." },
    { name: "Reason", type: "string", priority: 1, jsonPath: ready("reason") },
    { name: "Message", type: "string", priority: 1, jsonPath: ready("message") },
  ],
};
