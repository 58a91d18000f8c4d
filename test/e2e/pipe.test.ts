import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { subscription } from "../support/manifests.ts";
import { withOneByteChanged } from "../support/systems/altered-bytes.ts";
import { PIPE_EVENTS, pipeFormSample, pipeJsonSample, pipeRawFormSample, readPipeWebhook } from "../support/systems/pipe-receiver.ts";
import { RunningExample } from "../support/systems/running-example.ts";
import { SystemReceiver } from "../support/systems/system-receiver.ts";

const [JSON_PATH, FORM_PATH, STORAGE_PATH] = ["/pipe/json", "/pipe/form", "/pipe/storage"] as const;
const [JSON_TYPE, FORM_TYPE] = ["application/json", "application/x-www-form-urlencoded"] as const;

interface Expected {
  readonly path: string;
  readonly contentType: string;
  readonly body: Buffer;
}

const EXPECTED: readonly Expected[] = [
  ...PIPE_EVENTS.map((event) => ({ path: JSON_PATH, contentType: JSON_TYPE, body: pipeJsonSample(event) })),
  ...PIPE_EVENTS.map((event) => ({ path: FORM_PATH, contentType: FORM_TYPE, body: pipeFormSample(event) })),
  { path: FORM_PATH, contentType: FORM_TYPE, body: pipeRawFormSample() },
  { path: STORAGE_PATH, contentType: JSON_TYPE, body: pipeJsonSample("video_copied_s3") },
  { path: STORAGE_PATH, contentType: JSON_TYPE, body: pipeJsonSample("video_copied_ftp") },
];

let answerWith = 200;
const receiver = new SystemReceiver(() => answerWith);
let example: RunningExample;

beforeAll(async () => {
  example = await RunningExample.start({ name: "pipe", receiver: await receiver.start() });
});
afterAll(async () => {
  await example?.stop();
  receiver.stop();
});

/** Those that came in exactly so, byte for byte. */
const arrived = ({ path, contentType, body }: Expected): number =>
  receiver.at(path).filter((one) => one.headers["content-type"] === contentType && one.body.equals(body)).length;

it("sends the six events in both content types, byte for byte as in Pipe's document", async () => {
  for (const event of PIPE_EVENTS) {
    const toStorage = event === "video_copied_s3" || event === "video_copied_ftp";
    expect(await example.post(example.sample(`${event}.event`))).toMatchObject({ statusCode: 202, matched: toStorage ? 3 : 2 });
  }
  await example.post(example.sample("video_recorded-as-posted.event"));
  await receiver.until(() => receiver.received.length >= 16);
  for (const expected of EXPECTED) expect(arrived(expected), expected.body.toString()).toBe(1);
  expect(receiver.received).toHaveLength(EXPECTED.length + 1);
  // Pipe signs nothing.
  expect(receiver.received.flatMap(({ headers }) => Object.keys(headers)).filter((name) => name.includes("signature"))).toEqual([]);
});

it("would have told one byte that is not as in the document", () => {
  for (const { body, ...rest } of EXPECTED) {
    for (const at of [0, body.length >> 1, body.length - 1]) expect(arrived({ ...rest, body: withOneByteChanged(body, at) })).toBe(0);
  }
});

it("is read as the document's PHP reads it", () => {
  const webhooks = [...receiver.at(JSON_PATH), ...receiver.at(FORM_PATH)].map(readPipeWebhook);
  expect(webhooks).toHaveLength(14);
  for (const event of PIPE_EVENTS) expect(webhooks.filter((one) => one.event === event).length).toBeGreaterThanOrEqual(2);
  for (const { version, data } of webhooks) expect([version, data["envCode"]]).toEqual(["1.0", "dyLms4"]);
  const converted = webhooks.find(({ event }) => event === "video_converted");
  expect(converted?.data).toMatchObject({ videoName: "STREAM_NAME", duration: "7.56", size: 194_373, id: 34_745_986 });
});

it("attempts once, and leaves sending again to whoever looks at the schedule", async () => {
  answerWith = 500;
  const before = receiver.received.length;
  await example.post(example.sample("video_converted.event"));
  await expect.poll(() => example.metric("postrider_deliveries_total", 'outcome="failed"'), { timeout: 20_000 }).toBe(2);
  answerWith = 200;
  expect(receiver.received.length - before).toBe(2);
});

it("takes URLs of up to 200 characters", async () => {
  const url = (length: number): string => `https://example.com/${"a".repeat(length - "https://example.com/".length)}`;
  const validate = async (length: number) => {
    const file = join(example.manifests, "long.yaml");
    writeFileSync(file, subscription({ name: "long", namespace: "pipe", types: ["none"], url: url(length) }));
    const args = ["src/main.ts", "validate", "-f", example.manifests];
    return promisify(execFile)(process.execPath, args, { cwd: resolve(import.meta.dirname, "../..") });
  };
  expect((await validate(200)).stdout).toContain("all good");
  const refused = (await validate(201).catch((error: unknown) => error)) as { code: number; stdout: string; stderr: string };
  expect(refused.code).toBe(1);
  expect(refused.stdout + refused.stderr).toMatch(/long\.yaml.*spec\.endpoint\.url.*200/);
});
