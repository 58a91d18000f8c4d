import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import type { AttemptDone } from "../../../src/delivery/attempter.ts";
import { INTERIM_RESPONSES_MAX } from "../../../src/attempt/http/receiver-exchange.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { parseKey } from "../../../src/core/signing/sign.ts";
import { RECIPES } from "../../support/signing/recipes.ts";
import { aKey, anEvent, aRoute, WHSEC } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";
import { UNSIGNED } from "../../support/routes.ts";

let attempter: HttpAttempter;
const servers: Server[] = [];
const sockets = new Set<Socket>();

beforeEach(() => {
  attempter = new HttpAttempter({ clock: new SystemClock(), version: "9.9.9" });
});
afterEach(async () => {
  await attempter.close();
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=secret`;
}

interface Seen {
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

async function receiver(
  answer: (res: ServerResponse, seen: Seen) => void,
): Promise<{ url: string; seen: Seen[]; connections: () => number }> {
  const seen: Seen[] = [];
  let connections = 0;
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const one = { headers: req.headers, body: Buffer.concat(chunks) };
      seen.push(one);
      answer(res, one);
    });
  });
  server.on("connection", () => (connections += 1));
  return { url: await listen(server), seen, connections: () => connections };
}

/** A server that reads one request's head and then does as told with the raw socket. */
async function raw(act: (socket: Socket) => void): Promise<string> {
  return listen(createTcpServer((socket) => socket.once("data", () => act(socket))));
}

function send(url: string, change: Partial<RouteChange> = {}): Promise<AttemptDone> {
  return attempter.attempt({ route: aRoute({ url, ...change }), event: anEvent(), attempt: 1 });
}

/** One turn of the event loop: a completion is durable, so later, before its slot is used again; by then undici has taken the connection back. */
function aTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("a receiver that behaves", () => {
  test("gets a signed Standard Webhook with the data's bytes as received", async () => {
    const { url, seen } = await receiver((res) => res.writeHead(204).end());
    const done = await send(url, { target: { headers: [["X-Team", "a"]], authorization: "Bearer abc" } });
    expect(done.outcome).toMatchObject({ class: "success", statusCode: 204, connectionStatus: "ok", tlsStatus: "none" });
    const { headers, body } = seen[0]!;
    expect(body.toString()).toBe(
      '{"type":"order.paid","timestamp":"2026-01-02T03:04:05Z","data":{"id":42,"price":10.50,"note":"\\u00e4"}}',
    );
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "user-agent": "Postrider/9.9.9",
      "webhook-id": anEvent().id,
      "x-team": "a",
      authorization: "Bearer abc",
    });
    expect(() => new Webhook(WHSEC).verify(body.toString(), headers as Record<string, string>)).not.toThrow();
    expect(done.url).toMatch(/\/hook\?\[redacted\]$/);
    const shown = new Map(done.requestHeaders.map(([name, value]) => [name, value]));
    expect(shown.get("authorization")).toBe("[redacted]");
    expect(shown.get("X-Team")).toBe("[redacted]");
    expect(shown.get("webhook-id")).toBe(anEvent().id);
  });

  test.each(["StandardWebhooks", "CloudEventsStructured", "CloudEventsBinary", "Form", "Raw"] as const)(
    "verifies what comes as %s over its very bytes, by every scheme",
    async (format) => {
      const { url, seen } = await receiver((res) => res.end());
      for (const { name, signing, secret, genuine } of RECIPES) {
        const parsed = parseKey(signing.scheme, Buffer.from(secret));
        if (!parsed.ok) throw new Error(parsed.problem.message);
        const spec = { payload: { format, formParameter: "payload", body: undefined }, signing };
        await send(url, { uid: name, spec, target: { keys: [parsed.key] } });
        const { headers, body } = seen.at(-1)!;
        if (format === "Form") expect(body.toString()).toMatch(/^payload=%7B/);
        const request = { url, headers: headers as Record<string, string>, body };
        expect(await genuine(request, parsed.key), name).toBe(true);
        if (signing.scheme !== "TimestampToken")
          expect(await genuine({ ...request, body: Buffer.concat([body, Buffer.from(" ")]) }, parsed.key), name).toBe(false);
      }
      expect(seen).toHaveLength(RECIPES.length);
    },
  );

  test("is verified by a receiver that knows either listed key", async () => {
    const other = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    const { url, seen } = await receiver((res) => res.end());
    await send(url, { target: { keys: [aKey(), aKey(other)] } });
    for (const secret of [WHSEC, other]) {
      expect(() => new Webhook(secret).verify(seen[0]!.body.toString(), seen[0]!.headers as Record<string, string>)).not.toThrow();
    }
  });

  test("keeps its id and gets no signature under scheme None", async () => {
    const { url, seen } = await receiver((res) => res.end());
    await send(url, { target: { keys: [] }, spec: { signing: UNSIGNED } });
    expect(seen[0]!.headers["webhook-id"]).toBe(anEvent().id);
    expect(seen[0]!.headers["webhook-signature"]).toBeUndefined();
  });

  test("gets traceparent passed on", async () => {
    const { url, seen } = await receiver((res) => res.end());
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await attempter.attempt({ route: aRoute({ url }), event: anEvent({ extensions: { traceparent } }), attempt: 1 });
    expect(seen[0]!.headers["traceparent"]).toBe(traceparent);
  });

  test("sees one connection for attempts that follow each other", async () => {
    const { url, seen, connections } = await receiver((res) => res.end("ok"));
    const route = aRoute({ url });
    for (let i = 0; i < 5; i++) {
      await attempter.attempt({ route, event: anEvent(), attempt: 1 });
      await aTurn();
    }
    expect(seen).toHaveLength(5);
    expect(connections()).toBe(1);
  });

  test("sees at most maxInFlight connections", async () => {
    const waiting: ServerResponse[] = [];
    const { url, connections } = await receiver((res) => {
      waiting.push(res);
      if (waiting.length >= 3) for (const one of waiting) one.end();
    });
    const route = aRoute({ url, policy: { maxInFlight: 3 } });
    const done = await Promise.all(Array.from({ length: 6 }, () => attempter.attempt({ route, event: anEvent(), attempt: 1 })));
    expect(done.map(({ outcome }) => outcome.class)).toEqual(Array.from({ length: 6 }, () => "success"));
    expect(connections()).toBe(3);
  });

  test("two subscriptions never share a connection", async () => {
    const { url, connections } = await receiver((res) => res.end());
    await send(url, { uid: "a" });
    await send(url, { uid: "b" });
    expect(connections()).toBe(2);
  });
});

describe("the status line decides", () => {
  test.each([
    [200, "success", "HTTP 200 OK"],
    [301, "client_error", "not followed"],
    [400, "client_error", "HTTP 400 Bad Request"],
    [410, "client_error", "HTTP 410 Gone"],
    [503, "server_error", "HTTP 503 Service Unavailable"],
    ["999", "client_error", "status 999"],
    ["099", "client_error", "status 99"],
    ["000", "client_error", "status 0,"],
  ])("%s is %s", async (status, outcomeClass, message) => {
    const url = await raw((socket) =>
      socket.end(`HTTP/1.1 ${status} X\r\nlocation: http://127.0.0.1:1/x?key=1\r\ncontent-length: 0\r\n\r\n`),
    );
    const { outcome } = await send(url);
    expect(outcome).toMatchObject({ class: outcomeClass, statusCode: Number(status) });
    expect(outcome.message).toContain(message);
    expect(JSON.stringify(outcome)).not.toContain("key=1");
  });

  test("a code outside the policy's success codes is none", async () => {
    const { url } = await receiver((res) => res.writeHead(204).end());
    const { outcome } = await send(url, { policy: { successCodes: [{ from: 200, to: 200 }] } });
    expect(outcome).toMatchObject({ class: "client_error", statusCode: 204 });
  });

  test("a redirect makes no second request", async () => {
    const target = await receiver((res) => res.end());
    const { url, seen } = await receiver((res) => res.writeHead(307, { location: target.url }).end());
    expect((await send(url)).outcome.class).toBe("client_error");
    expect(seen).toHaveLength(1);
    expect(target.seen).toHaveLength(0);
  });

  test("Retry-After is read strictly and clamped", async () => {
    const answers = ["120", "-5", "9999999999"];
    const { url } = await receiver((res) => res.writeHead(503, { "retry-after": answers.shift() }).end());
    expect((await send(url)).outcome.retryAfterMs).toBe(120_000);
    expect((await send(url)).outcome.retryAfterMs).toBeUndefined();
    expect((await send(url)).outcome.retryAfterMs).toBe(3_600_000);
  });

  test("an answer is kept up to its cap and the socket let go, the outcome is still success", async () => {
    const url = await raw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n");
      const chunk = Buffer.alloc(65_536, 97);
      const pump = (): void => {
        while (socket.writable && socket.write(chunk));
      };
      socket.on("drain", pump);
      pump();
    });
    const { outcome } = await send(url);
    expect(outcome).toMatchObject({ class: "success", statusCode: 200 });
    expect(outcome.responseBody).toHaveLength(4_096);
  });

  test("nothing is kept with captureResponse off, and short answers still leave the connection open", async () => {
    const { url, connections } = await receiver((res) => res.end("private words"));
    const spec = { history: { captureResponse: false, answerInResults: false, recordIdField: undefined } };
    expect((await send(url, { spec })).outcome.responseBody).toHaveLength(0);
    await aTurn();
    await send(url, { spec });
    expect(connections()).toBe(1);
  });

  test("a dripping body does not outlive the deadline nor undo the status", async () => {
    let timer: NodeJS.Timeout | undefined;
    const url = await raw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
      timer = setInterval(() => socket.write("x"), 20);
      socket.on("close", () => clearInterval(timer));
    });
    const { outcome } = await send(url, { policy: { timeoutMs: 200 } });
    expect(outcome).toMatchObject({ class: "success", statusCode: 200 });
    expect(outcome.durationMs).toBeLessThan(1_000);
  });

  test("an answer that breaks off after its status line counts by its status", async () => {
    const url = await raw((socket) => socket.end("HTTP/1.1 500 X\r\ncontent-length: 10\r\n\r\nhalf"));
    expect((await send(url)).outcome).toMatchObject({ class: "server_error", statusCode: 500 });
  });
});

describe("a receiver that misbehaves", () => {
  test.each([
    ["never answers", () => undefined],
    ["drips its head", (socket: Socket) => void setInterval(() => socket.write("x"), 20).unref()],
    [
      "drips headers",
      (socket: Socket) => (socket.write("HTTP/1.1 200 OK\r\n"), void setInterval(() => socket.write("a: b\r\n"), 20).unref()),
    ],
  ])("%s: timeout at the deadline", async (_name, act) => {
    const url = await raw(act);
    const { outcome } = await send(url, { policy: { timeoutMs: 150 } });
    expect(["timeout", "connect_error"]).toContain(outcome.class);
    expect(outcome.durationMs).toBeLessThan(1_000);
    expect(outcome.statusCode).toBeUndefined();
  });

  test("a silent receiver is a timeout and its words say so", async () => {
    const url = await raw(() => undefined);
    const { outcome } = await send(url, { policy: { timeoutMs: 150 } });
    expect(outcome).toMatchObject({ class: "timeout", connectionStatus: "ETIMEDOUT", message: "no answer within 0.15 s" });
    expect(outcome.durationMs).toBeGreaterThanOrEqual(149);
  });

  test.each([
    ["garbage", "GARBAGE\r\n\r\n"],
    ["HTTP/0.9", "<html>hello</html>"],
    ["an endless head", `HTTP/1.1 200 OK\r\n${"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(2_000)}`],
    ["both lengths", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"],
    ["101", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
    ["100", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["a 103 flood", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(INTERIM_RESPONSES_MAX + 1)],
    ["an early close", ""],
  ])("%s is a connect_error, told for a person", async (_name, answer) => {
    const url = await raw((socket) => socket.end(answer));
    const { outcome } = await send(url);
    expect(outcome.class).toBe("connect_error");
    expect(outcome.message).toMatch(/receiver/);
    expect(outcome.connectionStatus).not.toBe("ok");
  });

  test("a few interim answers are skipped", async () => {
    const url = await raw((socket) => socket.end("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    expect((await send(url)).outcome).toMatchObject({ class: "success", statusCode: 200 });
  });

  test("a reset is a connect_error", async () => {
    const url = await raw((socket) => socket.resetAndDestroy());
    expect((await send(url)).outcome).toMatchObject({ class: "connect_error", connectionStatus: "ECONNRESET" });
  });

  test("a refused connection says so", async () => {
    const server = createTcpServer();
    const url = await listen(server);
    servers.splice(servers.indexOf(server), 1);
    server.close();
    await once(server, "close");
    expect((await send(url)).outcome).toMatchObject({
      class: "connect_error",
      connectionStatus: "ECONNREFUSED",
      message: "connection refused",
    });
  });

  test("a receiver that hangs does not hold up another subscription", async () => {
    const dead = await raw(() => undefined);
    const { url } = await receiver((res) => res.end());
    const hanging = Promise.all(Array.from({ length: 8 }, () => send(dead, { uid: "dead", policy: { timeoutMs: 400 } })));
    const { outcome } = await send(url, { uid: "quick" });
    expect(outcome.class).toBe("success");
    expect(outcome.durationMs).toBeLessThan(300);
    expect((await hanging).every(({ outcome }) => outcome.class === "timeout")).toBe(true);
  });
});

describe("closing", () => {
  test("ends what is under way as connect_error", async () => {
    const url = await raw(() => undefined);
    const under = send(url, { policy: { timeoutMs: 60_000 } });
    await attempter.close();
    expect((await under).outcome).toMatchObject({ class: "connect_error", connectionStatus: "ECANCELED" });
  });

  test("a forgotten subscription's connections are closed once idle, and it can be sent to again", async () => {
    const { url, connections } = await receiver((res) => res.end());
    await send(url);
    const [socket] = sockets;
    attempter.forget("uid-1");
    await once(socket!, "close");
    expect((await send(url)).outcome.class).toBe("success");
    expect(connections()).toBe(2);
  });
});
