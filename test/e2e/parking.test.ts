import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { freePort } from "../support/free-port.ts";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

it("an event whose body cannot be made waits for an edit of the manifest, also one while the process is down", async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-parking-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const { port, bodies } = await receiver();
  const folder = join(directory, "manifests");
  mkdirSync(folder);
  const write = (body: string): void => writeFileSync(join(folder, "all.yaml"), manifests(port, body));
  write("{'amount': event.data.amuont}");
  const source = { manifests: folder, store: `sqlite:${join(directory, "store")}`, ingestPort: await freePort() };
  let operator = await OperatorProcess.start(source);
  cleanups.push(() => operator.signal("SIGKILL"));
  const row = async (): Promise<unknown> => {
    const answer = await fetch(`${operator.ready.api}/v1/namespaces/shop/deliveries`);
    return ((await answer.json()) as { items: unknown[] }).items[0];
  };
  const waits = (attempts: number, field: string): Promise<void> =>
    vi.waitFor(
      async () =>
        expect(await row()).toMatchObject({
          state: "Ready",
          reason: "PayloadInvalid",
          attempts,
          nextAttemptTime: null,
          lastAttempt: { message: `payload.body failed: field not found: ${field}` },
        }),
      { timeout: 10_000 },
    );

  await publish(operator, '{"type":"order.paid","data":{"amount":1.10}}');
  await waits(1, "amuont");
  write("{'amount': event.data.amoutn}");
  await waits(2, "amoutn");
  expect(await operator.signal("SIGKILL")).not.toBe(0);
  write("{'amount': event.data.amount}");
  operator = await OperatorProcess.start(source);
  await vi.waitFor(() => expect(bodies).toEqual(['{"amount":1.10}']), { timeout: 10_000 });
  await vi.waitFor(async () => expect(await row()).toMatchObject({ state: "Delivered", attempts: 3 }), { timeout: 10_000 });
  expect(await operator.signal("SIGTERM")).toBe(0);
});

async function publish(operator: OperatorProcess, body: string): Promise<void> {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body };
  expect((await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, init)).status).toBe(202);
}

async function receiver(): Promise<{ port: number; bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => (body += part));
    request.on("end", () => {
      bodies.push(body);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanups.push(() => new Promise((done) => server.close(done).closeAllConnections()));
  return { port: (server.address() as AddressInfo).port, bodies };
}

function manifests(port: number, body: string): string {
  const payload = `payload: {format: Raw, body: "${body}"}`;
  return manifestFile(loopbackPolicy(), subscription({ name: "billing", url: `http://127.0.0.1:${port}/hooks`, more: [payload] }));
}
