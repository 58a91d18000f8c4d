import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { clusterPolicy, loopbackPolicy, manifestFile, subscription } from "../manifests.ts";
import { until } from "../until.ts";
import type { PrometheusServer } from "./prometheus-server.ts";
import { TroubleInstallation } from "./trouble-installation.ts";
import type { TroubleReceivers } from "./trouble-receivers.ts";
import type { Row } from "./trouble-rows.ts";

const SEEN_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 200;
/** Scrapes, one a second, for which a process stands still: more than the threshold of 2 s. */
const STALLED_SCRAPES = 4;
const CRASHES = 9;
const MANY = 25;

/** strace slows a disk down; it cannot run in every sandbox. */
export const CAN_TRACE = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "true"]).status === 0;

const row = (trouble: string, name: string, ...alerts: readonly string[]): Row => ({ trouble, name, of: "installation", alerts });

/** Trouble of a whole installation: each has one of its own, named like the row. */
export const CLUSTER_ROWS: readonly Row[] = [
  row("none: the Pod is replaced in order, and a receiver fails once in between", "rollout"),
  row("the disk is full, and no producer sends", "full-disk", "DiskFull"),
  row("25 of 30 receivers begin to fail together", "many-failing", "ManyReceiversFailing"),
  row("an edit of the cluster policy refuses every subscription", "many-not-ready", "ManySubscriptionsNotReady"),
  row("the process is killed again and again", "crash-loop", "Crashing", "Unavailable"),
  row("the process stands still for 4 s", "stall", "EventLoopBlocked"),
  row("each commit takes 1.5 s", "slow-disk", "CommitSlow"),
  row("the disk no longer answers", "hanging-disk", "StoreNotWritable"),
];
export const NEEDS_STRACE: ReadonlySet<string> = new Set(["slow-disk", "hanging-disk"]);

/** The installations of the rows that can be tried here, by name. */
export async function startCluster(receivers: TroubleReceivers): Promise<Map<string, TroubleInstallation>> {
  const one = (path: string): string => manifestFile(loopbackPolicy(), subscription({ name: "steady", url: receivers.url(path) }));
  const many = (count: number): string =>
    manifestFile(
      loopbackPolicy(),
      ...Array.from({ length: count }, (_, i) => subscription({ name: `s${i}`, url: receivers.url(i < MANY ? "/shared" : "/ok") })),
    );
  const manifests: Readonly<Record<string, readonly [text: string, flags?: readonly string[]]>> = {
    // The same namespace and name as the subscription that fails in the installation `shop`.
    rollout: [one("/flap")],
    "full-disk": [one("/ok"), ["--store-free-min", "999999Gi"]],
    "many-failing": [many(MANY + 5)],
    "many-not-ready": [many(MANY)],
    "crash-loop": [one("/ok")],
    stall: [one("/ok")],
    "slow-disk": [one("/ok")],
    "hanging-disk": [one("/ok")],
  };
  const started = new Map<string, TroubleInstallation>();
  for (const { name } of CLUSTER_ROWS) {
    if (NEEDS_STRACE.has(name) && !CAN_TRACE) continue;
    const [text, flags] = manifests[name] ?? [""];
    started.set(name, await TroubleInstallation.start(name, text, flags));
  }
  return started;
}

/** Brings about what the rows say. Resolves once all of it has begun, and what ends by itself has ended; `stop` ends the tracers. */
export async function makeTrouble(
  installations: ReadonlyMap<string, TroubleInstallation>,
  receivers: TroubleReceivers,
  prometheus: PrometheusServer,
): Promise<{ stop(): void }> {
  const of = (name: string): TroubleInstallation => {
    const installation = installations.get(name);
    if (installation === undefined) throw new Error(`no installation ${name}`);
    return installation;
  };
  const seen = (expr: string): Promise<void> =>
    until(async () => (await prometheus.query(expr)).length > 0, { withinMs: SEEN_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => expr });
  receivers.becomes("/shared", 500);
  of("many-not-ready").write("all.yaml", refused(receivers));
  const traffic = setInterval(() => {
    for (const name of ["many-failing", "rollout", "stall", "slow-disk", "hanging-disk"])
      if (installations.has(name)) void of(name).publish("shop", "order.paid");
  }, 500);
  const tracers = CAN_TRACE ? [await slowDisk(of("slow-disk"), 1_500), await slowDisk(of("hanging-disk"), 120_000)] : [];
  await Promise.all([crash(of("crash-loop"), seen), replace(of("rollout"), receivers, seen), standStill(of("stall"), seen)]);
  return {
    stop: () => {
      clearInterval(traffic);
      for (const end of tracers) end();
    },
  };
}

type Seen = (expr: string) => Promise<void>;

function refused(receivers: TroubleReceivers): string {
  const subscriptions = Array.from({ length: MANY }, (_, i) => subscription({ name: `s${i}`, url: receivers.url("/ok") }));
  return manifestFile(clusterPolicy('egress: {allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: false}'), ...subscriptions);
}

async function crash(installation: TroubleInstallation, seen: Seen): Promise<void> {
  const up = (value: number): Promise<void> => seen(`up{job="${installation.job}",metrics_path="/metrics"} == ${value}`);
  for (let i = 0; i < CRASHES; i++) {
    await installation.process.kill();
    await seen(`count_over_time((up{job="${installation.job}",metrics_path="/metrics"} == 0)[3s:1s]) >= 3`);
    await installation.begin();
    await up(1);
  }
}

async function replace(installation: TroubleInstallation, receivers: TroubleReceivers, seen: Seen): Promise<void> {
  receivers.becomes("/flap", 500);
  await seen(`postrider_endpoint_failing_since_timestamp_seconds{job="${installation.job}"}`);
  receivers.becomes("/flap", 204);
  await seen(`postrider_last_success_timestamp_seconds{job="${installation.job}"}`);
  await installation.process.signal("SIGTERM");
  await installation.begin();
  await seen(`changes(process_start_time_seconds{job="${installation.job}"}[30s]) == 1`);
}

async function standStill(installation: TroubleInstallation, seen: Seen): Promise<void> {
  installation.process.send("SIGSTOP");
  await seen(`count_over_time((up{job="${installation.job}",metrics_path="/metrics"} == 0)[20s:1s]) >= ${STALLED_SCRAPES}`);
  installation.process.send("SIGCONT");
}

/** From now on every fsync of the process takes this much longer. */
async function slowDisk(installation: TroubleInstallation, delayMs: number): Promise<() => void> {
  const inject = `inject=fsync,fdatasync:delay_enter=${delayMs * 1_000}`;
  const args = ["-f", "-p", String(installation.process.ready.pid), "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject];
  const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  process.once("exit", () => strace.kill("SIGKILL"));
  await once(strace.stderr, "data");
  return () => void strace.kill("SIGKILL");
}
