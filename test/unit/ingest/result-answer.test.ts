import { describe, expect, it } from "vitest";
import { endedAnswer, type ResultOrder } from "../../../src/ingest/results/result-answer.ts";
import { NO_WISH } from "../../../src/ingest/results/result-wish.ts";
import type { ResultDelivery, StoredResult } from "../../../src/store/store.ts";

const ID = "01900000-0000-7000-8000-000000000000";
const lastAttempt = { statusCode: 200, message: "", responseHeaders: [], responseBody: Buffer.from("é") };
const delivery = { subscription: "uid-a", state: "delivered", attempts: 1, lastAttempt, answerLeftOut: false } as unknown as ResultDelivery;
const RESULT: StoredResult = {
  matched: 1,
  owed: 0,
  delivered: 1,
  failed: 0,
  discarded: 0,
  keptUntilMs: Number.MAX_SAFE_INTEGER,
  deliveries: [delivery],
};

function orderOf(
  overrides: { redirects?: boolean; duplicate?: boolean; seesAnswers?: boolean; form?: ResultOrder["form"] } = {},
): ResultOrder {
  const { redirects = false, duplicate = false, seesAnswers = true, form = "poll" } = overrides;
  const receipts = [{ id: ID, matched: 1, duplicate }];
  return { namespace: "shop", form, receipts, wish: { ...NO_WISH, redirects }, queryToken: undefined, mayRedirect: true, seesAnswers };
}

const answered = (order: ResultOrder, result = RESULT, name = "a", shows = false) =>
  endedAnswer(order, [result], { known: { nameOf: () => name, showsAnswers: () => shows }, nowMs: 0 });
const jsonOf = ({ text }: { text: string | Uint8Array }): unknown => JSON.parse(Buffer.from(text).toString());

describe("the answer with a result", () => {
  it("is made once for all who are told the same", () => {
    const first = answered(orderOf());
    expect(answered(orderOf()).text).toBe(first.text);
    expect(first.headers).toContain(String(Buffer.byteLength(Buffer.from(first.text).toString())));
    expect(jsonOf(first)).toMatchObject({ status: "ok", value: [{ subscription: "a", answer: { body: { text: "é" } } }] });
  });

  it("is another one for whoever is told another", () => {
    expect(jsonOf(answered(orderOf({ redirects: true })))).toMatchObject({ pollingRedirectEnabled: true, duplicate: false });
    expect(jsonOf(answered(orderOf({ form: "event", duplicate: true })))).toMatchObject({ pollingRedirectEnabled: false, duplicate: true });
    expect(jsonOf(answered(orderOf(), { ...RESULT }, "b"))).toMatchObject({ value: [{ subscription: "b" }] });
    expect(jsonOf(answered(orderOf({ form: "batch" })))).toMatchObject({ value: null, items: [{ id: ID, status: "ok" }] });
  });
});

describe("why a delivery failed", () => {
  const failed = (reason: string, attempt: object | undefined) =>
    ({ ...delivery, state: "failed", reason, lastAttempt: attempt && { ...lastAttempt, ...attempt } }) as unknown as ResultDelivery;
  const refused = { statusCode: 503, message: "HTTP 503 from 10.0.0.5" };
  const silent = { statusCode: undefined, message: "no connection to 10.0.0.5 within 5 s" };

  it.each([
    ["whoever sees answers", true, failed("AttemptsExhausted", refused), "HTTP 503 from 10.0.0.5"],
    ["everyone", false, failed("AttemptsExhausted", refused), "all attempts of retry.maxAttempts failed; the receiver answered HTTP 503"],
    ["everyone", false, failed("AgeExceeded", silent), "retry.maxAge was over; the last attempt got no answer"],
    ["everyone", false, failed("NotRetryable", { statusCode: 400 }), "the receiver answered HTTP 400, which the policy does not retry"],
    [
      "everyone",
      false,
      failed("PayloadInvalid", { message: "payload.body failed: field not found: time" }),
      "payload.body failed: field not found: time",
    ],
    [
      "everyone",
      true,
      failed("RefsUnresolved", undefined),
      "retry.maxAge was over while something that the subscription names was missing",
    ],
    ["everyone", true, failed("AgeExceeded", undefined), "retry.maxAge was over; no attempt is known"],
  ] as const)("is told to %s as a sentence (%s)", (_who, seesAnswers, one, message) => {
    const [value] = (jsonOf(answered(orderOf({ seesAnswers }), { ...RESULT, deliveries: [one] })) as { value: unknown[] }).value;
    expect(value).toMatchObject({ outcome: "Failed", message });
  });
});

describe("what a receiver said", () => {
  it.each([
    ["sees attempts", true, false, true],
    ["may publish only", false, false, false],
    ["may publish only, and the subscription opts in", false, true, true],
  ])("is told to whoever %s", (_what, seesAnswers, shows, isTold) => {
    for (const form of ["poll", "event", "hook"] as const) {
      const [value] = (jsonOf(answered(orderOf({ seesAnswers, form }), { ...RESULT }, "a", shows)) as { value: unknown[] }).value;
      const told = { answer: { headers: [], body: { text: "é" } } };
      expect(value).toEqual({
        subscription: "a",
        outcome: "Delivered",
        reason: null,
        message: null,
        statusCode: 200,
        attempts: 1,
        ...(isTold ? told : { answer: null, answerHidden: true }),
      });
    }
    const batch = JSON.stringify(jsonOf(answered(orderOf({ seesAnswers, form: "batch" }), { ...RESULT }, "a", shows)));
    expect(batch.includes("é")).toBe(isTold);
  });

  it("is hidden in headers as in bodies, and nothing is said to be hidden where nothing was captured", () => {
    const withHeaders = { ...delivery, lastAttempt: { ...lastAttempt, responseHeaders: [["server", "x1"]], responseBody: undefined } };
    const order = orderOf({ seesAnswers: false });
    const of = (one: unknown): string => JSON.stringify(jsonOf(answered(order, { ...RESULT, deliveries: [one as ResultDelivery] })));
    expect(of(withHeaders)).not.toContain("x1");
    expect(of(withHeaders)).toContain("answerHidden");
    expect(of({ ...delivery, lastAttempt: { ...lastAttempt, responseBody: undefined } })).not.toContain("answerHidden");
    expect(of({ ...delivery, answerLeftOut: true })).not.toContain("answerLeftOut");
  });

  it("goes to one of two who wait for the same result, and not to the other", () => {
    const result = { ...RESULT };
    expect(JSON.stringify(jsonOf(answered(orderOf({ seesAnswers: true }), result)))).toContain("é");
    expect(JSON.stringify(jsonOf(answered(orderOf({ seesAnswers: false }), result)))).not.toContain("é");
  });
});
