import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { canTrace } from "../integration/store/child-process.ts";
import { countOf } from "../support/full-run.ts";
import { loopbackPolicy, manifestFile, namedPolicy, subscription } from "../support/manifests.ts";
import { OperatorProcess, type OperatorProcessOptions } from "../support/operator/operator-process.ts";

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** When what came, by webhook-id; each answer takes `answerMs`. */
class Receiver {
  readonly at = new Map<string, number[]>();
  readonly #server: Server;

  constructor(answerMs: (path: string) => number) {
    this.#server = createServer((request, response) => {
      const id = String(request.headers["webhook-id"]);
      this.at.set(id, [...(this.at.get(id) ?? []), performance.now()]);
      request.resume();
      setTimeout(() => response.writeHead(204).end(), answerMs(request.url ?? "/"));
    });
    cleanups.push(() => new Promise((done) => this.#server.close(done).closeAllConnections()));
  }

  async listen(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return (this.#server.address() as AddressInfo).port;
  }
}

const hook = (namespace: string, port: number): string =>
  manifestFile(
    subscription({ name: "hook", namespace, url: `http://127.0.0.1:${port}/${namespace}`, more: ["policyRef: {name: wide}"] }),
    namedPolicy(namespace, "wide", "maxInFlight: 64", "timeout: 10s"),
  );

async function scene(namespaces: readonly string[], answerMs: (path: string) => number) {
  const receiver = new Receiver(answerMs);
  const port = await receiver.listen();
  const directory = mkdtempSync(join(tmpdir(), "postrider-starts-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  const manifests = join(directory, "manifests");
  writeFileSync(
    join(manifests, "all.yaml"),
    manifestFile(loopbackPolicy("limits: {maxInFlight: 64}"), ...namespaces.map((name) => hook(name, port))),
  );
  const start = async (more: Partial<OperatorProcessOptions> = {}): Promise<OperatorProcess> => {
    const operator = await OperatorProcess.start({ manifests, store: `sqlite:${join(directory, "store")}`, ...more });
    cleanups.push(() => operator.kill());
    return operator;
  };
  return { receiver, start };
}

async function post(operator: OperatorProcess, namespace: string): Promise<string> {
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/${namespace}/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type: "order.paid", data: { total: 1 } }),
  });
  const { id, matched } = (await answer.json()) as { id: string; matched: number };
  expect([answer.status, matched]).toEqual([202, 1]);
  return id;
}

describe("a start", () => {
  const traced = canTrace();
  if (!traced && process.env["CI"] !== undefined) throw new Error("strace is needed under CI: install it and allow ptrace");
  const STARTS = countOf(2, 20);
  const SLOW_READS = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e", "inject=pread64:delay_enter=3000"];

  it.skipIf(!traced)(
    `on a store whose reads take 3 ms each delivers, ${STARTS} times of ${STARTS}`,
    { timeout: STARTS * 40_000 },
    async () => {
      const { receiver, start } = await scene(["shop"], () => 1);
      for (let i = 0; i < STARTS; i++) {
        // Node's cache of compiled sources is read in the same way, a thousand files of it: it is the store that is slow here.
        const operator = await start({ under: SLOW_READS, env: { NODE_DISABLE_COMPILE_CACHE: "1" } });
        const id = await post(operator, "shop");
        await vi.waitFor(() => expect(receiver.at.has(id), `start ${i}`).toBe(true), { timeout: 12_000, interval: 20 });
        await operator.kill();
      }
    },
  );

  const KILLS = countOf(3, 20);
  it(`after a kill 40 ms behind the ready line delivers, ${KILLS} times of ${KILLS}`, { timeout: KILLS * 20_000 }, async () => {
    const { receiver, start } = await scene(["shop"], () => 1);
    for (let i = 0; i < KILLS; i++) {
      const killed = await start();
      await delay(40);
      await killed.kill();
      const operator = await start();
      const id = await post(operator, "shop");
      await vi.waitFor(() => expect(receiver.at.has(id), `start ${i}`).toBe(true), { timeout: 6_000, interval: 20 });
      await operator.kill();
    }
  });

  it(
    "after a kill with 60 in flight to a receiver of 1 s: another namespace's event within 2 s, all within 8 s",
    { timeout: 60_000 },
    async () => {
      const { receiver, start } = await scene(["slow", "quick"], (path) => (path === "/slow" ? 1_000 : 500));
      const operator = await start();
      const slow = await Promise.all(Array.from({ length: 60 }, () => post(operator, "slow")));
      const quick = await post(operator, "quick");
      await vi.waitFor(() => expect(receiver.at.size).toBe(61), { timeout: 5_000, interval: 5 });
      await operator.kill();
      receiver.at.clear();
      await start();
      const readyMs = performance.now();
      await vi.waitFor(() => expect(receiver.at.has(quick)).toBe(true), { timeout: 2_000, interval: 5 });
      await vi.waitFor(() => expect(slow.filter((id) => !receiver.at.has(id))).toEqual([]), { timeout: 8_000, interval: 20 });
      expect(performance.now() - readyMs).toBeLessThan(8_000);
      for (const times of receiver.at.values()) expect(times).toHaveLength(1);
    },
  );
});
