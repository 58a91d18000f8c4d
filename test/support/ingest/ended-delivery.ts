import type { Completion } from "../../../src/store/store.ts";
import type { RunningIngest } from "./running-ingest.ts";

/** Ends the deliveries of an event, or the one at `index`, as the engine would: durable first, then told. */
export async function endDeliveries(
  running: Pick<RunningIngest, "store" | "tellEnded">,
  id: string,
  { state = "delivered", index }: { readonly state?: "delivered" | "failed"; readonly index?: number | undefined } = {},
): Promise<void> {
  const records = await running.store.deliveriesOf(id);
  for (const record of index === undefined ? records : [records[index]!]) {
    await running.store.claim([{ id: record.id, epoch: 1, lone: false, withEvent: false }]);
    await running.store.complete([ended(record.id, state)]);
    running.tellEnded(id);
  }
}

/** A delivery's end as the engine stores it; the receiver said HELLO WORLD. */
export function ended(id: number, state: "delivered" | "failed", nowMs = Date.now()): Completion {
  const answer = { responseHeaders: [["content-type", "text/plain"]] as const, responseBody: Buffer.from("HELLO WORLD") };
  const attempt = {
    deliveryId: id,
    eventId: "",
    subscription: "",
    namespace: "",
    eventType: "",
    attempt: 1,
    startedAtMs: nowMs,
    durationMs: 5,
    outcome: state === "delivered" ? ("success" as const) : ("server_error" as const),
    statusCode: state === "delivered" ? 200 : 500,
    connectionStatus: "ok",
    tlsStatus: "none",
    message: "",
    url: "",
    recordId: undefined,
    requestHeaders: [],
    requestBody: undefined,
    ...answer,
  };
  const next = state === "delivered" ? ({ state, reason: "Delivered" } as const) : ({ state, reason: "AttemptsExhausted" } as const);
  return { id, epoch: 1, attempt, next, nowMs, historyRetentionMs: 3_600_000 };
}
