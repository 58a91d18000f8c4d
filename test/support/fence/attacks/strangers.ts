import type { Attack } from "../scene.ts";
import { pause, Sockets } from "./sockets.ts";

/** Attacks of those who hold no credential, only a socket. */
const HOST = "Host: 127.0.0.1\r\n";

/** Bodies announced and never finished, for namespaces that there are not. */
const halfBodies: Attack = {
  name: "400 bodies of 256 KiB without a token, never finished",
  run: ({ ingest }, signal) => {
    const body = Buffer.alloc(262_143, 0x20);
    const head = `POST /v1/namespaces/nowhere/events HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 262144\r\n\r\n`;
    return new Sockets(ingest).keep(400, Buffer.concat([Buffer.from(head), body]), signal);
  },
};

/** The same where a token in the body would be looked for. */
const halfSmallBodies: Attack = {
  name: "400 small bodies that may hold a token, never finished",
  run: ({ ingest }, signal) => {
    const head = `POST /v1/namespaces/good/events HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 9000\r\n\r\n{"a":"${"x".repeat(8_000)}`;
    return new Sockets(ingest).keep(400, head, signal);
  },
};

const idleIngest: Attack = {
  name: "8,400 idle connections to the ingest",
  residentMiB: 450,
  run: ({ ingest }, signal) => new Sockets(ingest).keep(8_400, `OPTIONS /v1/namespaces/good/events HTTP/1.1\r\n${HOST}\r\n`, signal),
};

const idleApi: Attack = {
  name: "1,200 idle connections to the API",
  run: ({ api }, signal) => new Sockets(api).keep(1_200, `GET / HTTP/1.1\r\n${HOST}\r\n`, signal),
};

const idleMetrics: Attack = {
  name: "200 idle connections to the metrics port",
  run: ({ metrics }, signal) => new Sockets(metrics).keep(200, `GET /livez HTTP/1.1\r\n${HOST}\r\n`, signal),
};

const slowHeads: Attack = {
  name: "slow heads, a header line a second, on all ports",
  residentMiB: 450,
  run: async (scene, signal) => {
    const all = [scene.ingest, scene.api, scene.metrics].map((url) => new Sockets(url));
    const kept = all.map((sockets, i) => sockets.keep(i === 0 ? 5_000 : 1_100, `GET /x HTTP/1.1\r\n${HOST}`, signal));
    while (!signal.aborted) {
      for (const sockets of all) sockets.send("X-A: b\r\n");
      await pause(1_000, signal);
    }
    await Promise.all(kept);
  },
};

const unreadScrapes: Attack = {
  name: "200 scrapes at a time that nobody reads",
  run: ({ metrics }, signal) => new Sockets(metrics).keep(200, `GET /metrics HTTP/1.1\r\n${HOST}\r\n`.repeat(50), signal, false),
};

const storm: Attack = {
  name: "connections opened and closed at once",
  run: async (scene, signal) => {
    while (!signal.aborted) {
      for (const url of [scene.ingest, scene.api, scene.metrics]) {
        const end = new AbortController();
        const kept = new Sockets(url).keep(100, `GET /livez HTTP/1.1\r\n${HOST}\r\n`, end.signal);
        await pause(30, signal);
        end.abort();
        await kept;
      }
    }
  },
};

const wrongTokens: Attack = {
  name: "wrong tokens, ever new ones",
  run: async ({ ingest }, signal) => {
    const sockets = new Sockets(ingest);
    const kept = sockets.keep(100, "", signal);
    for (let n = 0; !signal.aborted; n++) {
      const token = `wrong-${n}-${"x".repeat(2_000)}`;
      sockets.send(
        `POST /v1/namespaces/good/events HTTP/1.1\r\n${HOST}Authorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"type":"a.b"}`,
      );
      await pause(5, signal);
    }
    await kept;
  },
};

export const STRANGERS: readonly Attack[] = [
  halfBodies,
  halfSmallBodies,
  idleIngest,
  idleApi,
  idleMetrics,
  slowHeads,
  unreadScrapes,
  storm,
  wrongTokens,
];
