import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { aiozBody, hasAiozSignature, hasAiozToken } from "../support/systems/aioz-stream-receiver.ts";
import type { AiozEvent } from "../support/systems/aioz-stream-receiver.ts";
import { withOneByteChanged } from "../support/systems/altered-bytes.ts";
import { RunningExample } from "../support/systems/running-example.ts";
import type { Received } from "../support/systems/system-receiver.ts";
import { SystemReceiver } from "../support/systems/system-receiver.ts";

const KEY = "replace-this-key-before-real-use";
const TOKEN = "replace-this-token-before-real-use";
const [SIGNED, WITH_TOKEN] = ["/aioz/signed", "/aioz/token"] as const;

/** The interval of the document, and how late a retry may be on a busy machine. */
const INTERVAL_MS = 3_000;
const LATE_MS = 1_500;

const FILM = {
  media_id: "0c5a9d1e-7b34-4a55-8d0e-2f6c1b7a9e01",
  media_type: "video",
  qualities: "720p,1080p",
  title: "Summer – a film",
  status: "transcoding",
  user_id: "b7a1d1de-52c0-4f0e-9a53-6f1b1d0f3a11",
};
const EVENTS: readonly AiozEvent[] = [
  { ...FILM, type: "file.received", emitted_at: "2026-01-01T09:00:00Z" },
  { ...FILM, type: "encoding.started", emitted_at: "2026-01-01T09:00:02Z" },
  { ...FILM, type: "partial.finished", emitted_at: "2026-01-01T09:01:30Z", qualities: "720p" },
  { ...FILM, type: "encoding.finished", emitted_at: "2026-01-01T09:03:05Z", status: "done" },
  {
    ...FILM,
    type: "encoding.failed",
    emitted_at: "2026-01-01T09:04:41Z",
    media_id: "5d2f8c77-1e90-4b6a-a3c4-9e0d7f6b5a02",
    media_type: "live-stream",
    title: "Live from the harbour",
    status: "fail",
  },
];

const DOWN = "the receiver of this one is down";
const receiver = new SystemReceiver(({ body }) => (body.includes(DOWN) ? 302 : 204));
let example: RunningExample;

beforeAll(async () => {
  example = await RunningExample.start({ name: "aioz-stream", receiver: await receiver.start() });
});
afterAll(async () => {
  await example?.stop();
  receiver.stop();
});

const shortForm = ({ type, ...data }: AiozEvent): string => JSON.stringify({ type, data });
const titled = (title: string): Received[] => receiver.received.filter(({ body }) => body.includes(title));

it("sends the five events with their flat properties, and filters", async () => {
  for (const { type } of EVENTS) {
    expect(await example.post(example.sample(`${type}.event`))).toMatchObject({ matched: type === "encoding.finished" ? 2 : 1 });
  }
  await receiver.until(() => receiver.received.length === 6);
  const bodies = receiver.at(SIGNED).map(({ body }) => body);
  for (const event of EVENTS) {
    const expected = aiozBody(event);
    expect(
      bodies.filter((body) => body.equals(expected)),
      event.type,
    ).toHaveLength(1);
    for (const at of [0, expected.length >> 1, expected.length - 1]) {
      expect(bodies.some((body) => body.equals(withOneByteChanged(expected, at)))).toBe(false);
    }
  }
  expect(receiver.at(WITH_TOKEN).map(({ body }) => body.toString())).toEqual([aiozBody(EVENTS[3] as AiozEvent).toString()]);
  for (const { headers } of receiver.received) expect(headers["content-type"]).toBe("application/json");
});

it("proves in a header whose request it is: by a signature, or by a token", () => {
  for (const request of receiver.at(SIGNED)) {
    expect(hasAiozSignature(request, KEY)).toBe(true);
    expect(hasAiozSignature(request, `${KEY}x`)).toBe(false);
    expect(hasAiozSignature({ ...request, body: withOneByteChanged(request.body, 9) }, KEY)).toBe(false);
  }
  for (const request of receiver.at(WITH_TOKEN)) expect(hasAiozToken(request, TOKEN)).toBe(true);
});

it("retries up to three times, 3 s apart, whatever answer is not 2xx, with one id and one body", async () => {
  await example.post(shortForm({ ...(EVENTS[0] as AiozEvent), title: DOWN }));
  await expect
    .poll(() => example.metric("postrider_deliveries_total", 'subscription="signed"', 'outcome="failed"'), { timeout: 30_000 })
    .toBe(1);
  const attempts = titled(DOWN);
  expect(attempts).toHaveLength(4);
  const gaps = attempts.slice(1).map(({ atMs }, index) => Math.round(atMs - (attempts[index] as Received).atMs));
  process.stdout.write(`aioz-stream: retries after ${gaps.join(", ")} ms\n`);
  for (const gap of gaps) {
    expect(gap).toBeGreaterThanOrEqual(INTERVAL_MS - 50);
    expect(gap).toBeLessThan(INTERVAL_MS + LATE_MS);
  }
  expect(new Set(attempts.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  expect(new Set(attempts.map(({ body }) => body.toString())).size).toBe(1);
  for (const attempt of attempts) expect(hasAiozSignature(attempt, KEY)).toBe(true);
});

it("spreads a burst to ten a second", async () => {
  const title = "one of a burst";
  const posts = Array.from({ length: 30 }, (_, at) => example.post(shortForm({ ...(EVENTS[1] as AiozEvent), title, media_id: `m-${at}` })));
  await Promise.all(posts);
  await receiver.until(() => titled(title).length === 30);
  const times = titled(title).map(({ atMs }) => atMs);
  // Ten at once, then one each 100 ms: the last of thirty cannot come before 2 s.
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_800);
  for (const from of times) expect(times.filter((at) => at >= from && at < from + 900).length).toBeLessThanOrEqual(20);
});

it("creates, updates and deletes a webhook by its manifest", async () => {
  const file = join(example.manifests, "subscription-new.yaml");
  const manifest = readFileSync(join(example.manifests, "subscription-signed.yaml"), "utf8");
  const hook = (path: string): string => manifest.replace("name: signed", "name: new").replace(SIGNED, path);
  const arrivesAt = async (path: string): Promise<void> =>
    expect
      .poll(
        async () => {
          await example.post(shortForm({ ...(EVENTS[2] as AiozEvent), title: path }));
          return receiver.at(path).length;
        },
        { timeout: 20_000, interval: 200 },
      )
      .toBeGreaterThan(0);
  writeFileSync(file, hook("/aioz/new"));
  await arrivesAt("/aioz/new");
  writeFileSync(file, hook("/aioz/moved"));
  await arrivesAt("/aioz/moved");
  rmSync(file);
  const post = async (): Promise<number> => (await example.post(shortForm(EVENTS[2] as AiozEvent))).matched;
  await expect.poll(post, { timeout: 20_000, interval: 200 }).toBe(1);
});
