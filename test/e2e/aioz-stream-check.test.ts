import { afterAll, beforeAll, expect, it } from "vitest";
import { hasAiozSignature } from "../support/systems/aioz-stream-receiver.ts";
import { RunningExample } from "../support/systems/running-example.ts";
import { SystemReceiver } from "../support/systems/system-receiver.ts";

const KEY = "replace-this-key-before-real-use";
let answerWith = 204;
const receiver = new SystemReceiver(() => answerWith);
let example: RunningExample;

beforeAll(async () => {
  example = await RunningExample.start({ name: "aioz-stream", receiver: await receiver.start() });
});
afterAll(async () => {
  await example?.stop();
  receiver.stop();
});

/** `POST /api/webhooks/check/{webhook_id}`: with a sample of events/, which is `{type, data}` as the call takes it. */
async function check(webhook: string): Promise<unknown> {
  const url = `${example.operator.ready.api}/v1/namespaces/aioz-stream/subscriptions/${webhook}/test`;
  return (await fetch(url, { method: "POST", body: example.sample("encoding.finished.event").toString() })).json();
}

it("checks a webhook: a test event is sent now, signed, and the receiver's answer is shown", async () => {
  expect(await check("signed")).toMatchObject({ ok: true, statusCode: 204, eventType: "encoding.finished", connectionStatus: "ok" });
  expect(receiver.received).toHaveLength(1);
  const [sent] = receiver.at("/aioz/signed");
  expect(sent !== undefined && hasAiozSignature(sent, KEY)).toBe(true);
  answerWith = 500;
  expect(await check("token")).toMatchObject({ ok: false, statusCode: 500 });
  // One request a check, whatever the answer: a test is not retried, and it goes to the webhook that was named alone.
  expect(receiver.received.map(({ path }) => path)).toEqual(["/aioz/signed", "/aioz/token"]);
});
