import { afterAll, beforeAll, expect, it } from "vitest";
import { withOneByteChanged } from "../support/systems/altered-bytes.ts";
import { callPipeforce, okAnswer, processingAnswer } from "../support/systems/pipeforce-caller.ts";
import { RunningExample } from "../support/systems/running-example.ts";
import { SystemReceiver } from "../support/systems/system-receiver.ts";

const TOKEN = "replace-this-token-before-real-use";
const JSON_BODY = '{"text":"hello world"}';
/** The token in each of the places that the document names, and the work's input that is left when it is taken out. */
const PLACEMENTS = [
  ["token-in-header.http", JSON_BODY],
  ["token-in-body.http", JSON_BODY],
  ["token-in-form.http", "text=hello%20world"],
  ["token-in-query.http", JSON_BODY],
] as const;

const pipeline = new SystemReceiver(() => 200);
let example: RunningExample;

const call = (request: string) => callPipeforce(example.operator.ready.ingest, request);
const sample = (file: string): string => example.sample(file).toString("utf8");

beforeAll(async () => {
  const auth = ["--ingest-auth", "static", "--api-auth", "none", "--ingest-token-in-query"];
  example = await RunningExample.start({ name: "pipeforce", receiver: await pipeline.start(), auth });
});
afterAll(async () => {
  await example?.stop();
  pipeline.stop();
});

it.each(PLACEMENTS)(
  "%s is answered at once with the document's result JSON, and starts the work without the token",
  async (file, input) => {
    const before = pipeline.received.length;
    const { status, body, correlationHeader } = await call(sample(file));
    expect(status).toBe(200);
    const { correlationId } = JSON.parse(body.toString()) as { correlationId: string };
    expect(correlationHeader).toBe(correlationId);
    const expected = processingAnswer(correlationId);
    const shown = body.subarray(0, expected.length);
    expect(shown.toString()).toBe(expected.toString());
    for (const at of [0, 16, expected.length - 1]) expect(shown.equals(withOneByteChanged(expected, at))).toBe(false);
    await pipeline.until(() => pipeline.received.length > before);
    const work = pipeline.received.at(-1);
    expect(work?.headers["webhook-id"]).toBe(correlationId);
    expect(work?.body.toString()).toBe(input);
    expect(JSON.stringify([work?.path, work?.headers])).not.toContain(TOKEN);
  },
);

/** What the pipeline said, as the only entry of a value: in its own words, beside headers of no importance here. */
const VALUE =
  /\[\{"subscription":"pipeline","outcome":"Delivered","reason":null,"message":null,"statusCode":200,"attempts":1,"answer":\{.*?\}\}\]/;

function expectOk(body: Buffer, correlationId: string, pollingRedirectEnabled = false): void {
  const value = VALUE.exec(body.toString())?.[0] ?? "no value";
  const expected = okAnswer(correlationId, value, pollingRedirectEnabled);
  const shown = body.subarray(0, expected.length);
  expect(shown.toString()).toBe(expected.toString());
  for (const at of [0, 16, expected.length - 1]) expect(shown.equals(withOneByteChanged(expected, at))).toBe(false);
}

it("value-at-once.http is answered ok with the value, when the work ended within the request", async () => {
  const { status, body, correlationHeader } = await call(sample("value-at-once.http"));
  expect(status).toBe(200);
  expectOk(body, correlationHeader ?? "");
});

it("poll-the-result.http waits for what became of the request before", async () => {
  const { correlationHeader } = await call(sample("token-in-header.http"));
  const polled = await callPipeforce(example.operator.ready.ingest, sample("poll-the-result.http"), correlationHeader ?? "");
  expect(polled.status).toBe(200);
  expectOk(polled.body, correlationHeader ?? "");
  const wrong = sample("poll-the-result.http").replace(TOKEN, `${TOKEN}x`);
  expect((await callPipeforce(example.operator.ready.ingest, wrong, correlationHeader ?? "")).status).toBe(401);
});

it("redirect-to-the-result.http leads to the result, at most ten times", async () => {
  let answer = await call(sample("redirect-to-the-result.http"));
  const correlationId = answer.correlationHeader ?? "";
  for (let hops = 0; answer.status === 303; hops++) {
    expect(hops).toBeLessThanOrEqual(10);
    expect(answer.location).toBe(`/v1/namespaces/pipeforce/results/${correlationId}?pollingRedirectEnabled=true&hop=${hops + 1}`);
    answer = await call(`GET ${answer.location} HTTP/1.1\nAuthorization: Bearer ${TOKEN}\n`);
  }
  expect(answer.status).toBe(200);
  expectOk(answer.body, correlationId, true);
});

it.each(PLACEMENTS)("%s with another token is refused, and starts nothing", async (file) => {
  const before = pipeline.received.length;
  expect((await call(sample(file).replace(TOKEN, `${TOKEN}x`))).status).toBe(401);
  expect((await call(sample(file).replace(TOKEN, ""))).status).toBeGreaterThanOrEqual(400);
  // One that is let in comes after them: had they been, theirs would have come before.
  const { correlationHeader } = await call(sample("token-in-header.http"));
  await pipeline.until(() => pipeline.received.some(({ headers }) => headers["webhook-id"] === correlationHeader));
  expect(pipeline.received).toHaveLength(before + 1);
});
