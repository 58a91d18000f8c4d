import { fillBacklog, PENDING, pendingOf, unusedPort } from "../dead-receiver.ts";
import { residentMiB } from "../machine.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";

/** Resident set with 100,000 retries waiting in the store, and boot to ready with them. */
export async function backlogRows(context: BenchContext): Promise<Row[]> {
  const subscriptions = [{ name: "dead", type: "bench.*", port: await unusedPort() }];
  const first = await System.start({ receiver: context.load.address, subscriptions, maxInFlight: 64, timeout: "1s" });
  const idleMiB = residentMiB(first.pid);
  await fillBacklog(first, context.load, context.progress);
  const pending = await settledPending(first);
  const resident = residentMiB(first.pid);
  const directory = first.directory;
  await first.stop("SIGKILL", true);
  const boots: number[] = [];
  let residentAfterBoot = 0;
  for (let round = 1; round <= context.rounds; round++) {
    const again = await System.start({ receiver: context.load.address, subscriptions, maxInFlight: 64, timeout: "1s", directory });
    boots.push(again.bootMs / 1_000);
    residentAfterBoot = residentMiB(again.pid);
    await again.stop("SIGKILL", round < context.rounds);
  }
  context.progress(
    `backlog: ${pending} pending, resident ${resident.toFixed(0)} MiB (idle ${idleMiB.toFixed(0)}), boot ${median(boots).toFixed(2)} s`,
  );
  const parts = { pending, idleMiB, residentMiB: resident, residentAfterBootMiB: residentAfterBoot, bootSeconds: median(boots) };
  return [
    row({
      name: `resident set with ${PENDING} pending retries`,
      figure: resident,
      unit: "MiB",
      better: "<=",
      floor: 300,
      goal: undefined,
      parts,
    }),
    row({ name: `boot to ready with ${PENDING} pending`, figure: median(boots), unit: "s", better: "<=", floor: 10, goal: 3, parts }),
  ];
}

/** The gauge is refreshed every few seconds: asked until it shows the backlog, 30 s at most. */
async function settledPending(system: System): Promise<number> {
  let pending = 0;
  for (let turn = 0; turn < 60 && pending < PENDING; turn++) {
    pending = await pendingOf(system, "dead");
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  if (pending < PENDING) throw new Error(`only ${pending} of ${PENDING} deliveries are pending`);
  return pending;
}
