import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

/** Before a line of ours runs: every connection, every name asked for and every datagram socket is told on stderr. */
const TOLD = `
import net from "node:net"; import dns from "node:dns"; import dgram from "node:dgram";
const told = (owner, name, say) => { const real = owner[name]; owner[name] = function (...args) { const what = say(args); if (what) process._rawDebug("CALLED " + what); return real.apply(this, args); }; };
told(net.Socket.prototype, "connect", ([first]) => { const o = Array.isArray(first) ? first[0] : first; return o.path ?? o.host + ":" + o.port; });
for (const owner of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype])
  for (const name of ["lookup", "resolve", "resolve4", "resolve6", "resolveTxt"]) if (owner[name]) told(owner, name, ([host]) => net.isIP(host) ? "" : "dns " + host);
told(dgram.Socket.prototype, "send", () => "datagram");
`;

it("speaks to nobody but the receiver: no telemetry, no look for updates", async ({ onTestFinished }) => {
  const home = mkdtempSync(join(tmpdir(), "postrider-calls-"));
  const receiver = createServer((_request, response) => void response.end());
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const at = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  writeFileSync(join(home, "all.yaml"), manifests(`http://${at}/`));
  vi.stubEnv("NODE_OPTIONS", `--import data:text/javascript,${encodeURIComponent(TOLD)}`);
  const operator = await OperatorProcess.start({ manifests: home, store: `sqlite:${join(home, "store")}` });
  vi.unstubAllEnvs();
  onTestFinished(() => {
    receiver.close();
    rmSync(home, { recursive: true });
  });

  const arrived = once(receiver, "request");
  const body = JSON.stringify({ type: "order.paid" });
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events?wait=10s`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  expect(answer.status).toBe(200);
  await arrived;
  await operator.signal("SIGTERM");
  const called = [...operator.stderr().matchAll(/^CALLED (.*)$/gm)].map(([, what]) => what);
  expect([...new Set(called)]).toEqual([at]);
});

function manifests(url: string): string {
  return manifestFile(loopbackPolicy(), subscription({ name: "orders", types: ["*"], url, signing: "{}" }));
}
