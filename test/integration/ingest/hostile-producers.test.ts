import { afterEach, describe, expect, it } from "vitest";
import { LINGER_MS } from "../../../src/ingest/exchange.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { lastBody, RawClient, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
const clients: RawClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await ingest?.stop();
  ingest = undefined;
});

async function start(setup?: IngestSetup): Promise<RunningIngest> {
  ingest = await runningIngest(setup);
  return ingest;
}

function client(running: RunningIngest): RawClient {
  const raw = new RawClient(running.port);
  clients.push(raw);
  return raw;
}

const BODY = '{"type":"order.paid"}';
const head = (extra = "", line = "POST /v1/namespaces/shop/events HTTP/1.1"): string =>
  `${line}\r\nHost: x\r\nContent-Type: application/json\r\n${extra}`;
const whole = (body = BODY): string => `${head(`Content-Length: ${body.length}\r\n\r\n`)}${body}`;
const status = (raw: string): string[] => [...raw.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => match[1] ?? "");

/** After every attack an ordinary request must still be served. */
async function stillServes(running: RunningIngest): Promise<void> {
  expect((await running.post(BODY)).status).toBe(202);
}

describe("heads that are not what they should be", () => {
  it.each([
    ["content-type", "Content-Type: text/plain\r\nContent-Length: 21\r\n"],
    ["idempotency-key", "Idempotency-Key: a\r\nIDEMPOTENCY-KEY: b\r\nContent-Length: 21\r\n"],
    ["authorization", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 21\r\n"],
    ["ce-id", "ce-id: a\r\nCE-Id: a\r\nContent-Length: 21\r\n"],
    ["host", "Host: y\r\nContent-Length: 21\r\n"],
    ["content-encoding", "Content-Encoding: identity\r\nContent-Encoding: identity\r\nContent-Length: 21\r\n"],
  ])("%s twice", async (name, headers) => {
    const running = await start();
    const raw = await client(running)
      .send(`${head(headers)}\r\n${BODY}`)
      .finish().closed;
    expect(status(raw)).toEqual(["400"]);
    expect(lastBody(raw)).toMatchObject({ code: "duplicate_header", detail: expect.stringContaining(name) });
    expect(running.intake.admitted).toBe(0);
    await stillServes(running);
  });

  it.each([
    ["two lengths", head(`Content-Length: 21\r\nContent-Length: 22\r\n\r\n${BODY}`)],
    ["length and chunked", head(`Content-Length: 21\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`)],
    ["a length that is no number", head(`Content-Length: 2x\r\n\r\n${BODY}`)],
    ["a negative length", head(`Content-Length: -1\r\n\r\n${BODY}`)],
    ["a space before the colon", head(`Content-Length : 21\r\n\r\n${BODY}`)],
    ["a folded header", head(`X-A: a\r\n b\r\nContent-Length: 21\r\n\r\n${BODY}`)],
    ["a NUL in a header", head(`X-A: a\u0000b\r\nContent-Length: 21\r\n\r\n${BODY}`)],
    ["no Host", `POST /v1/namespaces/shop/events HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n${BODY}`],
    ["TLS on a plain port", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003"],
    ["garbage", "\u0000\u0001\u0002\r\n\r\n"],
    ["HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a bad chunk size", head("Transfer-Encoding: chunked\r\n\r\nzz\r\n")],
  ])("%s", async (_what, text) => {
    const running = await start();
    const raw = await client(running).send(text).finish().closed;
    expect(status(raw)).toEqual(["400"]);
    expect(lastBody(raw)["code"]).toMatch(/^(malformed_request|duplicate_header)$/);
    expect(running.intake.admitted).toBe(0);
    await stillServes(running);
  });

  it("headers over 16 KiB are 431", async () => {
    const running = await start();
    const raw = await client(running).send(head(`X-A: ${"a".repeat(20_000)}\r\n`)).closed;
    expect(status(raw)).toEqual(["431"]);
    expect(lastBody(raw)["code"]).toBe("headers_too_large");
    await stillServes(running);
  });

  it("headers that never end are 408, silence is closed", async () => {
    const running = await start({ limits: { headersDeadlineMs: 200 } });
    const silent = client(running);
    const raw = await client(running).send(head()).closed;
    expect(status(raw)).toEqual(["408"]);
    expect(lastBody(raw)["code"]).toBe("request_timeout");
    await silent.closed;
    await stillServes(running);
  });
});

describe("bodies that do not come as they should", () => {
  it("truncated: 400, nothing stored", async () => {
    const running = await start();
    const raw = await client(running)
      .send(head("Content-Length: 100\r\n\r\n") + BODY)
      .finish().closed;
    expect(status(raw)).toEqual(["400"]);
    expect(lastBody(raw)["code"]).toBe("body_truncated");
    expect(running.intake.admitted).toBe(0);
    await stillServes(running);
  });

  it("broken off without a word: counted, nothing stored, nothing held", async () => {
    const running = await start({ limits: { requests: 1 } });
    const raw = client(running).send(head("Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"));
    await raw.until(/100 Continue/);
    raw.socket.resetAndDestroy();
    await raw.closed;
    await expect.poll(() => running.metrics.expose()).toContain('ingest_requests_total{code="499"} 1');
    await stillServes(running);
  });

  it("chunked with no end: 413 at the limit, not later", async () => {
    const running = await start();
    const raw = client(running).send(head("Transfer-Encoding: chunked\r\n\r\n"));
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    for (let i = 0; i < 5; i++) raw.send(chunk);
    const answer = await raw.until(/event_too_large/);
    expect(status(answer)).toEqual(["413"]);
    raw.finish();
    await raw.closed;
    await stillServes(running);
  });

  it("a length that is too large: 413 before the body comes, and the sender can read it", async () => {
    const running = await start();
    const raw = client(running).send(head("Content-Length: 300000\r\n\r\n"));
    await raw.until(/event_too_large/);
    const all = await raw.send("x".repeat(300_000)).closed;
    expect(status(all)).toEqual(["413"]);
    expect(all).toMatch(/connection: close/i);
    await stillServes(running);
  });

  it("a refused body that never ends is cut", async () => {
    const clock = new ManualClock();
    const running = await start({ clock });
    const raw = client(running).send(head("Content-Length: 300000\r\n\r\n"));
    await raw.until(/event_too_large/);
    await clock.advance(LINGER_MS + 500);
    expect(status(await raw.closed)).toEqual(["413"]);
  });

  it("slow: 408 for a drip after 5 s, and at the deadline at any rate", async () => {
    const clock = new ManualClock();
    const running = await start({ clock });
    const drip = client(running).send(head("Expect: 100-continue\r\nContent-Length: 200000\r\n\r\n"));
    const steady = client(running).send(head("Expect: 100-continue\r\nContent-Length: 200000\r\n\r\n"));
    await Promise.all([drip.until(/100 Continue/), steady.until(/100 Continue/)]);
    steady.send("x".repeat(100_000));
    await expect.poll(() => (steady.socket.writableLength === 0 ? "sent" : "waiting")).toBe("sent");
    await stillServes(running);
    await clock.advance(6_000);
    const first = await drip.until(/request_timeout/);
    expect(lastBody(first)["detail"]).toContain("1024 bytes per second");
    expect(status(steady.received)).toEqual(["100"]);
    await clock.advance(25_000);
    expect(lastBody(await steady.until(/request_timeout/))["detail"]).toContain("30 s");
    await clock.advance(LINGER_MS + 500);
    await Promise.all([drip.closed, steady.closed]);
    expect(running.intake.admitted).toBe(1);
  });

  it("byte by byte, but in time: taken", async () => {
    const running = await start();
    const raw = client(running);
    for (const byte of whole()) raw.send(byte);
    expect(status(await raw.until(/correlationId/))).toEqual(["202"]);
  });
});

describe("expectations, pipelines and floods", () => {
  it("100-continue: asked to go on, or refused without the body", async () => {
    const running = await start();
    const good = client(running).send(head(`Expect: 100-continue\r\nContent-Length: ${BODY.length}\r\n\r\n`));
    await good.until(/100 Continue/);
    expect(status(await good.send(BODY).until(/correlationId/))).toEqual(["100", "202"]);
    const large = await client(running).send(head("Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n")).closed;
    expect(status(large)).toEqual(["413"]);
    const odd = await client(running)
      .send(head(`Expect: tea\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`))
      .finish().closed;
    expect(lastBody(odd)["code"]).toBe("expectation_unsupported");
  });

  it("pipelined requests are answered in order, each once", async () => {
    const running = await start();
    const raw = client(running).send(whole() + whole("{") + whole() + whole('{"type":"nobody"}'));
    const all = await raw.until(/"matched":0/);
    expect(status(all)).toEqual(["202", "400", "202", "202"]);
    expect(running.intake.committedEvents).toHaveLength(3);
  });

  it("garbage behind a request that waits for its commit never takes its place", async () => {
    const running = await start();
    // In one packet: the parser gives up before the request in front of it could be committed.
    const raw = await client(running).send(`${whole()}\u0000garbage\r\n\r\n`).closed;
    expect(status(raw)).toEqual(["202"]);
    expect(running.intake.committedEvents).toHaveLength(1);
  });

  it("the client that leaves while its event is committed loses nothing of others", async () => {
    let reached = (): void => undefined;
    const inStore = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const running = await start({
      accept: (request, store) => {
        reached();
        return store.accept(request);
      },
    });
    const raw = client(running).send(whole());
    await inStore;
    raw.socket.resetAndDestroy();
    await expect.poll(() => running.intake.committedEvents.length).toBe(1);
    await stillServes(running);
  });

  it("more requests than allowed at once: 503 with Retry-After, then served again", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const running = await start({ limits: { requests: 3 }, accept: async (request, store) => held.then(() => store.accept(request)) });
    const answers = Array.from({ length: 10 }, () => running.post(BODY));
    const refused: Response[] = [];
    for (const answer of answers) void answer.then((response) => (response.status === 503 ? refused.push(response) : 0));
    await expect.poll(() => refused.length).toBe(7);
    expect(refused[0]?.headers.get("retry-after")).toBe("1");
    release();
    const codes = (await Promise.all(answers)).map((answer) => answer.status).toSorted((a, b) => a - b);
    expect(codes).toEqual([202, 202, 202, 503, 503, 503, 503, 503, 503, 503]);
    expect(running.intake.committedEvents).toHaveLength(3);
    await stillServes(running);
  });

  it("more bytes than may be held: 503", async () => {
    const running = await start({ limits: { bodyBytesHeld: 1_000 } });
    const response = await running.post(`{"type":"a","data":"${"x".repeat(1_000)}"}`);
    expect(response.status).toBe(503);
    await stillServes(running);
  });

  it("one connection more than allowed is let in, and the one closed for it has been idle for longest", async () => {
    const running = await start({ limits: { connections: 4, strangerConnections: 4 } });
    const raws = Array.from({ length: 4 }, () => client(running));
    for (const raw of raws) await raw.send(whole()).until(/correlationId/);
    const first = raws[0]!;
    await first.send(whole()).until(/correlationId[\s\S]*correlationId/);
    expect(
      status(
        await client(running)
          .send(whole())
          .until(/correlationId/),
      ),
    ).toEqual(["202"]);
    await raws[1]!.closed;
    expect(status(await first.send(whole()).until(/(?:correlationId[\s\S]*){3}/))).toEqual(["202", "202", "202"]);
    expect(raws.map(({ socket }) => socket.destroyed)).toEqual([false, true, false, false]);
  });
});

describe("stopping", () => {
  it("answers what is under way, closes idle connections, takes no new ones", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let reached = (): void => undefined;
    const inStore = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const running = await start({
      accept: async (request, store) => {
        reached();
        await held;
        return store.accept(request);
      },
    });
    const idle = client(running).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await idle.until(/not_found/);
    const busy = client(running).send(whole());
    await inStore;
    running.abort.abort();
    await idle.closed;
    await expect(running.post(BODY)).rejects.toThrow();
    release();
    const raw = await busy.closed;
    expect(status(raw)).toEqual(["202"]);
    expect(raw).toMatch(/connection: close/i);
    await running.done;
  });

  it("cuts who never finishes", async () => {
    const running = await start({ drainMs: 50 });
    const raw = client(running).send(head("Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"));
    await raw.until(/100 Continue/);
    running.abort.abort();
    await running.done;
    expect(status(await raw.closed)).toEqual(["100", "503"]);
  });
});
