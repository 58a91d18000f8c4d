import { describe, expect, it } from "vitest";
import { NO_WISH, readWish, WAIT_MAX_MS } from "../../../src/ingest/results/result-wish.ts";

describe("what a caller wants to hear of the result", () => {
  it.each([
    ["", undefined, NO_WISH],
    ["other=1", undefined, NO_WISH],
    ["wait=10s", undefined, { ...NO_WISH, waitMs: 10_000 }],
    ["wait=10", undefined, { ...NO_WISH, waitMs: 10_000 }],
    ["wait=0", undefined, { ...NO_WISH, waitMs: 0 }],
    ["wait=1s500ms", undefined, { ...NO_WISH, waitMs: 1_500 }],
    ["wait=99h", undefined, { ...NO_WISH, waitMs: WAIT_MAX_MS }],
    ["", "wait=7", { ...NO_WISH, waitMs: 7_000, preferred: true }],
    ["", 'respond-async, WAIT="7"', { ...NO_WISH, waitMs: 7_000, preferred: true }],
    ["", "wait=99999", { ...NO_WISH, waitMs: WAIT_MAX_MS, preferred: true }],
    ["", "wait=soon", NO_WISH],
    ["", "await=7", NO_WISH],
    ["wait=1s", "wait=7", { ...NO_WISH, waitMs: 1_000 }],
    ["pollingRedirectEnabled=true", undefined, { ...NO_WISH, redirects: true }],
    ["pollingRedirectEnabled=false", undefined, NO_WISH],
    ["pollingRedirectEnabled=true&hop=3&wait=2s", undefined, { waitMs: 2_000, preferred: false, redirects: true, hop: 3 }],
  ])("%j with Prefer %j", (query, prefer, expected) => {
    expect(readWish(query, prefer)).toEqual({ ok: true, value: expected });
  });

  it.each(["wait=", "wait=-1", "wait=1d", "wait=10s5", "wait=1s&wait=2s", "wait=100000", "pollingRedirectEnabled=yes", "hop=-1", "hop=x"])(
    "refuses %j",
    (query) => {
      const wish = readWish(query, undefined);
      expect(wish).toMatchObject({ ok: false, refusal: { status: 400, code: "parameter_invalid" } });
    },
  );
});
