import { expect, it } from "vitest";
import { answerLines } from "../../../src/cli/publish-answer.ts";

const ID = "019b76da-a800-7000-8a3f-0c9d5e1b2f44";
const answer = (more: object): string =>
  JSON.stringify({ id: ID, matched: 2, duplicate: false, value: null, status: "processing", ...more });
const entry = { subscription: "billing", outcome: "Delivered", reason: null, statusCode: 200, attempts: 1, answer: null };

it.each<[string, object, boolean, string, boolean]>([
  ["not waited for", {}, false, `${ID} stored: 2 subscriptions get it\n`, false],
  [
    "refused by a filter that fails",
    { matched: 0, filterErrors: [{ subscription: "crm", message: "no such overload: \u001b[31m" }] },
    false,
    `${ID} stored: no subscription gets it\n  crm: does not get it, because its filter failed: no such overload: `,
    false,
  ],
  [
    "kept from one by its filter",
    { status: "ok", value: [entry], filterErrors: [{ subscription: "crm", message: "no such overload" }] },
    true,
    "2 subscriptions get it\n  crm: does not get it, because its filter failed: no such overload\n  billing: delivered",
    false,
  ],
  ["still under way", {}, true, `${ID} stored: 2 subscriptions get it\n  still in progress: follow it in the log or the API\n`, false],
  ["delivered", { status: "ok", value: [entry] }, true, `  billing: delivered, HTTP 200 after 1 attempt\n`, false],
  [
    "failed",
    {
      status: "failed",
      value: [{ ...entry, outcome: "Failed", statusCode: 500, attempts: 3, reason: "AttemptsExhausted", message: "HTTP 500" }],
    },
    true,
    "  billing: failed, HTTP 500 after 3 attempts (AttemptsExhausted: HTTP 500)\n",
    true,
  ],
  [
    "not connected",
    { status: "failed", value: [{ ...entry, outcome: "Failed", statusCode: null, reason: "X" }] },
    true,
    "billing: failed after 1 attempt (X)",
    true,
  ],
])("an event that is %s", (_what, more, waited, text, failed) => {
  const lines = answerLines(answer(more), waited);
  expect(`${lines.text.text}\n`).toContain(text);
  expect(lines.failed).toBe(failed);
});
