import { fillBacklog, PENDING, pendingOf, unusedPort } from "../dead-receiver.ts";
import { Load } from "../load.ts";
import { shareMiB } from "../machine.ts";
import { manySubscriptions, NAMESPACES, ORIGINS, TYPES } from "../many-subscriptions.ts";
import { row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";
import { strippedCheckout } from "../../support/operator/stripped-checkout.ts";

/** What the garbage collector and malloc give back, they have given back by then. */
const REST_MS = 30_000;
const FEW = 10;
const TRAFFIC_MS = 20_000;
const KEPT_ALIVE_MS = 4_000;

/**
 * What the process holds of the machine's memory: proportional set, alone on the machine that is its own and the binary. It runs as in the image,
 * without types: a checkout holds 12 MiB more in each thread until the compile cache is warm.
 */
export async function memoryRows(context: BenchContext): Promise<Row[]> {
  const { root, remove } = strippedCheckout();
  try {
    return [...(await idle(context, root)), ...(await backlog(context, root)), ...(await many(context, root))];
  } finally {
    remove();
  }
}

async function idle({ load, progress }: BenchContext, root: string): Promise<Row[]> {
  const subscriptions = Array.from({ length: FEW }, (_, i) => ({ name: `sub-${i}`, type: "bench.*" }));
  const system = await System.start({ receiver: load.address, subscriptions, root });
  try {
    await system.settled(FEW);
    await rest();
    const { pss, anonymous } = shareMiB(system.pid);
    progress(`idle: ${shown(pss)}, anonymous ${shown(anonymous)}`);
    const parts = { anonymousMiB: anonymous };
    return [
      row({
        name: `memory, ${FEW} subscriptions from files, idle`,
        figure: pss,
        unit: "MiB",
        better: "<=",
        floor: 110,
        goal: undefined,
        parts,
      }),
    ];
  } finally {
    await system.stop();
  }
}

async function backlog({ load, progress }: BenchContext, root: string): Promise<Row[]> {
  const subscriptions = [{ name: "dead", type: "bench.*", port: await unusedPort() }];
  const system = await System.start({ receiver: load.address, subscriptions, maxInFlight: 64, timeout: "1s", root });
  try {
    await fillBacklog(system, load, progress);
    const after = shareMiB(system.pid).pss;
    await rest();
    const rested = shareMiB(system.pid).pss;
    const pending = await pendingOf(system, "dead");
    progress(`${pending} pending: ${shown(after)} right after, ${shown(rested)} rested`);
    const name = `memory, ${PENDING} pending`;
    const parts = { pending };
    return [
      row({ name: `${name}, right after they came in`, figure: after, unit: "MiB", better: "<=", floor: 240, goal: undefined, parts }),
      row({ name: `${name}, rested`, figure: rested, unit: "MiB", better: "<=", floor: 200, goal: undefined, parts }),
    ];
  } finally {
    await system.stop();
  }
}

async function many({ progress }: BenchContext, root: string): Promise<Row[]> {
  const load = await Load.start("", ORIGINS);
  const subscriptions = manySubscriptions(load.address);
  const system = await System.start({ receiver: load.address, subscriptions, root });
  try {
    await system.settled(subscriptions.length);
    await rest();
    const idleMiB = shareMiB(system.pid).pss;
    progress(`${subscriptions.length} subscriptions: ${shown(idleMiB)} idle`);
    const result = await load.run({ url: system.events(), connections: 128, types: TYPES, namespaces: NAMESPACES, durationMs: TRAFFIC_MS });
    const traffic = shareMiB(system.pid).pss;
    await new Promise((resolve) => setTimeout(resolve, KEPT_ALIVE_MS));
    await rest();
    const rested = shareMiB(system.pid).pss;
    progress(`${subscriptions.length} subscriptions: ${shown(traffic)} under traffic, ${shown(rested)} afterwards`);
    const name = `memory, ${subscriptions.length} subscriptions in ${NAMESPACES} namespaces, ${ORIGINS} origins`;
    const parts = { deliveredPerSecond: result.deliveredPerSecond, missing: result.missing, restedMiB: rested };
    return [
      row({ name: `${name}, idle`, figure: idleMiB, unit: "MiB", better: "<=", floor: 300, goal: undefined, parts }),
      row({ name: `${name}, under traffic`, figure: traffic, unit: "MiB", better: "<=", floor: 450, goal: undefined, parts }),
    ];
  } finally {
    await system.stop();
    load.stop();
  }
}

function rest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, REST_MS));
}

function shown(mib: number): string {
  return `${mib.toFixed(0)} MiB`;
}
