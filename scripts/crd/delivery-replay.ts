import type { Definition } from "./definition.ts";
import { choice, fields, flag, instant, rule, text, whole } from "./schema.ts";
import type { Rule, Schema } from "../../src/api/schema.ts";
import { conditions, counter, objectName, observedGeneration, rateLimit, status } from "./shared-fields.ts";

/** A rule for a field that may not change; for an optional one, not appear or vanish either. */
function unchangeable(field: string, optional: boolean): Rule {
  const both = optional
    ? `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`
    : `self.${field} == oldSelf.${field}`;
  return rule(both, `${field} cannot be changed: only suspend can, so create a new DeliveryReplay`, `.${field}`);
}

function spec(): Schema {
  return fields(
    "What is sent again. Only suspend can be changed later.",
    {
      subscriptionRef: fields(
        "The subscription whose deliveries are sent again.",
        { name: objectName("Name of the WebhookSubscription, in this namespace.") },
        { required: ["name"], atomic: true },
      ),
      from: choice("DeadLetter: what is in the dead-letter store. Failed: every delivery that failed. All: delivered ones too.", [
        "DeadLetter",
        "Failed",
        "All",
      ]),
      window: fields(
        "Only events accepted in this time.",
        { start: instant("Start of the window, inclusive."), end: instant("End of the window, exclusive.") },
        {
          rules: [rule("!has(self.start) || !has(self.end) || self.start < self.end", "start must be before end")],
          atomic: true,
        },
      ),
      filter: text("A CEL expression over the event that must be true, as in a subscription.", { max: 2_048 }),
      maxEvents: whole("Most events to send again.", 1, 10_000_000, "int64"),
      rateLimit: rateLimit("Most requests in a period, in addition to the subscription's own limit."),
      ttlSecondsAfterFinished: whole(
        "How long the finished DeliveryReplay is kept, in seconds. Default: until it is deleted.",
        0,
        2_592_000,
      ),
      suspend: flag("While true nothing is sent.", false),
    },
    {
      required: ["subscriptionRef", "from"],
      rules: [
        unchangeable("subscriptionRef", false),
        unchangeable("from", false),
        ...["window", "filter", "maxEvents", "rateLimit", "ttlSecondsAfterFinished"].map((field) => unchangeable(field, true)),
      ],
    },
  );
}

function statusFields(): Schema {
  return status("Progress of the replay; written by the controller.", {
    observedGeneration: observedGeneration(),
    conditions: conditions("Accepted, Stalled, Complete, Failed"),
    startTime: instant("When it started."),
    completionTime: instant("When it ended."),
    matched: counter("Deliveries that are to be sent again."),
    replayed: counter("Deliveries put in the queue so far."),
    delivered: counter("Of these, delivered."),
    failed: counter("Of these, failed."),
    skipped: counter("Deliveries that could not be sent again, because their body is gone."),
    lastEventTime: instant("Acceptance time of the last processed event; everything before it is done."),
  });
}

/** DeliveryReplay: a job that sends recorded deliveries again. */
export const deliveryReplay: Definition = {
  plural: "deliveryreplays",
  singular: "deliveryreplay",
  kind: "DeliveryReplay",
  shortNames: ["dreplay"],
  scope: "Namespaced",
  description:
    "A DeliveryReplay sends recorded deliveries of one subscription again, once. Deleting it stops it. This version does not obey it, which its " +
    "condition Accepted says, and its fields may change until a version does.",
  spec: spec(),
  status: statusFields(),
  selectable: [".spec.subscriptionRef.name"],
  warning:
    "DeliveryReplay has no effect in this version of Postrider, and its fields may change: to send a delivery again, use the API: POST /v1/namespaces/NAMESPACE/deliveries/ID/resend",
  columns: [
    { name: "Subscription", type: "string", jsonPath: ".spec.subscriptionRef.name" },
    { name: "From", type: "string", jsonPath: ".spec.from" },
    { name: "Complete", type: "string", jsonPath: '.status.conditions[?(@.type=="Complete")].status' },
    { name: "Matched", type: "integer", jsonPath: ".status.matched" },
    { name: "Replayed", type: "integer", jsonPath: ".status.replayed" },
    { name: "Failed", type: "integer", jsonPath: ".status.failed" },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
    { name: "Reason", type: "string", priority: 1, jsonPath: '.status.conditions[?(@.type=="Accepted")].reason' },
    { name: "Message", type: "string", priority: 1, jsonPath: '.status.conditions[?(@.type=="Accepted")].message' },
  ],
};
