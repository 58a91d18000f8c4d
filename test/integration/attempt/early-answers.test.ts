import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function receiver(onHead: (socket: Socket) => void): Promise<{ readonly port: number; readonly heads: string[] }> {
  const heads: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    endings.push(() => socket.destroy());
    socket.once("data", (chunk: Buffer) => {
      heads.push(chunk.toString("latin1").split("\r\n\r\n")[0] ?? "");
      onHead(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, heads };
}

function attempter(): HttpAttempter {
  const made = new HttpAttempter({ clock: new SystemClock(), version: "1" });
  endings.push(() => made.close());
  return made;
}

// nodejs/node#54366, encode/httpcore#723: the answer counts, not the EPIPE of a body that nobody reads.
describe("a receiver that answers the head alone, while 4 MiB of body are still on their way", () => {
  const event = anEvent({ data: Buffer.from(`"${"x".repeat(4 * 1024 * 1024)}"`) });

  test.each([
    ["413 and an end", "413 Content Too Large", (socket: Socket): void => void socket.end(), "client_error", 413],
    ["401 and an end", "401 Unauthorized", (socket: Socket): void => void socket.end(), "client_error", 401],
    ["503 and an end of the whole connection", "503 Busy", (socket: Socket): void => socket.destroySoon(), "server_error", 503],
    ["200 and an end", "200 OK", (socket: Socket): void => void socket.end(), "success", 200],
  ] as const)("%s", async (_what, status, end, outcomeClass, statusCode) => {
    const { port } = await receiver((socket) => {
      socket.pause();
      socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`);
      end(socket);
    });
    const route = aRoute({ url: `http://127.0.0.1:${port}/`, policy: { timeoutMs: 10_000 } });
    const { outcome } = await attempter().attempt({ route, event, attempt: 1 });
    expect(outcome).toMatchObject({ class: outcomeClass, statusCode });
  });
});

// apache/hertzbeat#3778, appwrite/appwrite#13196: signed URLs hold in the spelling that the signer used.
describe("a URL's path and query are sent byte for byte", () => {
  test.each([
    "/hook?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sig=AbC_d-9%3D",
    "/a//b/",
    "/p?a=%zz&b=+&c=;d",
    "/%C3%BC?q=%c3%bc",
    "/p?a=b&a=c&&=",
    "/p/%2e%2E%2f/x",
    "/p;v=1,2?x=[1]",
  ])("%s", async (target) => {
    const { port, heads } = await receiver((socket) => socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
    const route = aRoute({ url: `http://127.0.0.1:${port}${target}` });
    expect((await attempter().attempt({ route, event: anEvent(), attempt: 1 })).outcome.class).toBe("success");
    expect(heads[0]?.split("\r\n")[0]).toBe(`POST ${target} HTTP/1.1`);
  });
});
