import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { manifestFile, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const TOKEN = "canarytoken5d1f07b2a9";
const SHORT = "canaryshort42";

const MANIFESTS = manifestFile(
  secret("shop", "publish", "ingest-token", { partner: `${TOKEN}\n`, weak: SHORT }).replace(
    '"labels"',
    '"annotations":{"postrider.dev/hooks":"{token: [X-Key, Basic], idempotencyKey: X-Id, headers: {X-Kept: kept}}"},"labels"',
  ),
  subscription({ name: "orders", url: "https://example.com/hooks", more: ["suspend: true"] }),
);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Promise 15 for the tokens of producers: wherever one may be sent, it is nowhere afterwards. */
it("takes a static token from every place, and keeps it out of log, metrics and store", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-tokens-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), MANIFESTS);
  const store = join(directory, "store");
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${store}`,
    auth: ["--ingest-auth", "static", "--api-auth", "static", "--ingest-token-in-query", "true"],
    flags: ["--log-level", "trace"],
  });
  cleanups.push(() => operator.signal("SIGKILL"));
  const post = async (path: string, contentType: string, body: string, headers: Record<string, string> = {}): Promise<number> => {
    const url = `${operator.ready.ingest}/v1/namespaces/shop/${path}`;
    return (await fetch(url, { method: "POST", headers: { "content-type": contentType, ...headers }, body })).status;
  };
  const [json, form] = ["application/json", "application/x-www-form-urlencoded"];
  expect([
    await post("events", json, '{"type":"order.a"}', { authorization: `Bearer ${TOKEN}` }),
    await post("events", json, `{"type":"order.b","token":"${TOKEN}"}`),
    await post(`events?token=${TOKEN}`, json, '{"type":"order.c"}'),
    await post("hooks/order.d", json, `{"n":1,"token":"${TOKEN}"}`),
    await post("hooks/order.e", form, `n=1&token=${TOKEN}`),
    await post(`hooks/order.f?token=${TOKEN}&x=1`, "text/plain", "n"),
    await post("hooks/order.l", "text/plain", "n", { "x-key": TOKEN, "x-id": "1" }),
    await post("hooks/order.m", "text/plain", "n", { authorization: `Basic ${Buffer.from(`u:${TOKEN}`).toString("base64")}` }),
  ]).toEqual([202, 202, 202, 200, 200, 200, 200, 200]);
  // Alive in two places: cut where tokens may stand, refused where not.
  const bearer = { authorization: `Bearer ${TOKEN}` };
  expect([
    await post("hooks/order.g", json, `{"n":1,"token":"${TOKEN}"}`, bearer),
    await post("hooks/order.h", json, `{"n":{"token":"${TOKEN}"}}`, bearer),
    await post("hooks/order.i", form, `token=${TOKEN}&again=${TOKEN}`),
    await post("events", json, `{"type":"order.j","data":"${TOKEN}"}`, bearer),
    await post("events", json, '{"type":"order.k"}', { ...bearer, "idempotency-key": `k-${TOKEN}` }),
    await post("hooks/order.n", "text/plain", "n", { "x-key": TOKEN, "x-id": TOKEN }),
    await post("hooks/order.o", "text/plain", "n", { "x-key": TOKEN, "x-kept": `a ${TOKEN}` }),
    await post("hooks/order.p", "text/plain", "n", { "x-key": `${TOKEN}x` }),
  ]).toEqual([200, 400, 400, 400, 400, 400, 400, 401]);
  expect([
    await post("events", json, '{"type":"order.a"}', { authorization: `Bearer ${SHORT}` }),
    await post("events", json, '{"type":"order.a"}', { authorization: `Bearer ${TOKEN}x` }),
    await post(`nothing-here?token=${TOKEN}`, json, "{}"),
    await post(`hooks/order.f?token=${TOKEN}&token=${TOKEN}`, "text/plain", "n"),
  ]).toEqual([401, 401, 404, 401]);
  const metrics = await (await fetch(`${operator.ready.metrics}/metrics`)).text();
  expect(await operator.signal("SIGTERM")).toBe(0);

  const files = readdirSync(store).filter((name) => !name.startsWith("."));
  const rows = files.map((name) => readFileSync(join(store, name), "latin1")).join("");
  const log = [...operator.stdoutLines, operator.stderr()].join("\n");
  for (const type of ["order.a", "order.b", "order.c", "order.d", "order.e", "order.f", "order.g", "order.l", "order.m"])
    expect(rows).toContain(type);
  // Told, with the key's name, that the short one is ignored.
  expect(log).toMatch(/TokenIgnored.*weak/);
  for (const value of [TOKEN, SHORT]) {
    const pair = Buffer.from(`u:${value}`).toString("base64").slice(0, -4);
    for (const form of [value, Buffer.from(value).toString("base64").slice(0, -4), Buffer.from(value).toString("hex"), pair]) {
      expect(log.includes(form), `${form} in the log`).toBe(false);
      expect(metrics.includes(form), `${form} in the metrics`).toBe(false);
      expect(rows.includes(form), `${form} in the store`).toBe(false);
    }
  }
});
