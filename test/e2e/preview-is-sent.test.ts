import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { loopbackPolicy, manifestFile, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** Made for each request, or by the connection. */
const OF_THE_MOMENT = new Set(["webhook-id", "webhook-timestamp", "webhook-signature", "host", "connection", "content-length"]);
const EVENT = '{"type":"order.paid","subject":"o-1","time":"2026-01-02T03:04:05Z","data":{"total": 12.50,"b":"Zoë","a":1e2}}';

function manifests(port: number): string {
  const pays = (name: string, payload: string, filter = "true"): string =>
    subscription({
      name,
      filter,
      endpoint: `{url: "http://127.0.0.1:${port}/${name}", headers: [{name: X-Team, value: red}]}`,
      signing: "{secretRefs: [{name: key, key: secret}]}",
      more: [`payload: ${payload}`],
    });
  return manifestFile(
    loopbackPolicy(),
    secret("shop", "key", "use", { secret: `whsec_${Buffer.alloc(32, 5).toString("base64")}` }),
    pays("standard", "{}"),
    pays("structured", "{format: CloudEventsStructured}"),
    pays("binary", "{format: CloudEventsBinary}"),
    pays("form", "{format: Form}"),
    pays("made", "{body: \"{'kind': event.type, 'total': event.data.total}\"}"),
    pays("nothing", "{}", "event.data.total > 100.0"),
  );
}

it("what validate --event shows is what is sent, format by format", async () => {
  const home = mkdtempSync(join(tmpdir(), "postrider-preview-"));
  const folder = join(home, "manifests");
  mkdirSync(folder);
  const sent = new Map<string, { headers: IncomingHttpHeaders; body: string }>();
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      sent.set((request.url ?? "").slice(1), { headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.end();
    });
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  writeFileSync(join(folder, "a.yaml"), manifests((receiver.address() as AddressInfo).port));
  writeFileSync(join(home, "event.json"), EVENT);
  const operator = await OperatorProcess.start({ manifests: folder, store: "memory:" });
  try {
    const posted = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: EVENT,
    });
    expect(await posted.json()).toMatchObject({ matched: 5 });
    await expect.poll(() => sent.size, { timeout: 20_000 }).toBe(5);
    const args = ["src/main.ts", "validate", "-f", folder, "--event", join(home, "event.json"), "-o", "json"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, timeout: 30_000 });
    const { events } = JSON.parse(stdout) as {
      events: { previews: { subscription: string; result: string; request?: { headers: [string, string][]; body: string } }[] }[];
    };
    const previews = events[0]?.previews ?? [];
    expect(previews.filter(({ result }) => result === "no").map(({ subscription }) => subscription)).toEqual(["shop/nothing"]);
    // Where the producer gave no id, ours stands in the body too.
    const still = (text: string): string => text.replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}/g, "ID");
    for (const { subscription, request } of previews.filter(({ result }) => result === "sent")) {
      const got = sent.get(subscription.slice("shop/".length));
      expect(still(request?.body ?? "")).toBe(still(got?.body ?? "?"));
      const fixed = (headers: [string, unknown][]): Record<string, string> =>
        Object.fromEntries(
          headers
            .filter(([name]) => !OF_THE_MOMENT.has(name.toLowerCase()))
            .map(([name, value]) => [name.toLowerCase(), still(String(value))]),
        );
      expect(fixed(request?.headers ?? [])).toEqual(fixed(Object.entries(got?.headers ?? {})));
    }
  } finally {
    await operator.kill();
    receiver.closeAllConnections();
    receiver.close();
    rmSync(home, { recursive: true });
  }
});
