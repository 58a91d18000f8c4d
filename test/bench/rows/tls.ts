import { Load } from "../load.ts";
import { cpuSecondsOf } from "../machine.ts";
import { median, row, type BenchContext, type Row } from "../row.ts";
import { System } from "../system.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";

const CONNECTIONS = 128;
const WARM_UP_MS = 10_000;
/** Connections that a flood has open at once. */
const STORM = 256;

interface Rate {
  readonly perSecond: number;
  readonly cpuUs: number;
}

/** Events that nobody wants: the ingest and the commit alone, on kept connections. */
async function accepting(context: BenchContext, system: System): Promise<Rate> {
  const command = { url: system.events(), types: "bench.unwanted", connections: CONNECTIONS, waitMs: 1 };
  const cpuBefore = cpuSecondsOf(system.pid);
  const { accepted } = await context.load.run({ ...command, durationMs: context.seconds * 1_000 });
  if (accepted === 0) throw new Error(`not one event was accepted at ${command.url}`);
  return { perSecond: accepted / context.seconds, cpuUs: ((cpuSecondsOf(system.pid) - cpuBefore) * 1e6) / accepted };
}

function meanOf(one: Rate, other: Rate): Rate {
  return { perSecond: (one.perSecond + other.perSecond) / 2, cpuUs: (one.cpuUs + other.cpuUs) / 2 };
}

/** Accepted events over TLS against plain HTTP, and while others send nothing but ClientHellos. */
export async function tlsRows(context: BenchContext): Promise<Row[]> {
  const certificate = makeCertificates()?.good;
  if (certificate === undefined) throw new Error("the row needs the openssl command");
  const options = { receiver: context.load.address, subscriptions: [{ name: "one", type: "bench.event" }] };
  const rounds: { readonly plain: Rate; readonly tls: Rate; readonly flooded: Rate; readonly handshakes: number }[] = [];
  const flood = await Load.start();
  for (let round = 1; round <= context.rounds; round++) {
    const [plainSystem, tlsSystem] = [await System.start(options), await System.start({ ...options, certificate })];
    const warm = { types: "bench.unwanted", connections: CONNECTIONS, durationMs: WARM_UP_MS, waitMs: 1 };
    await context.load.run({ ...warm, url: plainSystem.events() });
    const plain = await accepting(context, plainSystem);
    await plainSystem.stop();
    await context.load.run({ ...warm, url: tlsSystem.events() });
    const before = await accepting(context, tlsSystem);
    const storm = flood.run({ url: tlsSystem.events(), handshakes: true, connections: STORM, durationMs: context.seconds * 1_000 });
    const flooded = await accepting(context, tlsSystem);
    const handshakes = (await storm).accepted / context.seconds;
    // What runs for longer runs faster: without is measured on both sides of the flood.
    const tls = meanOf(before, await accepting(context, tlsSystem));
    await tlsSystem.stop();
    rounds.push({ plain, tls, flooded, handshakes });
    const told = Object.entries({ plain, tls, "tls under a flood": flooded });
    const text = told.map(([name, r]) => `${name} ${Math.round(r.perSecond)}/s (${r.cpuUs.toFixed(0)} µs CPU)`);
    context.progress(`round ${round}: ${text.join(", ")}, ${Math.round(handshakes)} ClientHellos answered a second`);
  }
  flood.stop();
  const at = (pick: (round: (typeof rounds)[number]) => number): number => median(rounds.map(pick));
  const parts = {
    plainPerSecond: at(({ plain }) => plain.perSecond),
    tlsPerSecond: at(({ tls }) => tls.perSecond),
    floodedPerSecond: at(({ flooded }) => flooded.perSecond),
    plainCpuUs: at(({ plain }) => plain.cpuUs),
    tlsCpuUs: at(({ tls }) => tls.cpuUs),
    hellosPerSecond: at(({ handshakes }) => handshakes),
  };
  const shared = { unit: "ratio", better: ">=", floor: undefined, goal: undefined, parts } as const;
  return [
    row({
      ...shared,
      name: "events/s accepted over TLS, on kept connections, against plain",
      figure: at(({ plain, tls }) => tls.perSecond / plain.perSecond),
    }),
    row({
      ...shared,
      name: "the same during a flood of ClientHellos, against without",
      figure: at(({ tls, flooded }) => flooded.perSecond / tls.perSecond),
    }),
  ];
}
