import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { alone, Crowd, statusOf } from "../support/door/crowd.ts";
import { RecordingReceiver } from "../support/fields/recording-receiver.ts";
import { loopbackPolicy, manifestFile, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

/** Each namespace has so many tokens, whose last character is their number. */
const CALLERS = 8;
const SHOP = "a-token-of-namespace-shop-";
const DEPOT = "a-token-of-namespace-depot-";
const MIB = 1024 * 1024;
/** How often a hundred pages are asked for that are not read. */
const ROUNDS = 4;
/** What a machine that does much else meanwhile must still manage; alone it takes a few ms. */
const ACCEPT_MS_MAX = 1_000;

const tokens = (namespace: string, token: string): string =>
  secret(
    namespace,
    "tokens",
    ["ingest-token", "api-token"],
    Object.fromEntries(Array.from({ length: CALLERS }, (_, i) => [`c${i}`, `${token}${i}`])),
  );
const manifests = (receiver: string): string =>
  manifestFile(
    loopbackPolicy(),
    tokens("shop", SHOP),
    tokens("depot", DEPOT),
    ...["shop", "depot"].map((namespace) => subscription({ name: "orders", namespace, url: `${receiver}/hook` })),
  );

/** The binary with its own numbers, all of it from one address: whoever has nothing but a socket, or another namespace's token, hinders nobody of depot. */
describe("at the doors of the binary", () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-doors-"));
  const crowds: Crowd[] = [];
  let receiver: RecordingReceiver;
  let operator: OperatorProcess;
  const port = (name: "ingest" | "api" | "metrics"): number => Number(new URL(operator.ready[name]).port);

  beforeAll(async () => {
    receiver = await RecordingReceiver.start();
    mkdirSync(join(directory, "manifests"));
    writeFileSync(join(directory, "manifests", "all.yaml"), manifests(receiver.url));
    operator = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      auth: ["--ingest-auth", "static", "--api-auth", "static"],
    });
  });
  afterEach(() => {
    for (const crowd of crowds.splice(0)) crowd.leave();
  });
  afterAll(async () => {
    await operator?.signal("SIGKILL");
    await receiver?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const crowdAt = (name: "ingest" | "api" | "metrics"): Crowd => {
    const crowd = new Crowd(port(name));
    crowds.push(crowd);
    return crowd;
  };
  const event = (token: string, namespace: string, data: string, extra = ""): string => {
    const body = `{"type":"order.paid","data":"${data}"}`;
    return `POST /v1/namespaces/${namespace}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${extra}\r\n${body}`;
  };
  const call = (path: string, token: string, extra = ""): string =>
    `GET /v1/namespaces/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${extra}\r\n`;
  const residentBytes = async (): Promise<number> => {
    const text = await (await fetch(`${operator.ready.metrics}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
  };

  /** Depot publishes, is delivered to, reads; and the kubelet asks. */
  async function allIsWell(): Promise<void> {
    const close = "Connection: close\r\n";
    const delivered = receiver.requests.length;
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      const startedMs = performance.now();
      expect(statusOf(await alone(port("ingest"), event(`${DEPOT}0`, "depot", "small", close)))).toBe(202);
      waits.push(performance.now() - startedMs);
    }
    const body = `{"type":"order.paid","token":"${DEPOT}1"}`;
    const inBody = `POST /v1/namespaces/depot/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${close}\r\n${body}`;
    expect(statusOf(await alone(port("ingest"), inBody))).toBe(202);
    expect(waits.toSorted((a, b) => a - b)[8]).toBeLessThan(ACCEPT_MS_MAX);
    expect(statusOf(await alone(port("metrics"), `GET /livez HTTP/1.1\r\nHost: x\r\n${close}\r\n`))).toBe(200);
    expect(statusOf(await alone(port("api"), call("depot/deliveries?limit=1", `${DEPOT}0`, close)))).toBe(200);
    await expect.poll(() => receiver.requests.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(delivered + 10);
  }

  it("idle connections on all three ports, beyond what the small ones hold", { timeout: 90_000 }, async () => {
    await crowdAt("metrics").come(100, "");
    await crowdAt("metrics").come(100, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    await crowdAt("api").come(1_100, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await crowdAt("ingest").come(500, "OPTIONS /v1/namespaces/depot/events HTTP/1.1\r\nHost: x\r\n\r\n");
    await allIsWell();
  });

  it("bodies of strangers that are never whole, in namespaces with and without a token", { timeout: 90_000 }, async () => {
    for (const namespace of ["nowhere", "shop", "depot"]) {
      const head = `POST /v1/namespaces/${namespace}/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 262144\r\n\r\n`;
      await crowdAt("ingest").come(270, head + "x".repeat(16_000));
      await crowdAt("ingest").come(270, head + "x".repeat(262_143));
    }
    await allIsWell();
    const small = "POST /v1/namespaces/depot/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    await crowdAt("ingest").come(2_100, small);
    await allIsWell();
  });

  it("hundreds of pages of the log that nobody reads, of another namespace", { timeout: 120_000 }, async () => {
    for (let i = 0; i < 40; i++) await alone(port("ingest"), event(`${SHOP}0`, "shop", "x".repeat(250_000), "Connection: close\r\n"));
    await expect
      .poll(() => receiver.requests.filter(({ body }) => body.length > 200_000).length, { timeout: 60_000 })
      .toBeGreaterThanOrEqual(40);
    await alone(port("api"), call("shop/attempts?limit=500", `${SHOP}0`, "Connection: close\r\n"));
    const before = await residentBytes();
    let grown = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const crowd = crowdAt("api");
      for (let i = 0; i < CALLERS; i++) await crowd.come(13, call("shop/attempts?limit=500", `${SHOP}${i}`), true);
      for (const untilMs = performance.now() + 6_000; performance.now() < untilMs;) {
        await allIsWell();
        grown = Math.max(grown, (await residentBytes()) - before);
      }
    }
    process.stderr.write(`${ROUNDS * CALLERS * 13} unread pages of the log: ${(grown / MIB).toFixed(0)} MiB resident more\n`);
    expect(grown).toBeLessThan(170 * MIB);
  });
});
