import { afterEach, expect, it } from "vitest";
import { STRANGERS } from "../support/fence/attacks/strangers.ts";
import { TENANTS } from "../support/fence/attacks/tenants.ts";
import { Attacked } from "../support/fence/scene.ts";
import type { WitnessReport } from "../support/fence/witness-report.ts";
import { countOf } from "../support/full-run.ts";

/** All attacks at once, on two cores that the attackers share: the bars are not those of each alone, but nothing is lost and nobody starves. */
const SOAK_MS = countOf(20_000, 600_000);
const REPORT_EVERY_MS = 10_000;
const ENDED_WITHIN_MS = 60_000;
/** All crowds of sockets at once hold some 600 MiB, flat from the second minute on: more would be a leak. */
const RESIDENT_MIB = 700;

let attacked: Attacked | undefined;
afterEach(async () => attacked?.stop());

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

it("all attacks at once: nothing is lost, nobody starves", { timeout: SOAK_MS + ENDED_WITHIN_MS + 60_000 }, async () => {
  const attacks = [...STRANGERS, ...TENANTS];
  attacked = await Attacked.start(attacks);
  await pause(1_000);
  await attacked.report();
  const end = new AbortController();
  const runs = attacks.map(({ run }) => run(attacked!.scene, end.signal).catch(() => undefined));
  const reports: WitnessReport[] = [];
  for (let passedMs = 0; passedMs < SOAK_MS; passedMs += REPORT_EVERY_MS) {
    await pause(REPORT_EVERY_MS);
    reports.push(await attacked.report());
    console.log(JSON.stringify(reports.at(-1)));
  }
  end.abort();
  await Promise.all(runs);
  const afterwards = await untilAllArrived(attacked);
  expect(reports.filter(({ accepted }) => accepted === 0)).toEqual([]);
  expect(reports.flatMap(({ refusals }) => refusals)).toEqual([]);
  expect(reports.filter(({ probesFailed }) => probesFailed > 0)).toEqual([]);
  expect(Math.max(...reports.map(({ residentMaxMiB }) => residentMaxMiB))).toBeLessThanOrEqual(RESIDENT_MIB);
  expect(afterwards.undelivered).toBe(0);
});

/** What was accepted under attack has arrived; answers the first report that finds nothing owed for long. */
async function untilAllArrived(under: Attacked): Promise<WitnessReport> {
  const untilMs = performance.now() + ENDED_WITHIN_MS;
  for (;;) {
    await pause(6_000);
    const report = await under.report();
    if (report.undelivered === 0 || performance.now() > untilMs) return report;
  }
}
