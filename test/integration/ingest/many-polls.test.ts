import { afterEach, expect, it } from "vitest";
import { countOf } from "../../support/full-run.ts";
import { Polls } from "../../support/ingest/polls.ts";

const MIB = 1024 * 1024;
const POLLS = countOf(1_000, 5_000);
const WARM_UP = POLLS / 5;
const WARM_UP_REQUESTS = 10_000;
/** The promise is 64 MiB for 5,000: the same for each of fewer. */
const BYTES_EACH_MAX = (64 * MIB) / 5_000;

let polls: Polls | undefined;
afterEach(async () => {
  await polls?.stop();
  polls = undefined;
});

it(`${POLLS} real connections that wait for results cost at most 13 KiB each and no timers`, { timeout: 120_000 }, async () => {
  polls = await Polls.start(POLLS);
  // Warm: compiled code and a young generation near its size are what any ingest at work has, and no cost of those who wait.
  await polls.traffic(WARM_UP_REQUESTS);
  await polls.open(WARM_UP, "50s");
  await polls.measure(WARM_UP);
  await polls.closeAll();
  const rest = await polls.measure(0, true);

  await polls.open(POLLS, "50s");
  const full = await polls.measure(POLLS);
  const grownBytes = full.rssBytes - rest.rssBytes;
  const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
  process.stdout.write(
    `${POLLS} polls: +${mib(grownBytes)} MiB resident (${(grownBytes / POLLS / 1_024).toFixed(1)} KiB each), ` +
      `+${mib(full.heapBytes - rest.heapBytes)} MiB heap, ${full.timers - rest.timers} timers more\n`,
  );
  expect(polls.answers).toEqual([]);
  expect(grownBytes / POLLS).toBeLessThanOrEqual(BYTES_EACH_MAX);
  // One for all of them; a second may belong to the moment.
  expect(full.timers - rest.timers).toBeLessThanOrEqual(2);

  await polls.closeAll();
  await polls.measure(0);
});
