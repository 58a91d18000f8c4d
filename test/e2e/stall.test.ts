import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { fullRun } from "../support/full-run.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { shopManifests } from "../support/manifests.ts";
import { VerifyingReceiver } from "../support/operator/verifying-receiver.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const IN_FLIGHT = 40;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Stall {
  readonly timeoutMs: number;
  readonly answersAfterMs: number;
  readonly frozenForMs: number;
}

/**
 * The binary is frozen (SIGSTOP: what a VM pause, a CPU quota or a debugger does) while requests are with a receiver that answers in time. Each of
 * them must end with its answer, and nobody may hold the freeze against the receiver.
 */
describe("a process that stood still", () => {
  const cases: Stall[] = [{ timeoutMs: 2_000, answersAfterMs: 1_000, frozenForMs: 3_000 }];
  if (fullRun) {
    cases.push({ timeoutMs: 15_000, answersAfterMs: 1_000, frozenForMs: 17_000 });
    cases.push({ timeoutMs: 2_000, answersAfterMs: 1_000, frozenForMs: 60_000 });
  } else process.stderr.write("SKIPPED: freezes of 17 s and 60 s are tried by `npm run test:full` only\n");

  it.each(cases)(
    "frozen for $frozenForMs ms with a timeout of $timeoutMs ms delivers each event once",
    async (stall) => {
      const { receiver, operator, post } = await scene(stall.timeoutMs);
      receiver.delayMs = stall.answersAfterMs;
      const ids = await Promise.all(Array.from({ length: IN_FLIGHT }, (_, n) => post({ n })));
      await receiver.until(() => receiver.arrivals.size === IN_FLIGHT, 5_000);
      operator.send("SIGSTOP");
      await passed(stall.frozenForMs);
      receiver.delayMs = 0;
      operator.send("SIGCONT");
      const afterwards = await post({ n: "afterwards" });
      await receiver.until(() => receiver.arrivals.has(afterwards), 1_000);
      const { attempts, states } = await history(operator, IN_FLIGHT + 1);
      expect(states).toEqual(Array.from({ length: IN_FLIGHT + 1 }, () => "Delivered"));
      expect(attempts).toEqual(Array.from({ length: IN_FLIGHT + 1 }, () => 1));
      expect(ids.map((id) => receiver.arrivals.get(id))).toEqual(ids.map(() => 1));
      const metrics = await (await fetch(`${operator.ready.metrics}/metrics`)).text();
      expect(Number(/^postrider_loop_stalls_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThanOrEqual(1);
      expect(Number(/^postrider_loop_stall_max_seconds (\S+)$/m.exec(metrics)?.[1])).toBeGreaterThan(stall.frozenForMs / 1_000 - 1);
      expect(await operator.signal("SIGTERM")).toBe(0);
    },
    120_000,
  );

  it("what had no answer is tried again without a word against the receiver: its circuit stays closed", async () => {
    const { receiver, operator, post } = await scene(1_000);
    receiver.silent = true;
    const ids = await Promise.all(Array.from({ length: IN_FLIGHT }, (_, n) => post({ n })));
    await receiver.until(() => receiver.seen === IN_FLIGHT, 5_000);
    operator.send("SIGSTOP");
    await passed(2_000);
    receiver.silent = false;
    operator.send("SIGCONT");
    await receiver.until(() => ids.every((id) => receiver.arrivals.has(id)), 10_000);
    const metrics = await (await fetch(`${operator.ready.metrics}/metrics/per-subscription`)).text();
    expect(metrics).toContain('postrider_circuit_open{namespace="shop",subscription="orders"} 0');
    const shown = (await (await fetch(`${operator.ready.api}/v1/namespaces/shop/subscriptions/orders`)).json()) as {
      status: { conditions: { type: string; status: string }[]; delivery: { consecutiveFailures: number } };
    };
    expect(shown.status.delivery.consecutiveFailures).toBe(0);
    expect(shown.status.conditions.find(({ type }) => type === "EndpointHealthy")?.status).toBe("True");
    const attempts = (await (await fetch(`${operator.ready.api}/v1/namespaces/shop/attempts?limit=500`)).json()) as {
      items: { outcome: string; message: string }[];
    };
    const timedOut = attempts.items.filter(({ outcome }) => outcome === "Timeout");
    expect(timedOut).toHaveLength(IN_FLIGHT);
    for (const { message } of timedOut) expect(message).toMatch(/^no answer within 1 s; Postrider itself was frozen for \d\.\d s of it$/);
    expect(await operator.signal("SIGTERM")).toBe(0);
  });
});

async function scene(timeoutMs: number) {
  const directory = mkdtempSync(join(tmpdir(), "postrider-stall-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const receiver = new VerifyingReceiver(SECRET);
  const port = await receiver.start();
  cleanups.push(() => receiver.stop());
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(port, timeoutMs));
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}` });
  cleanups.push(() => operator.signal("SIGKILL"));
  const post = async (data: object): Promise<string> => {
    const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ type: "order.paid", data }),
    });
    expect(answer.status).toBe(202);
    return ((await answer.json()) as { id: string }).id;
  };
  return { receiver, operator, post };
}

/** The outside world's time goes by: the process under test is frozen, so it cannot be told of any other. */
function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function history(operator: OperatorProcess, count: number) {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const answer = await fetch(`${operator.ready.api}/v1/namespaces/shop/deliveries?limit=500`);
    const { items } = (await answer.json()) as { items: { state: string; attempts: number }[] };
    const found = { states: items.map(({ state }) => state), attempts: items.map(({ attempts }) => attempts) };
    if (found.states.filter((state) => state === "Delivered").length === count || performance.now() > deadline) return found;
    await passed(50);
  }
}

function manifests(port: number, timeoutMs: number): string {
  return shopManifests({
    name: "orders",
    port,
    secret: SECRET,
    retryMs: 200,
    policy: [`maxInFlight: ${IN_FLIGHT}`, `timeout: ${timeoutMs}ms`],
  });
}
