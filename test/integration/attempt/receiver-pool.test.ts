import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ReceiverPool } from "../../../src/attempt/http/receiver-pool.ts";
import type { DispatchHandler } from "../../../src/attempt/http/receiver-pool.ts";
import { Changes } from "../../support/until.ts";

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** A receiver that answers `/hold…` when the test says so, with a clock that only the test moves. */
async function world(connections: number, lifeMs = 60_000) {
  const changes = new Changes();
  const held = new Map<string, ServerResponse>();
  const seen = { connections: 0, requests: [] as string[] };
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      const { url = "" } = request;
      seen.requests.push(url);
      if (url.startsWith("/hold")) held.set(url, response);
      else response.end("fine");
      changes.happened();
    });
  });
  server.on("connection", () => (seen.connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  let nowMs = 0;
  const pool = new ReceiverPool({
    origin: `http://127.0.0.1:${port}`,
    connections,
    connect: async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      return { socket, times: { dnsMs: undefined, connectMs: 1, tlsMs: undefined }, lifeMs };
    },
    clock: { monotonicMs: () => nowMs },
  });
  endings.push(async () => {
    await pool.destroy();
    server.closeAllConnections();
    server.close();
  });
  /** Sends; answers the status, or the error's name. */
  const send = (path: string, then?: () => void): Promise<string> =>
    new Promise((resolve) => {
      let status = 0;
      const handler: DispatchHandler = {
        onResponseStart: (_controller, code) => (status = code),
        onResponseEnd: () => {
          then?.();
          resolve(String(status));
        },
        onResponseError: (_controller, error) => resolve(error.name),
      };
      pool.dispatch({ method: "POST", path, headers: [], body: Buffer.from("{}") }, handler);
    });
  const answer = (path: string): unknown => held.get(path)?.end("late");
  const advance = (ms: number): unknown => (nowMs += ms);
  return { pool, seen, send, answer, advance, until: (isSo: () => boolean) => changes.until(isSo) };
}

describe("a pool of connections", () => {
  it("sends a request that follows another at its very end on the same connection", async () => {
    const { seen, send } = await world(4);
    const last = Promise.withResolvers<string>();
    const follow = (left: number): void => {
      if (left === 0) last.resolve("done");
      else void send(`/${left}`, () => follow(left - 1));
    };
    follow(20);
    await last.promise;
    expect([seen.requests.length, seen.connections]).toEqual([20, 1]);
  });

  it("makes no more connections than it may; who comes then waits, in order, and is served", async () => {
    const { pool, seen, send, answer, until } = await world(2);
    const first = [send("/hold-1"), send("/hold-2")];
    await until(() => seen.requests.length === 2);
    const waiting = [send("/3"), send("/4"), send("/5")];
    expect([pool.connected, pool.requests]).toEqual([2, 5]);
    answer("/hold-2");
    expect(await Promise.all(waiting)).toEqual(["200", "200", "200"]);
    expect(seen.requests.slice(2)).toEqual(["/3", "/4", "/5"]);
    answer("/hold-1");
    expect(await Promise.all(first)).toEqual(["200", "200"]);
    expect([seen.connections, pool.requests]).toEqual([2, 0]);
  });

  it("makes another connection when one is old, also under a receiver that never rests", async () => {
    const { pool, seen, send, advance } = await world(1, 1_000);
    const last = Promise.withResolvers<string>();
    const follow = (left: number): void => {
      advance(300);
      if (left === 0) last.resolve("done");
      else void send(`/${left}`, () => follow(left - 1));
    };
    follow(20);
    await last.promise;
    expect(seen.requests).toHaveLength(20);
    expect(seen.connections).toBeGreaterThanOrEqual(4);
    expect(pool.requests).toBe(0);
  });

  it("closes once all has ended, what waits too", async () => {
    const { pool, seen, send, answer, until } = await world(1);
    const sent = [send("/hold-1"), send("/2")];
    await until(() => seen.requests.length === 1);
    let isClosed = false;
    const closed = pool.close().then(() => (isClosed = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isClosed).toBe(false);
    answer("/hold-1");
    expect(await Promise.all(sent)).toEqual(["200", "200"]);
    await closed;
    expect(pool.connected).toBe(0);
  });

  it("destroyed, it cuts off what is under way and refuses what waits and what comes", async () => {
    const { pool, seen, send, until } = await world(1);
    const sent = [send("/hold-1"), send("/2")];
    await until(() => seen.requests.length === 1);
    await pool.destroy();
    expect(await Promise.all([...sent, send("/3")])).toEqual(["ClientDestroyedError", "ClientDestroyedError", "ClientDestroyedError"]);
    expect(seen.requests).toEqual(["/hold-1"]);
  });

  it("tells the handler of a request that cannot be built, and goes on", async () => {
    const { pool, send } = await world(1);
    const failed = Promise.withResolvers<string>();
    const handler: DispatchHandler = { onResponseError: (_controller, error) => failed.resolve(error.name) };
    pool.dispatch({ method: "POST", path: "/", headers: ["x", "a\r\nb"], body: Buffer.from("{}") }, handler);
    expect(await failed.promise).toBe("InvalidArgumentError");
    expect(await send("/after")).toBe("200");
  });
});
