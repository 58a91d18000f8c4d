import { afterAll, beforeAll, expect, it } from "vitest";
import { withOneByteChanged } from "../support/systems/altered-bytes.ts";
import { callPipeforce, processingAnswer } from "../support/systems/pipeforce-caller.ts";
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
  const auth = ["--ingest-auth", "static", "--api-auth", "none", "--ingest-token-in-query", "true"];
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

it.each(PLACEMENTS)("%s with another token is refused, and starts nothing", async (file) => {
  const before = pipeline.received.length;
  expect((await call(sample(file).replace(TOKEN, `${TOKEN}x`))).status).toBe(401);
  expect((await call(sample(file).replace(TOKEN, ""))).status).toBeGreaterThanOrEqual(400);
  // One that is let in comes after them: had they been, theirs would have come before.
  const { correlationHeader } = await call(sample("token-in-header.http"));
  await pipeline.until(() => pipeline.received.some(({ headers }) => headers["webhook-id"] === correlationHeader));
  expect(pipeline.received).toHaveLength(before + 1);
});
