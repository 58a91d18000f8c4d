import { readFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import type { WitnessAsked, WitnessReport, WitnessScene, WitnessTold } from "./witness-report.ts";

/**
 * A process of its own, so that the attackers' work does not count as waiting: an honest tenant who publishes over connections that are kept and over
 * new ones, and its receiver; the kubelet's probe, each time over a connection of its own; and the operator's memory.
 */
const PRODUCERS = 3;
const PRODUCER_PAUSE_MS = 20;
const NEWCOMER_PAUSE_MS = 100;
const PROBE_PAUSE_MS = 250;
const MEMORY_PAUSE_MS = 100;
const GIVE_UP_MS = 30_000;
/** What has been accepted may take so long until it counts as undelivered. */
const DELIVERED_WITHIN_MS = 5_000;
const WORDS_MAX = 5;

const acceptWaits: number[] = [];
const probeWaits: number[] = [];
const deliveryWaits: number[] = [];
const refusals: string[] = [];
const probeFaults: string[] = [];
/** When each event was accepted that has not arrived. */
const owed = new Map<string, number>();
/** Arrived before its producer was told that it is accepted. */
const early = new Set<string>();
/** When each call began that has not been answered: who waits still has waited. */
const waiting = { accept: new Set<number>(), probe: new Set<number>() };
const counts = { refused: 0, probesFailed: 0, residentMaxMiB: 0 };

const receiver = createServer((incoming, response) => {
  incoming.resume();
  incoming.on("end", () => {
    arrived(String(incoming.headers["webhook-id"]));
    response.writeHead(200).end();
  });
});
receiver.listen(0, "127.0.0.1", () => tell({ kind: "ready", port: (receiver.address() as AddressInfo).port }));

function arrived(id: string): void {
  const acceptedAtMs = owed.get(id);
  if (acceptedAtMs === undefined) early.add(id);
  else deliveryWaits.push(performance.now() - acceptedAtMs);
  owed.delete(id);
}

function tell(told: WitnessTold): void {
  process.send?.(told);
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

function ask(url: string, body: string | undefined, token: string | undefined, agent: Agent | undefined): Promise<Answer> {
  const startMs = performance.now();
  const ms = (): number => performance.now() - startMs;
  const headers = {
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve) => {
    const options = { method: body === undefined ? "GET" : "POST", headers, agent: agent ?? false, timeout: GIVE_UP_MS };
    const sent = request(url, options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, ms: ms() }));
      response.on("error", (error) => resolve({ status: 0, text: String(error), ms: ms() }));
    });
    sent.on("timeout", () => sent.destroy(new Error(`no answer within ${GIVE_UP_MS} ms`)));
    sent.on("error", (error) => resolve({ status: 0, text: String(error), ms: ms() }));
    sent.end(body);
  });
}

async function timed(set: Set<number>, work: () => Promise<Answer>): Promise<Answer> {
  const startMs = performance.now();
  set.add(startMs);
  return work().finally(() => set.delete(startMs));
}

async function publish({ ingest, token }: WitnessScene, agent: Agent | undefined): Promise<void> {
  const body = '{"type":"good.thing","data":{"n":1}}';
  const answer = await timed(waiting.accept, () => ask(`${ingest}/v1/namespaces/good/events`, body, token, agent));
  acceptWaits.push(answer.ms);
  if (answer.status !== 202) {
    counts.refused += 1;
    say(refusals, answer);
    return;
  }
  const { id } = JSON.parse(answer.text) as { id: string };
  if (early.delete(id)) deliveryWaits.push(0);
  else owed.set(id, performance.now());
}

function say(words: string[], { status, ms, text }: Answer): void {
  if (words.length < WORDS_MAX) words.push(`${status} after ${ms.toFixed(0)} ms: ${text.slice(0, 200)}`);
}

async function probe({ metrics }: WitnessScene): Promise<void> {
  const answer = await timed(waiting.probe, () => ask(`${metrics}/livez`, undefined, undefined, undefined));
  probeWaits.push(answer.ms);
  if (answer.status === 200) return;
  counts.probesFailed += 1;
  say(probeFaults, answer);
}

function lookAtMemory({ pid }: WitnessScene): void {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  counts.residentMaxMiB = Math.max(counts.residentMaxMiB, Number(kib ?? 0) / 1_024);
}

async function again(pauseMs: number, work: () => unknown): Promise<void> {
  for (;;) {
    await work();
    await new Promise((done) => setTimeout(done, pauseMs));
  }
}

function begin(scene: WitnessScene): void {
  const kept = new Agent({ keepAlive: true });
  for (let i = 0; i < PRODUCERS; i++) void again(PRODUCER_PAUSE_MS, () => publish(scene, kept));
  void again(NEWCOMER_PAUSE_MS, () => publish(scene, undefined));
  void again(PROBE_PAUSE_MS, () => probe(scene));
  void again(MEMORY_PAUSE_MS, () => lookAtMemory(scene));
}

function quantile(waits: readonly number[], share: number): number {
  const sorted = waits.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Waits that are over, and those that are not yet as long as they are by now. */
function waitsOf(over: readonly number[], since: ReadonlySet<number>): number[] {
  const nowMs = performance.now();
  return [...over, ...Array.from(since, (startMs) => nowMs - startMs)];
}

/** Takes what was seen so far; what was accepted only just now belongs to the next report. */
function report(): WitnessReport {
  const lateBeforeMs = performance.now() - DELIVERED_WITHIN_MS;
  const accepts = waitsOf(acceptWaits, waiting.accept);
  const seen = {
    accepted: acceptWaits.length - counts.refused,
    refused: counts.refused,
    refusals: refusals.splice(0),
    acceptP50Ms: quantile(accepts, 0.5),
    acceptP99Ms: quantile(accepts, 0.99),
    acceptMaxMs: quantile(accepts, 1),
    probes: probeWaits.length,
    probesFailed: counts.probesFailed,
    probeFaults: probeFaults.splice(0),
    probeMaxMs: quantile(waitsOf(probeWaits, waiting.probe), 1),
    delivered: deliveryWaits.length,
    undelivered: [...owed.values()].filter((atMs) => atMs < lateBeforeMs).length,
    deliveryP99Ms: quantile(deliveryWaits, 0.99),
    residentMaxMiB: counts.residentMaxMiB,
  };
  for (const list of [acceptWaits, probeWaits, deliveryWaits]) list.length = 0;
  Object.assign(counts, { refused: 0, probesFailed: 0, residentMaxMiB: 0 });
  return seen;
}

process.on("message", (asked: WitnessAsked) => {
  if (asked.kind === "begin") begin(asked.scene);
  else if (asked.kind === "report") tell({ kind: "report", ...report() });
  else process.exit(0);
});
process.on("disconnect", () => process.exit(0));
