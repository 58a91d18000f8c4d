import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { countOf } from "../support/full-run.ts";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const RUNS = countOf(3, 20);
const DRAIN_MS = 5_000;
/** From the signal to the end, beyond the drain: cutting off, writing down, closing. */
const BEYOND_MS = 4_000;
/** A request that was begun before the signal may reach the receiver so much later on a busy machine. */
const ON_THE_WAY_MS = 250;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Arrival {
  readonly path: string;
  readonly id: string;
  readonly atMs: number;
}

/** Answers /quick at once, /slow after 2 s, /stuck never. */
class Receiver {
  readonly arrivals: Arrival[] = [];
  #isQuickOnly = false;
  readonly #server = createServer((incoming, response) => {
    const path = incoming.url ?? "";
    this.arrivals.push({ path, id: String(incoming.headers["webhook-id"]), atMs: performance.now() });
    incoming.resume().on("end", () => {
      if (path === "/quick" || this.#isQuickOnly) response.writeHead(200).end();
      else if (path === "/slow") setTimeout(() => response.writeHead(200).end(), 2_000);
    });
  });

  async start(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    cleanups.push(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Every path is answered at once from now on. */
  hurry(): void {
    this.#isQuickOnly = true;
  }
}

interface Posted {
  readonly atMs: number;
  readonly status?: number;
  readonly code?: string;
  readonly connection?: string | undefined;
  readonly id?: string;
}

function post(url: string, agent: Agent): Promise<Posted> {
  return new Promise((resolve) => {
    const sent = request(url, { method: "POST", agent, headers: { "content-type": "application/json" } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        const { id, code } = JSON.parse(text) as { id?: string; code?: string };
        const { statusCode: status = 0, headers } = response;
        resolve({
          atMs: performance.now(),
          status,
          connection: headers.connection,
          ...(id === undefined ? {} : { id }),
          ...(code === undefined ? {} : { code }),
        });
      });
      response.on("error", (error: NodeJS.ErrnoException) => resolve({ atMs: performance.now(), code: error.code ?? error.message }));
    });
    sent.on("error", (error: NodeJS.ErrnoException) => resolve({ atMs: performance.now(), code: error.code ?? error.message }));
    sent.end('{"type":"a.b","data":{"n":1}}');
  });
}

/** Publishes on a kept connection until nobody listens any more. */
async function produce(url: string, seen: Posted[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (;;) {
    const posted = await post(url, agent);
    seen.push(posted);
    if (posted.code === "ECONNREFUSED") break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  agent.destroy();
}

/** A body that comes at 4 KiB a second and would take a minute. */
function dripping(ingest: string): Promise<string> {
  const { port } = new URL(ingest);
  return new Promise((resolve) => {
    const socket = connect(Number(port), "127.0.0.1");
    let text = "";
    const drip = setInterval(() => socket.write("x".repeat(400)), 100);
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    socket.on("error", (error: NodeJS.ErrnoException) => (text += `<${error.code}>`));
    socket.on("close", () => {
      clearInterval(drip);
      resolve(text);
    });
    socket.write(
      `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 240000\r\n\r\n{"type":"a.b","data":"`,
    );
  });
}

async function world() {
  const directory = mkdtempSync(join(tmpdir(), "postrider-stop-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const receiver = new Receiver();
  const port = await receiver.start();
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(port));
  const ingestPort = await freePort();
  const flags = ["--drain-timeout", `${DRAIN_MS}ms`, "--log-level", "info"];
  const start = async (): Promise<OperatorProcess> => {
    const operator = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      ingestPort,
      flags,
    });
    cleanups.push(() => operator.signal("SIGKILL"));
    return operator;
  };
  return { receiver, start };
}

it(
  `a stop under load, with a slow upload, slow receivers and one that never answers, ends by its deadline and loses nothing, ${RUNS} times`,
  async () => {
    const { receiver, start } = await world();
    const accepted = new Set<string>();
    const exits: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const already = receiver.arrivals.length;
      const operator = await start();
      const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
      const seen: Posted[] = [];
      const producers = Promise.all(Array.from({ length: 8 }, () => produce(url, seen)));
      const upload = dripping(operator.ready.ingest);
      // Of this run: an attempt without an answer must be under way, whatever the run before has left.
      const arrived = (): readonly Arrival[] => receiver.arrivals.slice(already);
      await expect.poll(() => arrived().length, { timeout: 20_000 }).toBeGreaterThan(30);
      await expect.poll(() => arrived().some(({ path }) => path === "/stuck"), { timeout: 20_000 }).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 300 + run * 37));
      const stoppedMs = performance.now();
      expect(await operator.signal("SIGTERM"), operator.stderr()).toBe(0);
      const endedMs = performance.now();
      await producers;
      exits.push(endedMs - stoppedMs);
      expect(endedMs - stoppedMs).toBeLessThan(DRAIN_MS + BEYOND_MS);

      const late = receiver.arrivals.filter(({ atMs }) => atMs > stoppedMs + ON_THE_WAY_MS && atMs < endedMs);
      expect(late).toEqual([]);
      // Answers, all of them, until nobody listens: 202, and until the last moment nothing else.
      const closedMs = Math.min(...seen.filter(({ code }) => code === "ECONNREFUSED").map(({ atMs }) => atMs));
      expect(seen.filter(({ status, atMs }) => status === undefined && atMs < closedMs - ON_THE_WAY_MS)).toEqual([]);
      expect(new Set(seen.flatMap(({ status, atMs }) => (atMs < closedMs - ON_THE_WAY_MS ? [status] : [])))).toEqual(new Set([202]));
      const meanwhile = seen.filter(({ status, atMs }) => status === 202 && atMs > stoppedMs + ON_THE_WAY_MS);
      expect(meanwhile.length).toBeGreaterThan(0);
      expect(new Set(meanwhile.map(({ connection }) => connection))).toEqual(new Set(["close"]));
      // The last attempts are never answered, so the ingest goes on until shortly before the deadline.
      expect(closedMs - stoppedMs).toBeGreaterThan(DRAIN_MS - 2_500);
      expect(await upload).toMatch(/^HTTP\/1\.1 503 [\s\S]*"code":"stopping"/);
      for (const { id, status } of seen) if (status === 202 && id !== undefined) accepted.add(id);
    }
    console.log(`${RUNS} stops: ${exits.map((ms) => Math.round(ms)).join(", ")} ms; ${accepted.size} events accepted`);
    receiver.hurry();
    await start();
    const missing = (): number => {
      const came = new Map<string, Set<string>>(["/quick", "/slow", "/stuck"].map((path) => [path, new Set()]));
      for (const { path, id } of receiver.arrivals) came.get(path)?.add(id);
      return [...accepted].filter((id) => [...came.values()].some((ids) => !ids.has(id))).length;
    };
    await expect.poll(missing, { timeout: 120_000, interval: 200 }).toBe(0);
  },
  120_000 + RUNS * 30_000,
);

it("a stop with nothing under way takes no second, however slowly somebody is sending", async () => {
  const { start } = await world();
  const quiet = await start();
  let stoppedMs = performance.now();
  expect(await quiet.signal("SIGTERM")).toBe(0);
  const quietMs = performance.now() - stoppedMs;
  const uploading = await start();
  const upload = dripping(uploading.ready.ingest);
  await new Promise((resolve) => setTimeout(resolve, 500));
  stoppedMs = performance.now();
  expect(await uploading.signal("SIGTERM")).toBe(0);
  const uploadingMs = performance.now() - stoppedMs;
  console.log(`idle stop ${Math.round(quietMs)} ms, with an upload that would take a minute ${Math.round(uploadingMs)} ms`);
  expect(quietMs).toBeLessThan(1_500);
  expect(uploadingMs).toBeLessThan(3_000);
  expect(await upload).toMatch(/"code":"stopping"/);
});

function manifests(port: number): string {
  return manifestFile(
    loopbackPolicy(),
    defaultPolicy("shop", "timeout: 30s", "maxInFlight: 16", "retry: {maxAttempts: 50}"),
    ...["quick", "slow", "stuck"].map((name) => subscription({ name, types: ["a.*"], url: `http://127.0.0.1:${port}/${name}` })),
  );
}
