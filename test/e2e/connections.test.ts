import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNameServer } from "../support/delivery/name-server.ts";
import { startSilentListener } from "../support/delivery/silent-listener.ts";
import { clusterPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const WITHIN_MS = 30_000;
/** A connection's shortest life is 10 s; what goes to the old place later than so long after the move has not followed. */
const FOLLOWED_AFTER_MS = 11_500;

interface Attempt {
  readonly attempt: number;
  readonly outcome: string;
  readonly reconnected: boolean;
  readonly message: string;
}

const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Where names lead now. */
const zone: Record<string, readonly string[]> = {};
let operator: OperatorProcess;
let port: number;
/** When requests came, by the address that got them. */
const seen: Record<string, number[]> = {};

async function listening(server: Server, host: string, wanted = 0): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  server.listen(wanted, host);
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

function receiver(address: string): Server {
  const times = (seen[address] = [] as number[]);
  const server = createHttpServer((_request, response) => {
    times.push(performance.now());
    response.end();
  });
  server.keepAliveTimeout = 60_000;
  return server;
}

/** Answers a connection's first request and closes at its second. */
function shortOfBreath(): Server {
  return createTcpServer((socket) => {
    let requests = 0;
    socket.on("data", (chunk: Buffer) => {
      requests += chunk.toString("latin1").split("POST /").length - 1;
      if (requests > 1) socket.destroy();
      else if (chunk.includes("POST /")) socket.write("HTTP/1.1 200 OK\nContent-Length: 0\n\n");
    });
  });
}

async function publish(type: string): Promise<void> {
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type, data: {} }),
  });
  expect(answer.status).toBe(202);
}

async function attemptsOf(subscription: string): Promise<readonly Attempt[]> {
  const answer = await fetch(`${operator.ready.api}/v1/namespaces/shop/attempts?subscription=${subscription}&limit=500`);
  return ((await answer.json()) as { items: Attempt[] }).items;
}

function manifests(urls: Readonly<Record<string, string>>): string {
  return manifestFile(
    clusterPolicy(
      'egress: {allowedCIDRs: [127.0.0.0/8, "::1/128"], allowedHosts: ["*.example.test", localhost, 127.0.0.6], allowPlainHTTP: true}',
      "timeout: 20s",
      "connectTimeout: 10s",
      "retry: {maxAttempts: 1}",
      "maxInFlight: 1",
    ),
    ...Object.entries(urls).map(([name, url]) => subscription({ name, types: [`t.${name}`], url })),
  );
}

beforeAll(async () => {
  const dns = await startNameServer((name) => zone[name] ?? "NXDOMAIN", 1);
  cleanups.push(dns.close);
  port = await listening(receiver("127.0.0.3"), "127.0.0.3");
  for (const address of ["127.0.0.4", "127.0.0.5", "::1"]) await listening(receiver(address), address, port);
  const silent = await startSilentListener("127.0.0.2", port);
  cleanups.push(silent.close);
  const short = await listening(shortOfBreath(), "127.0.0.6");
  zone["first-dead.example.test"] = ["127.0.0.2", "127.0.0.3"];
  zone["moves.example.test"] = ["127.0.0.4"];
  const directory = mkdtempSync(join(tmpdir(), "postrider-connections-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  const urls = {
    "first-dead": `http://first-dead.example.test:${port}/`,
    moves: `http://moves.example.test:${port}/`,
    local: `http://localhost:${port}/`,
    short: `http://127.0.0.6:${short}/`,
  };
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests({ ...urls }));
  operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${join(directory, "store")}`,
    flags: ["--dns-server", dns.address],
  });
  cleanups.push(() => operator.signal("SIGKILL"));
}, 60_000);

describe("the binary's connections", () => {
  it("a name whose first address is silent is delivered to at the first attempt", async () => {
    await publish("t.first-dead");
    await expect.poll(() => attemptsOf("first-dead"), { timeout: WITHIN_MS }).toMatchObject([{ attempt: 1, outcome: "Success" }]);
    expect(seen["127.0.0.3"]).toHaveLength(1);
  });

  it("localhost is ::1 where nothing else listens", async () => {
    await publish("t.local");
    await expect.poll(() => attemptsOf("local"), { timeout: WITHIN_MS }).toMatchObject([{ attempt: 1, outcome: "Success" }]);
    expect(seen["::1"]).toHaveLength(1);
  });

  it("a receiver that closes at each second request costs no attempt, and the log says so", async () => {
    for (let i = 1; i <= 10; i++) {
      await publish("t.short");
      await expect.poll(async () => (await attemptsOf("short")).length, { timeout: WITHIN_MS }).toBe(i);
    }
    const attempts = await attemptsOf("short");
    expect(attempts.map(({ outcome, attempt }) => `${outcome} ${attempt}`)).toEqual(Array.from({ length: 10 }, () => "Success 1"));
    expect(attempts.filter(({ reconnected }) => reconnected).length).toBeGreaterThan(0);
    for (const { reconnected, message } of attempts) expect(message.includes("on a new connection")).toBe(reconnected);
  });

  it("a receiver that moves is followed under steady traffic, and the old place gets nothing more", { timeout: 90_000 }, async () => {
    const untilMs = performance.now() + 22_000;
    let movedMs = 0;
    for (let i = 0; performance.now() < untilMs; i++) {
      await publish("t.moves");
      if (i === 5) {
        zone["moves.example.test"] = ["127.0.0.5"];
        movedMs = performance.now();
      }
      await delay(300);
    }
    await expect.poll(() => seen["127.0.0.5"]?.length ?? 0, { timeout: WITHIN_MS }).toBeGreaterThan(5);
    const late = (seen["127.0.0.4"] ?? []).filter((atMs) => atMs > movedMs + FOLLOWED_AFTER_MS);
    expect(late).toEqual([]);
    expect((await attemptsOf("moves")).every(({ outcome }) => outcome === "Success")).toBe(true);
  });
});
