import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { clusterPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const FLAGS = ["--store-size-max", "128Mi", "--store-free-min", "32Mi"];
/** More than the volume is taken for. */
const EVENTS = 640;
const ONCE = 16;
const PATIENT_MS = 30_000;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Poured {
  readonly statuses: Record<number, number>;
  /** Of another namespace, whose small events went beside. */
  readonly others: Record<number, number>;
  readonly lastProblem: { readonly code?: string; readonly detail?: string };
  readonly retryAfter: string | null;
}

function post(operator: OperatorProcess, namespace: string, body: string): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return fetch(`${operator.ready.ingest}/v1/namespaces/${namespace}/events`, { method: "POST", headers, body });
}

const large = (type: string): string => JSON.stringify({ type, data: "x".repeat(255 * 1_024 - 100) });

/** One producer at full speed, events that somebody wants and events that nobody wants, and a small one of somebody else beside each. */
async function pour(operator: OperatorProcess): Promise<Poured> {
  const [statuses, others]: Record<number, number>[] = [{}, {}];
  let lastProblem = {};
  let retryAfter: string | null = null;
  const count = (book: Record<number, number> | undefined, status: number): void => void (book && (book[status] = (book[status] ?? 0) + 1));
  for (let sent = 0; sent < EVENTS; sent += ONCE) {
    await Promise.all(
      Array.from({ length: ONCE }, async (_, i) => {
        const answer = await post(operator, "shop", large(i % 2 === 0 ? "order.paid" : "nobody.wants"));
        const text = await answer.text();
        count(statuses, answer.status);
        if (answer.status === 202) return;
        lastProblem = JSON.parse(text) as object;
        retryAfter = answer.headers.get("retry-after");
      }),
    );
    const other = await post(operator, "depot", '{"type":"order.paid"}');
    await other.arrayBuffer();
    count(others, other.status);
  }
  return { statuses: statuses ?? {}, others: others ?? {}, lastProblem, retryAfter };
}

/** Reads a gauge of the store by the rest of its name. */
async function gaugesOf(operator: OperatorProcess): Promise<(name: string) => number> {
  const metrics = await (await fetch(`${operator.ready.metrics}/metrics`)).text();
  return (name) => Number(new RegExp(`^postrider_store_${name} (\\S+)$`, "m").exec(metrics)?.[1]);
}

async function start(directory: string): Promise<OperatorProcess> {
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${join(directory, "store")}`,
    flags: FLAGS,
  });
  cleanups.push(() => operator.signal("SIGKILL"));
  return operator;
}

it(
  "a producer that pours gets 429 for its namespace alone: no 507, others' events are taken, and a policy lets it go on",
  { timeout: 240_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "postrider-quota-"));
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, "manifests"));
    writeFileSync(join(directory, "manifests", "all.yaml"), manifestFile(orders("shop"), orders("depot")));
    writeFileSync(join(directory, "manifests", "policy.yaml"), policy());
    const operator = await start(directory);
    const poured = await pour(operator);
    expect(Object.keys(poured.statuses).toSorted()).toEqual(["202", "429"]);
    expect(poured.others).toEqual({ 202: EVENTS / ONCE });
    expect(poured.lastProblem.code).toBe("quota_exceeded");
    expect(poured.lastProblem.detail).toContain("Namespace shop holds ");
    expect(poured.retryAfter).toBe("60");
    expect((await fetch(`${operator.ready.metrics}/readyz`)).status).toBe(200);

    const gauge = await gaugesOf(operator);
    expect(gauge("free_bytes")).toBeGreaterThan(gauge("free_min_bytes"));
    expect(gauge('namespace_bytes{namespace="shop"}')).toBeGreaterThan(20 * 2 ** 20);
    expect(gauge('namespace_bytes{namespace="shop"}')).toBeLessThan(56 * 2 ** 20);
    expect(gauge('namespace_bytes{namespace="depot"}')).toBeGreaterThan(1_000);
    expect(gauge('namespace_limit_bytes{namespace="depot"}')).toBeGreaterThan(2 ** 20);

    await operator.signal("SIGKILL");
    const again = await start(directory);
    expect((await gaugesOf(again))('namespace_bytes{namespace="shop"}')).toBeGreaterThanOrEqual(gauge('namespace_bytes{namespace="shop"}'));
    // A start empties the log, which leaves the volume a little more room.
    expect((await pour(again)).lastProblem.code).toBe("quota_exceeded");
    expect((await post(again, "depot", '{"type":"order.paid"}')).status).toBe(202);

    writeFileSync(join(directory, "manifests", "policy.yaml"), policy("limits: {storage: 60Mi}"));
    await vi.waitFor(async () => expect((await post(again, "shop", large("order.paid"))).status).toBe(202), {
      timeout: PATIENT_MS,
      interval: 250,
    });
  },
);

const orders = (namespace: string): string => subscription({ name: "orders", namespace, url: "https://192.0.2.1/hooks" });
const policy = (...limits: readonly string[]): string => clusterPolicy('egress: {allowedCIDRs: ["192.0.2.0/24"]}', ...limits);
