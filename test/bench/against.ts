import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Load, type LoadCommand } from "./load.ts";
import { cpuSecondsOf, residentMiB, ROOT } from "./machine.ts";
import { median } from "./row.ts";
import { System } from "./system.ts";

const WARM_UP_MS = 6_000;
const WINDOW_MS = 1_500;
/** Above it the load generator is what was measured. */
const GENERATOR_SHARE_MAX = 0.6;

/** What is posted in a window, and to how many subscriptions each event goes. */
interface Shape {
  readonly name: string;
  readonly command: Omit<LoadCommand, "url" | "durationMs">;
  /** Share of the other version's closed-loop rate that is posted, whatever comes back. */
  readonly openLoop?: number;
}

const SHAPES: readonly Shape[] = [
  { name: "1:1", command: { connections: 128 } },
  { name: "1:1 with keys", command: { connections: 128, keys: true } },
  { name: "fan-out 10", command: { connections: 32, fanOut: 10 } },
  { name: "10 events per POST", command: { connections: 32, batch: 10 } },
  { name: "50 KiB bodies", command: { connections: 32, bodyBytes: 50 * 1_024 } },
  { name: "half load", command: { connections: 128 }, openLoop: 0.5 },
];

interface Window {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly acceptP99Ms: number;
}

interface Pair {
  readonly here: Window;
  readonly there: Window;
}

/**
 * This checkout against another revision: both run at the same time on the first core, only one of them has work, and they take turns window by
 * window, so that noise of the machine meets both. Ratios are of pairs of one round, their median and quartiles; below 1 is less than there.
 */
export async function benchAgainst(revision: string, rounds: number, progress: (text: string) => void): Promise<string[]> {
  const root = checkOut(revision);
  const load = await Load.start();
  try {
    const lines: string[] = [];
    for (const shape of SHAPES) lines.push(...(await compared(shape, { load, root, rounds, progress })));
    return lines;
  } finally {
    load.stop();
    execFileSync("git", ["worktree", "remove", "--force", root], { cwd: ROOT });
  }
}

/** A worktree of the revision, with our packages if it has the same, else with its own. */
function checkOut(revision: string): string {
  const root = mkdtempSync(join(tmpdir(), "postrider-against-"));
  rmSync(root, { recursive: true });
  execFileSync("git", ["worktree", "add", "--detach", root, revision], { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  const lockOf = (directory: string): string => readFileSync(join(directory, "package-lock.json"), "utf8");
  if (lockOf(root) === lockOf(ROOT)) symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  else execFileSync("npm", ["ci"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  return root;
}

interface Comparison {
  readonly load: Load;
  readonly root: string;
  readonly rounds: number;
  readonly progress: (text: string) => void;
}

async function compared(shape: Shape, { load, root, rounds, progress }: Comparison): Promise<string[]> {
  const fanOut = shape.command.fanOut ?? 1;
  const subscriptions = Array.from({ length: fanOut }, (_, i) => ({ name: `sub-${i}`, type: "bench.*" }));
  const options = { receiver: load.address, subscriptions, maxInFlight: Math.ceil(128 / fanOut) };
  const here = await System.start(options);
  const there = await System.start({ ...options, root });
  try {
    const warm = { ...shape.command, durationMs: WARM_UP_MS };
    await load.run({ ...warm, url: here.events() });
    const { deliveredPerSecond } = await load.run({ ...warm, url: there.events() });
    const rate = shape.openLoop === undefined ? {} : { rate: deliveredPerSecond * shape.openLoop };
    const pairs: Pair[] = [];
    let voids = 0;
    for (let round = 0; round < rounds; round++) {
      const window = (system: System): Promise<Window | undefined> => measured(load, system, { ...shape.command, ...rate });
      // Who comes first changes, because the one behind finds a warmer or a throttled processor.
      const [first, second] = round % 2 === 0 ? [here, there] : [there, here];
      const [a, b] = [await window(first), await window(second)];
      if (a === undefined || b === undefined) voids += 1;
      else pairs.push(first === here ? { here: a, there: b } : { here: b, there: a });
    }
    progress(`${shape.name}: ${pairs.length} pairs${voids === 0 ? "" : `, ${voids} void: the load generator was the bottleneck`}`);
    return pairs.length === 0
      ? [`${shape.name}: no pair could be measured`]
      : told(shape.name, pairs, [residentMiB(here.pid), residentMiB(there.pid)]);
  } finally {
    await here.stop();
    await there.stop();
  }
}

/** Undefined where the generator was too busy for the figure to be the system's. @throws when a delivery is missing. */
async function measured(load: Load, system: System, command: Omit<LoadCommand, "url" | "durationMs">): Promise<Window | undefined> {
  const before = cpuSecondsOf(system.pid);
  const result = await load.run({ ...command, url: system.events(), durationMs: WINDOW_MS });
  if (result.missing > 0) throw new Error(`${result.missing} deliveries did not arrive within 20 s`);
  if (result.received === 0) throw new Error("nothing was delivered");
  if (result.cpuShare > GENERATOR_SHARE_MAX) return undefined;
  const cpuUs = ((cpuSecondsOf(system.pid) - before) * 1e6) / result.received;
  return { perSecond: result.deliveredPerSecond, cpuUs, acceptP99Ms: result.acceptP99Ms };
}

function told(name: string, pairs: readonly Pair[], [hereMiB = 0, thereMiB = 0]: readonly number[]): string[] {
  const line = (what: string, unit: string, of: (window: Window) => number): string => {
    const ratios = pairs.map(({ here, there }) => of(here) / of(there)).toSorted((a, b) => a - b);
    const at = (share: number): string => (ratios[Math.min(ratios.length - 1, Math.floor(ratios.length * share))] ?? 0).toFixed(2);
    const middle = (pick: (pair: Pair) => Window): string => median(pairs.map((pair) => of(pick(pair)))).toFixed(unit === "ms" ? 1 : 0);
    return `  ${what}: ${median(ratios).toFixed(2)}x (quartiles ${at(0.25)} to ${at(0.75)}): ${middle(({ here }) => here)} ${unit}, there ${middle(({ there }) => there)}`;
  };
  return [
    `${name}, ${pairs.length} pairs`,
    line("deliveries a second", "/s", ({ perSecond }) => perSecond),
    line("CPU of a delivery", "µs", ({ cpuUs }) => cpuUs),
    ...(pairs.some(({ here }) => here.acceptP99Ms > 0) ? [line("accept p99", "ms", ({ acceptP99Ms }) => acceptP99Ms)] : []),
    `  resident afterwards: ${hereMiB.toFixed(0)} MiB, there ${thereMiB.toFixed(0)}`,
  ];
}
