import { describe, expect, it } from "vitest";
import type { DeliveryRow, SubscriptionRow } from "../../../src/cli/api/rows.ts";
import { stateWord } from "../../../src/cli/history/kinds.ts";
import { idsOf } from "../../../src/cli/history/resend.ts";
import { deliverySentence } from "../../../src/cli/history/sentences.ts";
import { statusText } from "../../../src/cli/history/status.ts";

const NOW = Date.parse("2026-11-29T03:25:00Z");
const reading = { nowMs: NOW, utc: true, namespace: "shop" };

type Conditions = Readonly<Record<string, readonly [status: string, reason: string, message?: string]>>;

function row(conditions: Conditions, delivery: NonNullable<SubscriptionRow["status"]>["delivery"] = {}): SubscriptionRow {
  const lastTransitionTime = "2026-11-29T02:13:00Z";
  return {
    name: "crm",
    namespace: "shop",
    uid: "u",
    generation: 1,
    status: {
      conditions: Object.entries(conditions).map(([type, [status, reason, message = "it is so"]]) => ({
        type,
        status,
        reason,
        message,
        lastTransitionTime,
      })),
      delivery,
    },
  };
}

const FAILING = {
  pending: 1_032,
  failed: 214,
  delivered: 9,
  nextAttemptTime: "2026-11-29T03:25:18Z",
  lastSuccessTime: "2026-11-29T02:12:00Z",
  lastAttempt: { statusCode: 503 },
};

describe("postrider status", () => {
  it.each<[string, Conditions, SubscriptionRow["status"], string, string[]]>([
    [
      "rejected",
      { Accepted: ["False", "InvalidFilter", "no"] },
      {},
      "InvalidFilter",
      ["its spec is rejected (InvalidFilter) since 2026-11-29 02:13:00Z (1 h 12 min). no", "postrider plan -f FILE"],
    ],
    [
      "a missing Secret",
      { ResolvedRefs: ["False", "SecretNotFound"], Ready: ["False", "SecretNotFound"] },
      {},
      "SecretNotFound",
      ["nothing is sent, because a reference does not resolve (SecretNotFound)"],
    ],
    [
      "suspended by itself",
      { Suspended: ["True", "AutoSuspended"] },
      {},
      "AutoSuspended",
      ["suspended (AutoSuspended)", "postrider test -n shop crm", "Then: postrider resume -n shop crm"],
    ],
    ["suspended by its spec", { Suspended: ["True", "BySpec"] }, {}, "Suspended", ["Set spec.suspend to false in the manifest of crm"]],
    [
      "an open circuit",
      { EndpointHealthy: ["False", "CircuitOpen", "503 from crm.example.com"] },
      { delivery: FAILING },
      "CircuitOpen",
      [
        "crm: failing (CircuitOpen) since 2026-11-29 02:13:00Z (1 h 12 min). 503 from crm.example.com. Next attempt in 18 s.",
        "1032 waiting; 9 delivered, 214 failed for good. The last success was at 2026-11-29 02:12:00Z; the last answer was HTTP 503.",
        "postrider attempts -n shop -s crm",
      ],
    ],
    [
      "some failures",
      { EndpointHealthy: ["True", "Delivering"] },
      { delivery: { consecutiveFailures: 2, lastFailureTime: "2026-11-29T03:24:00Z" } },
      "Failing",
      ["crm: failing: 2 attempts have failed in a row, the last one at 2026-11-29 03:24:00Z (1 min ago)"],
    ],
    ["all well", { EndpointHealthy: ["True", "Delivering"] }, {}, "Delivering", ["crm: delivering since"]],
    ["idle", { EndpointHealthy: ["Unknown", "Idle"] }, {}, "Idle", ["ready; nothing has been sent lately."]],
  ])("of %s", (_, conditions, status, word, texts) => {
    const one = row(conditions, status?.delivery);
    expect(stateWord(one).word).toBe(word);
    for (const text of texts) expect(statusText(one, reading).text).toContain(text);
  });

  it("of a row without a status, as an older or starting operator may have it", () => {
    const bare: SubscriptionRow = { name: "crm", namespace: "shop", uid: "u", generation: 1 };
    expect(stateWord(bare).word).toBe("Idle");
    expect(statusText(bare, reading).text).toContain("No event was accepted for it yet.");
  });
});

const DELIVERY: DeliveryRow = {
  id: "d",
  eventID: "e",
  eventType: "t",
  subscription: "crm",
  state: "Ready",
  reason: null,
  attempts: 0,
  acceptedTime: null,
  nextAttemptTime: null,
  endedTime: null,
};

it.each<[Partial<DeliveryRow>, string]>([
  [{}, "waits for crm, not tried yet: it is its turn soon"],
  [{ nextAttemptTime: "2026-11-29T03:25:18Z", attempts: 1 }, "waits for crm, 1 attempt: next attempt in 18 s, at 2026-11-29 03:25:18Z"],
  [
    { waitingFor: { reason: "CircuitOpen", untilTime: "2026-11-29T03:24:00Z" } },
    "the circuit of crm is open, because its receiver fails; next attempt now",
  ],
  [{ waitingFor: { reason: "FromTheFuture", untilTime: null } }, "waits for crm, not tried yet: FromTheFuture"],
  [{ state: "Claimed", attempts: 2 }, "in flight to crm now, attempt 3"],
  [
    { state: "Failed", attempts: 3, reason: "AttemptsExhausted", subscription: null },
    "failed for a deleted subscription after 3 attempts (AttemptsExhausted)",
  ],
  [
    { state: "Discarded", deadLetter: true, endedTime: "2026-11-29T03:24:00Z" },
    "discarded for the dead-letter endpoint of crm at 2026-11-29 03:24:00Z after 0 attempts",
  ],
])("%j is said as: %s", (given, text) => {
  expect(deliverySentence({ ...DELIVERY, ...given }, reading)).toContain(text);
});

describe("ids of resend", () => {
  it.each([
    [
      ["a", "a", "delivery/b"],
      ["a", "b"],
    ],
    [
      ['{"deliveryID":"a","id":"x"}', '{"id":"b"}'],
      ["a", "b"],
    ],
    [
      ["attempt/a/2", " b\r", ""],
      ["a", "b"],
    ],
  ])("%j are %j", (given, ids) => {
    expect(idsOf(given)).toEqual(ids);
  });

  it.each(["a b", "{}", "{broken", "../x", "a".repeat(65)])("%s is none", (text) => {
    expect(() => idsOf(["a", text])).toThrow(/number 2\) is not the id of a delivery: nothing was resent/);
  });
});
