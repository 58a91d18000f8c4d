import { expect, it } from "vitest";
import { readEventQuery } from "../../../src/admin/event-query.ts";
import { PAGE_ROWS_DEFAULT, readHistoryQuery, readLogQuery } from "../../../src/admin/history-query.ts";
import { testDeliveryNames as names } from "../../support/delivery/test-delivery-names.ts";

const NOW_MS = Date.UTC(2026, 0, 3);
const HOUR_MS = 3_600_000;

const CONTEXT = { beforeIdOf: (cursor: string) => names.beforeIdOf("shop", cursor), nowMs: NOW_MS };
const read = (query: string): unknown => readHistoryQuery(new URLSearchParams(query), CONTEXT);

it.each([
  ["", { limit: PAGE_ROWS_DEFAULT }],
  ["limit=500", { limit: 500 }],
  ["subscription=orders&type=order.paid&recordID=7", { limit: 50, subscriptionName: "orders", type: "order.paid", recordId: "7" }],
  ["state=failed", { limit: 50, state: ["failed"] }],
  ["state=Pending", { limit: 50, state: ["pending"] }],
  ["state=Failed,discarded, READY", { limit: 50, state: ["failed", "discarded", "ready"] }],
  ["statusCode=503", { limit: 50, statusCode: { from: 503, to: 503 } }],
  ["statusCode=5xx", { limit: 50, statusCode: { from: 500, to: 599 } }],
  ["eventID=e-1", { limit: 50, eventId: "e-1" }],
  ["since=2h&until=30m", { limit: 50, sinceMs: NOW_MS - 2 * HOUR_MS, untilMs: NOW_MS - HOUR_MS / 2 }],
  ["since=2026-01-02T04:04:05+01:00", { limit: 50, sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5) }],
  ["since=2028-02-29T00:00Z", { limit: 50, sinceMs: Date.UTC(2028, 1, 29) }],
  [
    "since=2026-01-02T03:04:05Z&until=2026-01-02T04:04:05%2B01:00",
    { limit: 50, sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5), untilMs: Date.UTC(2026, 0, 2, 3, 4, 5) },
  ],
  [`cursor=${names.cursorOf("shop", 42)}`, { limit: 50, beforeId: 42 }],
])("reads %j", (query, expected) => {
  expect(read(query)).toEqual({ ok: true, query: expected });
});

it.each([
  ["stat=failed", /stat is not a parameter/],
  ["state=done", /state must be/],
  ["state=Failed,", /state must be/],
  ["statusCode=5x", /statusCode must be/],
  ["statusCode=0xx", /statusCode must be/],
  ["since=2d", /must be a time .*how long ago/],
  ["eventId=e-1", /its name is eventID/],
  ["limit=0", /1 to 500/],
  ["limit=501", /1 to 500/],
  ["limit=1e2", /1 to 500/],
  ["type=", /1 to 256 characters/],
  [`recordID=${"x".repeat(257)}`, /1 to 256 characters/],
  ["type=a&type=b", /appears twice/],
  ["since=2026-01-02", /must be a time/],
  ["until=2026-13-45T00:00:00Z", /must be a time/],
  ["since=2026-02-30T00:00:00Z", /must be a time/],
  ["since=2026-02-28 00:00:00Z", /must be a time/],
  ["since=2026-02-28T25:00:00Z", /must be a time/],
  ["cursor=42", /cursor is not/],
  ["cursor=ZHh4", /cursor is not/],
  // What an older version gave, another namespace's, and the id of a delivery.
  ["cursor=ZDQy", /cursor is not/],
  [`cursor=${names.cursorOf("depot", 42)}`, /cursor is not/],
  [`cursor=${names.nameOf("shop", 42)}`, /cursor is not/],
])("refuses %j", (query, detail) => {
  expect(read(query)).toMatchObject({ ok: false, problem: { code: "parameter_invalid", detail: expect.stringMatching(detail) } });
});

it.each([
  ["", { limit: PAGE_ROWS_DEFAULT }],
  ["matched=false&type=order.paid&limit=7", { limit: 7, matched: false, type: "order.paid" }],
  ["matched=true&sourceID=4711", { limit: 50, matched: true, sourceId: "4711" }],
  [`since=2h&cursor=${names.cursorOf("shop", 42)}`, { limit: 50, sinceMs: NOW_MS - 2 * HOUR_MS, before: 42 }],
])("reads %j of a list of events", (query, expected) => {
  expect(readEventQuery(new URLSearchParams(query), CONTEXT)).toEqual({ ok: true, query: expected });
});

it.each([
  ["matched=0", /matched must be true or false/],
  ["state=Failed", /state is not a parameter of this call; supported are type, sourceID, matched/],
  ["sourceId=1", /its name is sourceID/],
  ["matched=true&matched=true", /appears twice/],
  ["limit=501", /1 to 500/],
  ["since=yesterday", /must be a time/],
  [`cursor=${names.cursorOf("depot", 42)}`, /cursor is not/],
])("refuses %j of a list of events", (query, detail) => {
  const read = readEventQuery(new URLSearchParams(query), CONTEXT);
  expect(read).toMatchObject({ ok: false, problem: { code: "parameter_invalid", detail: expect.stringMatching(detail) } });
});

it("the log may be asked for without bodies, and the schedule, which has none, may not", () => {
  const log = (query: string): unknown => readLogQuery(new URLSearchParams(query), CONTEXT);
  expect(log("type=a")).toEqual({ ok: true, query: { limit: 50, type: "a" }, withBodies: true });
  expect(log("bodies=none")).toEqual({ ok: true, query: { limit: 50 }, withBodies: false });
  expect(log("bodies=some")).toMatchObject({ ok: false, problem: { detail: "bodies must be all or none." } });
  expect(read("bodies=none")).toMatchObject({ ok: false });
});
