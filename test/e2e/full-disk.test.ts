import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

it("a full disk: events are answered 507 with Retry-After, the process stays ready, the API answers, and the alert's numbers are there", async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-full-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), MANIFEST);
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${join(directory, "store")}`,
    flags: ["--store-free-min", "999999Gi"],
  });
  cleanups.push(() => operator.signal("SIGKILL"));
  const refused = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"a.b"}',
  });
  expect(refused.status).toBe(507);
  expect(refused.headers.get("retry-after")).toBe("30");
  for (const path of ["livez", "readyz", "startupz"]) expect((await fetch(`${operator.ready.metrics}/${path}`)).status, path).toBe(200);
  expect((await fetch(`${operator.ready.api}/v1/namespaces/shop/subscriptions`)).status).toBe(200);
  const metrics = await (await fetch(`${operator.ready.metrics}/metrics`)).text();
  const gauge = (name: string): number => Number(new RegExp(`^postrider_store_${name} (\\S+)$`, "m").exec(metrics)?.[1]);
  expect(gauge("free_min_bytes")).toBe(999_999 * 1_073_741_824);
  expect(gauge("free_bytes")).toBeLessThan(gauge("free_min_bytes"));
});

const MANIFEST = subscription({ name: "orders", types: ["a.*"], url: "https://192.0.2.1/hooks" });
