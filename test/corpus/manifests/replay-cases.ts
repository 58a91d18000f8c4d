import { casesOf } from "./manifest-case.ts";
import type { BadManifest, GoodManifest, Spec } from "./manifest-case.ts";

const { bad, good } = casesOf("DeliveryReplay", true);

const START = "2026-01-10T08:00:00Z";
const END = "2026-01-10T13:00:00+01:00";
const base = (changes: Spec = {}): Spec => ({ subscriptionRef: { name: "order-events" }, from: "Failed", ...changes });
const changed = (name: string, from: Spec, to: Spec, field: string): BadManifest =>
  bad(name, base(from), { field: `spec.${field}`, message: `${field} cannot be changed: only suspend can`, update: base(to) });

/** DeliveryReplays that must be refused. */
export const badReplays: readonly BadManifest[] = [
  bad("no subscription", { from: "All" }, { field: "spec.subscriptionRef", message: "Required value" }),
  bad("no source", { subscriptionRef: { name: "a" } }, { field: "spec.from", message: "Required value" }),
  bad("unknown source", base({ from: "History" }), { field: "spec.from", message: 'supported values: "DeadLetter", "Failed", "All"' }),
  bad("window upside down", base({ window: { start: END, end: START } }), { field: "spec.window", message: "start must be before end" }),
  bad("window without time", base({ window: { start: "2026-01-10" } }), { field: "spec.window.start", message: "must be of type date-time" }),
  bad("window on a day that never was", base({ window: { end: "2026-02-30T00:00:00Z" } }), { field: "spec.window.end", message: "must be of type date-time" }),
  bad("no events", base({ maxEvents: 0 }), { field: "spec.maxEvents", message: "should be greater than or equal to 1" }),
  bad("kept too long", base({ ttlSecondsAfterFinished: 2_592_001 }), { field: "spec.ttlSecondsAfterFinished", message: "should be less than or equal to 2592000" }),
  bad("filter too long", base({ filter: "a".repeat(2_049) }), { field: "spec.filter", message: "Too long" }),
  changed("subscription changed", {}, { subscriptionRef: { name: "other" } }, "subscriptionRef"),
  changed("source changed", {}, { from: "All" }, "from"),
  changed("filter added", {}, { filter: "true" }, "filter"),
  changed("filter removed", { filter: "true" }, {}, "filter"),
  changed("filter changed", { filter: "true" }, { filter: "false" }, "filter"),
  changed("window changed", { window: { start: START } }, { window: { start: "2026-01-10T09:00:00Z" } }, "window"),
  changed("count changed", { maxEvents: 10 }, { maxEvents: 11 }, "maxEvents"),
  changed("rate removed", { rateLimit: { requests: 1 } }, {}, "rateLimit"),
  changed("ttl added", {}, { ttlSecondsAfterFinished: 0 }, "ttlSecondsAfterFinished"),
];

/** DeliveryReplays that must be accepted. */
export const goodReplays: readonly GoodManifest[] = [
  good("smallest replay", base()),
  good("everything replayed", base({
    from: "DeadLetter",
    window: { start: START, end: END },
    filter: "event.data.size > 1",
    maxEvents: 10_000_000,
    rateLimit: { requests: 1, per: "1m", burst: 1 },
    ttlSecondsAfterFinished: 0,
    suspend: true,
  })),
];
