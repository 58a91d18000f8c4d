import { expect, it } from "vitest";
import { RefusalLog, type Refused } from "../../../src/ingest/refusal-log.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function scene() {
  const clock = new ManualClock();
  const { log, lines } = recordingLog();
  return { clock, lines, refusals: new RefusalLog(log, clock) };
}

function refused(from = "10.0.0.1", namespace: string | undefined = "shop"): Refused {
  return {
    namespace,
    from,
    refusal: { code: "unauthenticated", status: 401, detail: "Send one valid token as 'Authorization: Bearer …'." },
  };
}

it("tells the first at once and the rest with their number after a minute, for each namespace, code and caller", async () => {
  const { clock, lines, refusals } = scene();
  for (let i = 0; i < 40; i++) refusals.note(refused());
  refusals.note(refused("10.0.0.2"));
  expect(lines).toMatchObject([
    { level: "warn", event: "ingest.refused", namespace: "shop", code: "unauthenticated", statusCode: 401, from: "10.0.0.1", count: 1 },
    { from: "10.0.0.2", count: 1 },
  ]);
  expect(lines[0]?.msg).toContain("Send one valid token");
  await clock.advance(60_000);
  expect(lines.slice(2)).toMatchObject([{ from: "10.0.0.1", count: 39 }]);
  refusals.note(refused());
  refusals.note(refused("10.0.0.2"));
  expect(lines.slice(3)).toMatchObject([{ from: "10.0.0.2", count: 1 }]);
  await clock.advance(60_000);
  expect(lines.slice(4)).toMatchObject([{ from: "10.0.0.1", count: 1 }]);
  await clock.advance(600_000);
  expect(lines).toHaveLength(5);
});

it("has at most 201 lines a minute, whoever asks", async () => {
  const { clock, lines, refusals } = scene();
  for (let i = 0; i < 5_000; i++) refusals.note(refused(`fd00::${i.toString(16)}`, undefined));
  expect(lines).toHaveLength(200);
  await clock.advance(60_000);
  expect(lines.slice(200)).toMatchObject([{ event: "ingest.refused", count: 4_800 }]);
});

it("loses nothing when the process ends", async () => {
  const { clock, lines, refusals } = scene();
  for (let i = 0; i < 3; i++) refusals.note(refused());
  refusals.flush();
  expect(lines).toMatchObject([{ count: 1 }, { count: 2 }]);
  await clock.advance(600_000);
  expect(lines).toHaveLength(2);
});
