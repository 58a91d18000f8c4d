import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { DnsResolver } from "../../../src/attempt/connect/resolver.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import type { Outcome } from "../../../src/core/outcome.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute, LOOPBACK_EGRESS } from "../../support/delivery/attempt-input.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { listeningPort } from "../../support/listening-port.ts";

const certificates = makeCertificates();
const ANSWERS_AFTER_MS = 120;
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

function portOf(server: Server): Promise<number> {
  endings.push(() => server.close());
  return listeningPort(server);
}

const slowly: RequestListener = (request, response) => {
  request.resume();
  setTimeout(() => response.end("ok"), ANSWERS_AFTER_MS);
};

function sender(url: string, ca: readonly string[] = []): () => Promise<Outcome> {
  const clock = new SystemClock();
  const attempter = new HttpAttempter({ clock, version: "1", resolver: new DnsResolver({ clock }), ca });
  endings.push(() => attempter.close());
  const egress = { ...LOOPBACK_EGRESS, allowedHosts: [new URL(url).hostname] };
  const route = aRoute({ url, egress });
  return async () => (await attempter.attempt({ route, event: anEvent(), attempt: 1 })).outcome;
}

test("a new connection to a name has all parts with TLS, and a kept one only the wait for its answer", async () => {
  if (certificates === undefined) throw new Error("this test needs the openssl command");
  const port = await portOf(createHttpsServer(certificates.good, slowly));
  const send = sender(`https://localhost:${port}/`, [certificates.ca]);
  const { phases, durationMs } = await send();
  const part = expect.any(Number) as number;
  expect(phases).toEqual({ dnsMs: part, connectMs: part, tlsMs: part, firstByteMs: part });
  const { dnsMs = 0, connectMs = 0, tlsMs = 0, firstByteMs = 0 } = phases ?? {};
  expect(tlsMs).toBeGreaterThan(0);
  expect(firstByteMs).toBeGreaterThanOrEqual(ANSWERS_AFTER_MS - 5);
  // Parts of one whole, whose duration is rounded.
  expect(dnsMs + connectMs + tlsMs + firstByteMs).toBeLessThanOrEqual(durationMs + 2);
  const kept = (await send()).phases;
  expect(kept).toEqual({ firstByteMs: part });
});

test("an address needs no name, plain HTTP no handshake", async () => {
  const port = await portOf(createHttpServer(slowly));
  const { phases } = await sender(`http://127.0.0.1:${port}/`)();
  const part = expect.any(Number) as number;
  expect(phases).toEqual({ dnsMs: undefined, connectMs: part, tlsMs: undefined, firstByteMs: part });
});

test("where there was no connection there are no parts, and an answer that does not begin has no first byte", async () => {
  const server = createHttpServer(slowly);
  const port = await portOf(server);
  server.close();
  await once(server, "close");
  const refused = await sender(`http://127.0.0.1:${port}/`)();
  expect([refused.class, refused.phases]).toEqual(["connect_error", undefined]);
  const cut = await portOf(createHttpServer((request) => request.socket.destroy()));
  const { phases } = await sender(`http://127.0.0.1:${cut}/`)();
  expect([typeof phases?.connectMs, phases?.firstByteMs]).toEqual(["number", undefined]);
});
