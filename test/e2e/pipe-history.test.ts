import { afterAll, beforeAll, expect, it } from "vitest";
import { apiList } from "../support/systems/api-reader.ts";
import type { LogRow, ScheduleRow } from "../support/systems/api-reader.ts";
import { pipeFormSample, pipeJsonSample } from "../support/systems/pipe-receiver.ts";
import { RunningExample } from "../support/systems/running-example.ts";
import { SystemReceiver } from "../support/systems/system-receiver.ts";

const RECORDING = "34745986";
let answerWith = 500;
const receiver = new SystemReceiver(() => answerWith);
let url = "";
let example: RunningExample;

beforeAll(async () => {
  url = await receiver.start();
  example = await RunningExample.start({ name: "pipe", receiver: url });
});
afterAll(async () => {
  await example?.stop();
  receiver.stop();
});

const schedule = () => apiList<ScheduleRow>(example.operator.ready.api, `/v1/namespaces/pipe/deliveries?recordID=${RECORDING}`);
const log = (id: string) => apiList<LogRow>(example.operator.ready.api, `/v1/namespaces/pipe/deliveries/${id}/attempts`);
const rowOf = async (subscription: string): Promise<ScheduleRow> => {
  const row = (await schedule()).find((one) => one.subscription === subscription);
  if (row === undefined) throw new Error(`no row of ${subscription}`);
  return row;
};
const retry = async (id: string): Promise<number> =>
  (await fetch(`${example.operator.ready.api}/v1/namespaces/pipe/deliveries/${id}/resend`, { method: "POST" })).status;

it("shows in the schedule what Pipe's table has: a row for each event and webhook", async () => {
  await example.post(example.sample("video_converted.event"));
  await expect.poll(async () => (await schedule()).map(({ state }) => state), { timeout: 20_000 }).toEqual(["Failed", "Failed"]);
  for (const [subscription, path] of [
    ["json", "/pipe/json"],
    ["form", "/pipe/form"],
  ] as const) {
    const row = await rowOf(subscription);
    expect(row).toMatchObject({
      recordID: RECORDING,
      eventType: "video_converted",
      url: `${url}${path}`,
      attempts: 1,
      lastAttempt: { statusCode: 500 },
    });
    expect(Date.now() - Date.parse(row.firstAttemptTime ?? "")).toBeLessThan(30_000);
  }
});

it("sends again at the press of Retry, after a failure and after a success, and logs each firing", async () => {
  const before = await rowOf("json");
  answerWith = 200;
  for (const [index, state] of ["Failed", "Delivered"].entries()) {
    const { id, state: now } = await rowOf("json");
    expect(now).toBe(state);
    expect(await retry(id)).toBe(202);
    await expect.poll(async () => (await rowOf("json")).attempts, { timeout: 20_000 }).toBe(index + 2);
    await expect.poll(async () => (await rowOf("json")).state, { timeout: 20_000 }).toBe("Delivered");
  }
  const after = await rowOf("json");
  expect(after).toMatchObject({ id: before.id, firstAttemptTime: before.firstAttemptTime, attempts: 3, lastAttempt: { statusCode: 200 } });
  const rows = await log(after.id);
  expect(rows.map(({ statusCode }) => statusCode)).toEqual([500, 200, 200]);
  const sent = receiver.at("/pipe/json");
  expect(sent).toHaveLength(3);
  for (const { body } of sent) expect(body.equals(pipeJsonSample("video_converted"))).toBe(true);
});

it("shows in the log what Pipe's table has of a firing, both bodies byte for byte", async () => {
  for (const [subscription, sample] of [
    ["json", pipeJsonSample("video_converted")],
    ["form", pipeFormSample("video_converted")],
  ] as const) {
    const [row] = await log((await rowOf(subscription)).id);
    expect(row).toMatchObject({ recordID: RECORDING, eventType: "video_converted", connectionStatus: "ok", statusCode: 500 });
    expect(row?.url).toBe(`${url}/pipe/${subscription}`);
    expect(row?.durationMs).toBeGreaterThanOrEqual(0);
    expect(row?.request.body).toEqual({ text: sample.toString() });
    const wire = receiver.at(`/pipe/${subscription}`)[0]?.headers["content-type"];
    expect(row?.request.headers).toContainEqual({ name: "content-type", value: wire });
    expect(row?.response.body).toEqual({ text: "answered 500" });
    expect(row?.response.headers).toContainEqual({ name: "content-type", value: "text/plain" });
    // Values of headers that are not known to be harmless are hidden, their names are not.
    expect(row?.response.headers).toContainEqual({ name: "x-receiver", value: "[redacted]" });
  }
});

it("says what kept a firing from connecting", async () => {
  receiver.stop();
  await example.post(example.sample("video_recorded.event"));
  const rows = () => apiList<LogRow>(example.operator.ready.api, "/v1/namespaces/pipe/attempts?type=video_recorded");
  await expect.poll(async () => (await rows()).length, { timeout: 20_000 }).toBe(2);
  for (const row of await rows()) expect(row).toMatchObject({ connectionStatus: "ECONNREFUSED", statusCode: null, recordID: "34746075" });
});
