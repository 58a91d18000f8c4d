import { describe, expect, it } from "vitest";
import { endedAnswer, type ResultOrder } from "../../../src/ingest/result-answer.ts";
import { NO_WISH } from "../../../src/ingest/result-wish.ts";
import type { ResultDelivery, StoredResult } from "../../../src/store/store.ts";

const ID = "01900000-0000-7000-8000-000000000000";
const lastAttempt = { statusCode: 200, responseHeaders: [], responseBody: Buffer.from("é") };
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

function orderOf(overrides: { redirects?: boolean; duplicate?: boolean; form?: ResultOrder["form"] } = {}): ResultOrder {
  const { redirects = false, duplicate = false, form = "poll" } = overrides;
  const receipts = [{ id: ID, matched: 1, duplicate }];
  return { namespace: "shop", form, receipts, wish: { ...NO_WISH, redirects }, queryToken: undefined, mayRedirect: true };
}

const answered = (order: ResultOrder, result = RESULT, name = "a") => endedAnswer(order, [result], { nameOf: () => name, nowMs: 0 });
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
