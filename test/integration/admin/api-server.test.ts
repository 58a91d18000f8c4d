import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiServer } from "../../../src/admin/api-server.ts";
import { ApiTokenAuthenticator } from "../../../src/admin/authenticator.ts";
import { tokenDigest } from "../../../src/core/access-token.ts";
import { EVENT_BYTES_MAX } from "../../../src/core/event.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { silentLog } from "../../support/silent-log.ts";
import { UNREACHED } from "../../support/door/unreached.ts";

const TOKEN = "a-token-of-sixteen-bytes";
const TEST_PATH = "/v1/namespaces/shop/subscriptions/orders/test";

describe("the API's server", () => {
  const log = silentLog;
  const errors = vi.spyOn(log, "error");
  let url: string;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    const server = new ApiServer({
      listen: { host: "127.0.0.1", port: 0 },
      authenticator: new ApiTokenAuthenticator({ tokens: { tokens: (namespace) => (namespace === "shop" ? [tokenDigest(TOKEN)] : []) } }),
      log,
      watch: { open: () => undefined, closed: () => undefined, shaken: () => undefined },
      clock: new SystemClock(),
      deliveryNames: testDeliveryNames,
      store: UNREACHED.store,
      directory: UNREACHED.directory,
      acts: UNREACHED.acts,
    });
    url = await server.open();
    stop = new AbortController();
    running = server.run(stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await running;
  });

  it("answers a body that is too long while the rest of it is still to come", async () => {
    const call = request(`${url}${TEST_PATH}`, { method: "POST", headers: { authorization: `Bearer ${TOKEN}` } });
    call.write(Buffer.alloc(EVENT_BYTES_MAX + 1, " "));
    const [answer] = (await once(call, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(413);
    expect(answer.headers.connection).toBe("close");
    expect(JSON.parse(await text(answer))).toMatchObject({ code: "request_too_large" });
    call.on("error", () => undefined).destroy();
  });

  it("never takes an unread body for the next request", async () => {
    const { port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    const smuggled = `GET /v1/namespaces/shop/subscriptions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
    socket.write(`POST ${TEST_PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length + 1000}\r\n\r\n${smuggled}`);
    const answer = await text(socket);
    expect(answer.match(/HTTP\/1\.1 \d{3}/g)).toEqual(["HTTP/1.1 401"]);
  });

  it("does not take a caller who hangs up for a mistake of its own", async () => {
    errors.mockClear();
    const { port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    const head = `POST ${TEST_PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n`;
    socket.write(head);
    // Told to go on, the server reads the body.
    await once(socket, "data");
    socket.resetAndDestroy();
    stop.abort();
    await running;
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(errors).not.toHaveBeenCalled();
  });

  it("lets nobody in by two Authorization headers, a query or a header that overrides the method", async () => {
    const ask = async (path: string, headers: string[]): Promise<number> => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.write([`GET ${path} HTTP/1.1`, "Host: a", "Connection: close", ...headers, "", ""].join("\r\n"));
      return Number((await text(socket)).slice(9, 12));
    };
    const good = `Authorization: Bearer ${TOKEN}`;
    const list = "/v1/namespaces/shop/subscriptions";
    expect(await ask(list, [good])).toBe(200);
    expect(await ask(list, [good, good])).toBe(401);
    expect(await ask(`${list}?token=${TOKEN}`, [])).toBe(401);
    expect(await ask("/v1/namespaces/other/subscriptions", [good])).toBe(401);
    expect(await ask("/v1/namespaces/shop/../other/subscriptions", [good])).toBe(404);
    expect(await ask(TEST_PATH, [good, "X-HTTP-Method-Override: POST"])).toBe(405);
  });
});
