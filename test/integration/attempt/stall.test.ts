import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { startNameServer } from "../../support/delivery/name-server.ts";
import { StallingAttempter, type StallingOptions } from "../../support/time/stalling-attempter.ts";

const certificates = makeCertificates();
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

function attempter(options: StallingOptions = {}): StallingAttempter {
  const made = new StallingAttempter({ ...(certificates === undefined ? {} : { ca: [certificates.ca] }), ...options });
  endings.push(() => made.close());
  return made;
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A receiver over plain HTTP or TLS; `requests` counts what reached it. */
async function receiver(scheme: "http" | "https", listener: RequestListener) {
  const seen = { requests: 0 };
  const counted: RequestListener = (request, response) => {
    request.resume().on("end", () => {
      seen.requests += 1;
      listener(request, response);
    });
  };
  const server = scheme === "http" ? createHttpServer(counted) : createHttpsServer({ ...certificates?.good }, counted);
  server.keepAliveTimeout = 60_000;
  const port = await portOf(server);
  endings.push(() => server.closeAllConnections());
  return { url: `${scheme}://127.0.0.1:${port}/`, seen, server };
}

const later = (ms: number, fn: () => void): void => void setTimeout(fn, ms);
const schemes = certificates === undefined ? (["http"] as const) : (["http", "https"] as const);
if (certificates === undefined) process.stderr.write("SKIPPED: openssl is not on this machine, stalls were tried over plain HTTP only\n");
const ONE_SECOND = { timeoutMs: 1_000, connectTimeoutMs: 500 };

/** Real sockets, and an event loop that stands still while receivers go on: longer than every deadline that is running. */
describe.each(schemes)("a loop that stood still, over %s", (scheme) => {
  it("takes the answer that came in time", async () => {
    const { url, seen } = await receiver(scheme, (_request, response) => later(300, () => response.end("fine")));
    const orders = Array.from({ length: 20 }, () => ({ url, policy: ONE_SECOND }));
    const outcomes = await attempter().run(orders, [{ afterMs: 150, forMs: 2_000 }]);
    expect(outcomes.map((outcome) => outcome.class)).toEqual(orders.map(() => "success"));
    expect(seen.requests).toBe(20);
  });

  it("takes an answer of which a part had been read", async () => {
    const { url } = await receiver(scheme, (_request, response) => {
      response.write("first ");
      later(400, () => response.write("second "));
      later(600, () => response.end("third"));
    });
    const [outcome] = await attempter().run([{ url, policy: ONE_SECOND }], [{ afterMs: 300, forMs: 2_000 }]);
    expect(outcome).toMatchObject({ class: "success", message: "HTTP 200 OK" });
    expect(Buffer.from(outcome?.responseBody ?? []).toString()).toBe("first second third");
  });

  it("gives a connection that was under way the time that it lost", async () => {
    const { url, seen } = await receiver(scheme, (_request, response) => response.end());
    const outcomes = await attempter().run([{ url, policy: ONE_SECOND }], [{ afterMs: 0, forMs: 2_000 }]);
    expect(outcomes).toMatchObject([{ class: "success" }]);
    expect(seen.requests).toBe(1);
  });

  it("lets an answer that was sent while it stood be late by what the network takes, and no more", async () => {
    const { url } = await receiver(scheme, (_request, response) => later(2_600, () => response.end()));
    const [outcome] = await attempter().run([{ url, policy: ONE_SECOND }], [{ afterMs: 300, forMs: 2_000 }]);
    expect(outcome).toMatchObject({ class: "success" });
  });

  it("ends without an answer, and says whose fault that may be", async () => {
    const { url } = await receiver(scheme, () => undefined);
    const [outcome] = await attempter().run([{ url, policy: ONE_SECOND }], [{ afterMs: 300, forMs: 2_000 }]);
    expect(outcome).toMatchObject({ class: "timeout", connectionStatus: "ETIMEDOUT", stalled: true });
    expect(outcome?.message).toMatch(/^no answer within 1 s; Postrider itself was frozen for \d\.\d s of it$/);
    expect(outcome?.durationMs).toBeLessThan(4_600);
  });

  it("sends nothing into a connection that its receiver closed meanwhile", async () => {
    const { url, seen } = await receiver(scheme, ({ socket }, response) => {
      response.end();
      later(150, () => socket.end());
    });
    const made = attempter();
    await made.run([{ url }], []);
    // Begun by a timer that is over when the loop goes on: before it reads that the receiver has closed.
    const outcomes = await made.run(
      Array.from({ length: 4 }, () => ({ url, afterMs: 300 })),
      [{ afterMs: 50, forMs: 1_000 }],
    );
    expect(outcomes.map((outcome) => outcome.message)).toEqual(outcomes.map(() => "HTTP 200 OK"));
    expect(seen.requests).toBe(5);
  });
});

describe("a loop that stood still", () => {
  it("takes a name server's answer that came in time", async () => {
    const { url } = await receiver("http", (_request, response) => response.end());
    const names = await startNameServer(() => ["127.0.0.1"]);
    endings.push(names.close);
    const made = attempter({ servers: [names.address], dnsTimeoutMs: 300 });
    const host = "receiver.example";
    const order = { url: url.replace("127.0.0.1", host), hosts: [host], policy: ONE_SECOND };
    expect(await made.run([order], [{ afterMs: 0, forMs: 2_000 }])).toMatchObject([{ class: "success" }]);
  });

  it("blames the receiver for what it did while we ran: a refused connection, a time-out without a stall", async () => {
    const port = await portOf(createTcpServer());
    const { url } = await receiver("http", () => undefined);
    const made = attempter();
    const [silent] = await made.run([{ url, policy: { timeoutMs: 500 } }], [{ afterMs: 100, forMs: 100 }]);
    expect(silent).toMatchObject({ class: "timeout", message: "no answer within 0.5 s" });
    expect(silent?.stalled).toBeUndefined();
    for (const end of endings.splice(0, 1)) await end();
    const [refused] = await made.run([{ url: `http://127.0.0.1:${port}/` }], [{ afterMs: 0, forMs: 2_000 }]);
    expect(refused).toMatchObject({ connectionStatus: "ECONNREFUSED" });
    expect(refused?.stalled).toBeUndefined();
  });
});
