import { afterEach, describe, expect, it } from "vitest";
import { LINGER_MS } from "../../../src/ingest/exchange.ts";
import { alone, Crowd, statusOf } from "../../support/door/crowd.ts";
import { lastBody, RawClient, route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const TOKEN = "0123456789abcdef-token";
const PATIENT = { timeout: 30_000 };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(setup: IngestSetup = {}): Promise<RunningIngest> {
  const running = await runningIngest({ routes: [route("orders", ["order.*"])], tokens: [TOKEN], ...setup });
  cleanups.push(() => running.stop());
  return running;
}

function crowdAt({ port }: RunningIngest): Crowd {
  const crowd = new Crowd(port);
  cleanups.push(() => crowd.leave());
  return crowd;
}

function client({ port }: RunningIngest): RawClient {
  const raw = new RawClient(port);
  cleanups.push(() => raw.socket.destroy());
  return raw;
}

const head = (length: number, namespace = "shop", extra = ""): string =>
  `POST /v1/namespaces/${namespace}/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${extra}\r\n`;
const whole = (body: string, extra = "Connection: close\r\n"): string => head(Buffer.byteLength(body), "shop", extra) + body;
const byHeader = (): string => whole('{"type":"order.paid"}', `Connection: close\r\nAuthorization: Bearer ${TOKEN}\r\n`);
const byBody = (): string => whole(`{"type":"order.paid","token":"${TOKEN}"}`);
/** A short form with so many bytes of data, the token before or behind. */
const large = (bytes: number, where: "first" | "last"): string =>
  where === "first"
    ? `{"type":"order.paid","token":"${TOKEN}","data":"${"x".repeat(bytes)}"}`
    : `{"type":"order.paid","data":"${"x".repeat(bytes)}","token":"${TOKEN}"}`;

async function refused(running: RunningIngest, reason: string): Promise<number> {
  const { values } = await running.metrics.strangersRefused.get();
  return values.find(({ labels }) => labels.reason === reason)?.value ?? 0;
}

describe("bodies of strangers", () => {
  it.each<[string, IngestSetup, string]>([
    ["in a namespace without a token", { tokens: [TOKEN] }, "nowhere"],
    ["where static tokens are off", { reviewer: { who: () => ({ user: "u" }) } }, "shop"],
    ["in a namespace whose tokens are all gone", { tokens: [] }, "shop"],
  ])("are not asked for %s: 401 at the head", async (_, setup, namespace) => {
    const running = await runningIngest(setup);
    cleanups.push(() => running.stop());
    const raw = await client(running)
      .send(head(50, namespace, "Expect: 100-continue\r\n"))
      .until(/unauthenticated/);
    expect(raw).toMatch(/^HTTP\/1\.1 401 /);
  });

  it("270 that hold a large one back hinder no producer, whichever way he shows his token", { timeout: 60_000 }, async () => {
    const running = await start();
    for (const namespace of ["nowhere", "shop"]) {
      const crowd = crowdAt(running);
      await crowd.come(270, head(262_144, namespace) + "x".repeat(namespace === "shop" ? 16_000 : 200_000));
      for (let i = 0; i < 5; i++) {
        expect(statusOf(await alone(running.port, byHeader()))).toBe(202);
        expect(statusOf(await alone(running.port, byBody()))).toBe(202);
      }
    }
  });

  it("that have no token in their first 16 KiB are read no further, and told why", async () => {
    const running = await start();
    const raw = await client(running)
      .send(head(200_000) + large(100_000, "last").slice(0, 20_000))
      .until(/unauthenticated/);
    expect(raw).toMatch(/^HTTP\/1\.1 401 /);
    expect(lastBody(raw)["detail"]).toContain("The first 16384 bytes of the body contain no field token");
    expect(await refused(running, "no_token")).toBe(1);
    expect(statusOf(await alone(running.port, whole(large(100_000, "last"))))).toBe(401);
    expect(running.intake.admitted).toBe(0);
  });

  it.each([
    ["JSON", large(200_000, "first"), "application/json"],
    ["a form", `token=${TOKEN}&a=${"x".repeat(200_000)}`, "application/x-www-form-urlencoded"],
    ["JSON below 16 KiB, the token last", large(15_000, "last"), "application/json"],
    ["a form below 16 KiB, the token last", `a=${"x".repeat(15_000)}&token=${TOKEN}`, "application/x-www-form-urlencoded"],
  ])("of %s with the token in its beginning are taken whole, without the token", async (_, body, contentType) => {
    const running = await start();
    const answer = await fetch(`${running.url}/v1/namespaces/shop/hooks/order.paid`, {
      method: "POST",
      headers: { "content-type": contentType },
      body,
    });
    expect(answer.status).toBe(200);
    const { id } = (await answer.json()) as { id: string };
    const data = Buffer.from((await running.store.readEvent("shop", id))?.data ?? []).toString();
    expect(data).not.toContain(TOKEN);
    expect(data.length).toBeGreaterThan(body.length - TOKEN.length - 20);
  });

  it("that show another token later are refused", async () => {
    const running = await start();
    const twice = `token=${TOKEN}&a=${"x".repeat(50_000)}&token=${TOKEN}`;
    const answer = await fetch(`${running.url}/v1/namespaces/shop/hooks/order.paid`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: twice,
    });
    expect(answer.status).toBe(401);
    expect(statusOf(await alone(running.port, whole(`{"token":"${TOKEN}","data":"${"x".repeat(50_000)}","token":"b"}`)))).toBe(400);
    expect(running.intake.admitted).toBe(0);
  });

  it("give way to the newest when they are too many: the oldest is told so, and nobody's is held for ever", async () => {
    const running = await start({ limits: { strangers: 3 } });
    const waiting = Array.from({ length: 3 }, () => client(running));
    for (const raw of waiting) await raw.send(head(100, "shop", "Expect: 100-continue\r\n")).until(/100 Continue/);
    for (let i = 0; i < 3; i++) expect(statusOf(await alone(running.port, byBody()))).toBe(202);
    const raw = await waiting[0]!.until(/overloaded/);
    expect(lastBody(raw)["detail"]).toContain("3 requests are waiting for a token in their body");
    expect(raw).toMatch(/retry-after: 1/i);
    // A place that is free again is used: one newcomer at a time needs one.
    expect(await refused(running, "room")).toBe(1);
    const body = `{"type":"order.paid","token":"${TOKEN}"}`.padEnd(100);
    expect(statusOf((await waiting[2]!.send(body).until(/correlationId/)).replace(/^.*?\r\n\r\n/s, ""))).toBe(202);
  });

  it("have 5 s", async () => {
    const clock = new ManualClock();
    const running = await start({ clock });
    const raw = client(running).send(head(10_000, "shop", "Expect: 100-continue\r\n"));
    await raw.until(/100 Continue/);
    raw.send(" ".repeat(9_000));
    expect(statusOf(await alone(running.port, byHeader()))).toBe(202);
    await clock.advance(4_000);
    expect(raw.received).not.toContain("408");
    await clock.advance(2_000);
    expect(lastBody(await raw.until(/request_timeout/))["detail"]).toContain("within 5 s");
    expect(await refused(running, "late")).toBe(1);
    await clock.advance(LINGER_MS + 500);
    await raw.closed;
  });

  it("are the namespace's from the token on: its share of bytes and requests counts, and the connection is known", async () => {
    const running = await start({ limits: { bodyBytesHeld: 60_000, strangerIdleMs: 300 } });
    const body = large(100_000, "first");
    const raw = client(running).send(head(body.length));
    raw.send(body.slice(0, 17_000));
    raw.send(body.slice(17_000));
    expect(lastBody(await raw.until(/overloaded/))["detail"]).toContain("bytes of requests of namespace shop are already held");
    const known = client(running).send(whole(`{"type":"order.paid","token":"${TOKEN}"}`, ""));
    await known.until(/correlationId/);
    const stranger = client(running).send("OPTIONS /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\n\r\n");
    await stranger.closed;
    expect(known.socket.destroyed).toBe(false);
    // Nothing is counted twice, or for ever.
    await expect.poll(async () => statusOf(await alone(running.port, byHeader())), PATIENT).toBe(202);
  });
});
