import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it, vi } from "vitest";
import { freePort } from "../support/free-port.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { shopManifests } from "../support/manifests.ts";
import { Changes } from "../support/until.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Arrival {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A server that answers what it is told to and keeps what came. */
async function receiver(status: () => number): Promise<{ port: number; arrivals: Arrival[]; until: (n: number) => Promise<void> }> {
  const arrivals: Arrival[] = [];
  const changes = new Changes();
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => (body += part));
    request.on("end", () => {
      arrivals.push({ headers: request.headers as Record<string, string>, body });
      response.writeHead(status()).end();
      changes.happened();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanups.push(() => new Promise((done) => server.close(done).closeAllConnections()));
  const until = (n: number): Promise<void> => changes.until(() => arrivals.length >= n);
  return { port: (server.address() as AddressInfo).port, arrivals, until };
}

it("forwards what failed as a signed CloudEvent, also when it is killed in between", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-dead-letter-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const refusing = await receiver(() => 400);
  let letterStatus = 500;
  const letters = await receiver(() => letterStatus);
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(refusing.port, letters.port));
  const source = { manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}`, ingestPort: await freePort() };
  let operator = await OperatorProcess.start(source);
  cleanups.push(() => operator.signal("SIGKILL"));
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"order.paid","data":{"amount":1.10,"id":9007199254740993}}',
  });
  expect(answer.status).toBe(202);
  const { id } = (await answer.json()) as { id: string };
  await letters.until(1);
  await operator.signal("SIGKILL");
  letterStatus = 204;
  const before = letters.arrivals.length;
  operator = await OperatorProcess.start(source);
  await letters.until(before + 1);

  expect(refusing.arrivals).toHaveLength(1);
  const { headers = {}, body = "" } = letters.arrivals.at(-1) ?? {};
  new Webhook(SECRET).verify(body, headers);
  expect(headers["content-type"]).toBe("application/cloudevents+json; charset=utf-8");
  expect(headers["x-team"]).toBe("night");
  expect(new Set(letters.arrivals.map((letter) => letter.headers["webhook-id"])).size).toBe(1);
  expect(new Set(letters.arrivals.map((letter) => letter.body)).size).toBe(1);
  expect(JSON.parse(body)).toMatchObject({
    specversion: "1.0",
    type: "dev.postrider.deadletter.v1",
    source: "/namespaces/shop/webhooksubscriptions/billing",
    subject: id,
    data: { reason: "NotRetryable", attempts: 1, lastStatusCode: 400, subscription: "billing", event: { type: "order.paid" } },
  });
  expect(body).toContain('"data":{"amount":1.10,"id":9007199254740993}');
  const counted = 'postrider_delivery_attempts_total{namespace="shop",subscription="billing#deadletter",outcome="success"} 1';
  await vi.waitUntil(async () => (await (await fetch(`${operator.ready.metrics}/metrics/per-subscription`)).text()).includes(counted), {
    timeout: 5_000,
  });
  expect(await operator.signal("SIGTERM")).toBe(0);
});

function manifests(port: number, letterPort: number): string {
  const deadLetter = `deadLetter: {endpoint: {url: "http://127.0.0.1:${letterPort}/dead", headers: [{name: x-team, value: night}]}}`;
  return shopManifests({ name: "billing", port, secret: SECRET, retryMs: 200, more: [deadLetter] });
}
