import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { OperatorProcess } from "../support/operator/operator-process.ts";

/** Values that may stand in the manifests and on the wire, and nowhere else. */
const CANARIES = {
  query: "canaryquery7f3a9c",
  header: "canaryheader2b8d41",
  bearer: "canarybearer90e6aa",
  signing: "Y2FuYXJ5c2lnbmluZ2tleWM1ZTQzM2NhbmFyeQ==",
} as const;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Promise 15, for what is built: logs at the finest level, metrics and the store's files hold no secret, in plain or encoded form. */
it("keeps secrets out of logs, metrics and rows", { timeout: 60_000 }, async () => {
  const seen: string[] = [];
  const receiver = createServer((request, response) => {
    seen.push(`${request.url ?? ""} ${JSON.stringify(request.headers)}`);
    request.resume();
    response.writeHead(seen.length < 3 ? 500 : 200, { location: `https://elsewhere.example/?t=${CANARIES.query}` }).end("no");
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  cleanups.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const directory = mkdtempSync(join(tmpdir(), "postrider-canaries-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests((receiver.address() as AddressInfo).port));
  const store = join(directory, "store");
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${store}`,
    flags: ["--log-level", "trace"],
  });
  cleanups.push(() => operator.signal("SIGKILL"));
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events?token=${CANARIES.query}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${CANARIES.bearer}` },
    body: '{"type":"order.paid","data":{"n":1}}',
  });
  expect(answer.status).toBe(202);
  const deadline = performance.now() + 15_000;
  while (seen.length < 3 && performance.now() < deadline) await new Promise((done) => setTimeout(done, 20));
  const metrics = await (await fetch(`${operator.ready.metrics}/metrics`)).text();
  expect(await operator.signal("SIGTERM")).toBe(0);

  // The wire did carry them: else the search below would find nothing for the wrong reason.
  expect(seen).toHaveLength(3);
  for (const canary of [CANARIES.query, CANARIES.header, CANARIES.bearer]) expect(seen.at(-1)).toContain(canary);
  const rows = readdirSync(store)
    .filter((name) => !name.startsWith("."))
    .map((name) => readFileSync(join(store, name), "latin1"));
  const logs = [...operator.stdoutLines, operator.stderr()].join("\n");
  expect(logs).toContain("delivery.attempted");
  expect(rows.join("")).toContain("order.paid");
  for (const [name, canary] of Object.entries(CANARIES)) {
    for (const form of [canary, Buffer.from(canary).toString("base64").slice(0, -4), Buffer.from(canary).toString("hex")]) {
      expect(logs.includes(form), `${name} in the log`).toBe(false);
      expect(metrics.includes(form), `${name} in the metrics`).toBe(false);
      expect(
        rows.some((text) => text.includes(form)),
        `${name} in the store's files`,
      ).toBe(false);
    }
  }
});

function manifests(port: number): string {
  return `apiVersion: postrider.dev/v1alpha1
kind: ClusterDeliveryPolicy
metadata: {name: here}
spec: {egress: {allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true}}
---
apiVersion: postrider.dev/v1alpha1
kind: DeliveryPolicy
metadata: {name: quick, namespace: shop, labels: {postrider.dev/default: "true"}}
spec: {retry: {maxAttempts: 5, backoff: {policy: Constant, initialDelay: 100ms, maxDelay: 100ms}}}
---
apiVersion: v1
kind: Secret
metadata: {name: all, namespace: shop, labels: {postrider.dev/use: "true"}}
stringData:
  url: http://127.0.0.1:${port}/hooks?key=${CANARIES.query}
  header: ${CANARIES.header}
  bearer: ${CANARIES.bearer}
  signing: whsec_${CANARIES.signing}
---
apiVersion: postrider.dev/v1alpha1
kind: WebhookSubscription
metadata: {name: orders, namespace: shop}
spec:
  events: {types: [order.paid]}
  endpoint:
    urlSecretRef: {name: all, key: url}
    headers: [{name: X-Key, valueFrom: {secretKeyRef: {name: all, key: header}}}]
    auth: {bearer: {secretRef: {name: all, key: bearer}}}
  signing: {secretRefs: [{name: all, key: signing}]}
`;
}
