import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { withOneByteChanged } from "../support/systems/altered-bytes.ts";
import { checkPerculusToken, perculusBody, tokenOf } from "../support/systems/perculus-receiver.ts";
import type { PerculusMessage } from "../support/systems/perculus-receiver.ts";
import { RunningExample } from "../support/systems/running-example.ts";
import type { Received } from "../support/systems/system-receiver.ts";
import { SystemReceiver } from "../support/systems/system-receiver.ts";

const SECRET = "replace-this-secret-before-real-use";
/** The receiver's N: shorter than the four seconds that lie between the first and the fifth attempt here. */
const MAX_AGE_SECONDS = 3;
const SESSION = "5f0c7a52-9d1e-4a4b-8f0a-6d1f2a3b4c5d";
const FLAKY_SESSION = "00000000-0000-4000-8000-000000000005";

type Fields = Omit<PerculusMessage, "request_id" | "token">;
const MESSAGES: readonly (readonly [event: string, fields: Fields])[] = [
  ["session-report-ready", { type: "SessionReportEvent", session_id: SESSION, status: "ready" }],
  [
    "session-report-failed",
    {
      type: "SessionReportEvent",
      session_id: SESSION,
      status: "failed",
      error: 'The report of "Algebra – week 3" could not be packed.',
    },
  ],
  [
    "single-video-ready",
    {
      type: "SingleVideoEvent",
      session_id: SESSION,
      status: "ready",
      video_url: "https://videos.example.com/5f0c7a52.mp4?expires=1767312000&sig=a%2Bb",
    },
  ],
  ["single-video-failed", { type: "SingleVideoEvent", session_id: SESSION, status: "failed", error: "The recording holds no frames." }],
  ["session-status-started", { type: "SessionStatusEvent", session_id: SESSION, status: "started", date: "2026-01-01T09:00:00Z" }],
  ["session-status-finished", { type: "SessionStatusEvent", session_id: SESSION, status: "finished", date: "2026-01-01T09:45:12Z" }],
];

const verdictOf = (body: Buffer): "ok" | "expired" | "forged" =>
  checkPerculusToken({ body, secret: SECRET, maxAgeSeconds: MAX_AGE_SECONDS, nowSeconds: Math.floor(Date.now() / 1_000) });

const verdicts = new Map<Received, string>();
/** The listener: 401 for a token that does not hold, then four failures for one session. */
const receiver = new SystemReceiver((request) => {
  const verdict = verdictOf(request.body);
  verdicts.set(request, verdict);
  if (verdict !== "ok") return 401;
  const flaky = request.body.includes(FLAKY_SESSION) && receiver.received.filter(({ body }) => body.includes(FLAKY_SESSION)).length < 5;
  return flaky ? 503 : 200;
});
let example: RunningExample;

beforeAll(async () => {
  example = await RunningExample.start({ name: "perculus", receiver: await receiver.start(), adapt: hurry });
});
afterAll(async () => {
  await example?.stop();
  receiver.stop();
});

/** The five attempts of the example, a second apart instead of minutes. */
function hurry(directory: string): void {
  const file = join(directory, "policy.yaml");
  const policy = readFileSync(file, "utf8");
  const hurried = policy.replaceAll(/- (?:2s|30s|5m|10m)$/gm, "- 1s");
  expect(hurried.match(/- 1s/g)).toHaveLength(4);
  writeFileSync(file, hurried);
}

it("sends every message of the table of fields, with and without error, each with a token that holds", async () => {
  for (const [event, fields] of MESSAGES) {
    const { id, matched } = await example.post(example.sample(`${event}.event`));
    expect(matched).toBe(1);
    const own = (): Received[] => receiver.received.filter(({ body }) => body.includes(id));
    await receiver.until(() => own().length > 0);
    const [{ headers, body }] = own() as [Received];
    expect(headers["content-type"]).toBe("application/json");
    const expected = perculusBody({ ...fields, request_id: id, token: tokenOf(body) });
    expect(body.toString("utf8")).toBe(expected.toString("utf8"));
    expect(body.equals(expected)).toBe(true);
    for (const at of [0, expected.length >> 1, expected.length - 1]) expect(body.equals(withOneByteChanged(expected, at))).toBe(false);
  }
  expect(receiver.received).toHaveLength(MESSAGES.length);
  expect([...new Set(verdicts.values())]).toEqual(["ok"]);
});

it("makes a fresh token for each attempt, so that the fifth is not too old", async () => {
  const { id } = await example.post(
    JSON.stringify({ type: "SessionStatusEvent", data: { session_id: FLAKY_SESSION, status: "started", date: "2026-01-01T10:00:00Z" } }),
  );
  const own = (): Received[] => receiver.received.filter(({ body }) => body.includes(id));
  await receiver.until(() => own().length === 5);
  expect(own().map((request) => verdicts.get(request))).toEqual(["ok", "ok", "ok", "ok", "ok"]);
  const [first, , , , fifth] = own() as [Received, Received, Received, Received, Received];
  expect(fifth.atMs - first.atMs).toBeGreaterThanOrEqual(4_000);
  // One message: but for the token not a byte has changed.
  const withoutToken = ({ body }: Received): string => body.toString("utf8").replace(tokenOf(body), "");
  expect(new Set(own().map(withoutToken)).size).toBe(1);
  // The first token would be refused now: it is the fresh one that was taken.
  expect(verdictOf(first.body)).toBe("expired");
});

it("cannot be imitated without the secret", () => {
  const { body } = receiver.received.at(-1) as Received;
  const token = tokenOf(body);
  const [timestamp = "", hmac = ""] = token.split("|");
  const forged = [`${Number(timestamp) + 1}|${hmac}`, `${timestamp}|${hmac.slice(1)}0`, `${timestamp}|`, `|${hmac}`, timestamp];
  for (const one of forged) expect(verdictOf(Buffer.from(body.toString("utf8").replace(token, one)))).toBe("forged");
  const other = checkPerculusToken({ body, secret: `${SECRET}x`, maxAgeSeconds: 60, nowSeconds: Number(timestamp) });
  expect(other).toBe("forged");
});
