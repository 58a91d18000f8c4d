import { Agent, request } from "node:http";
import { defaultPolicy, subscription } from "../../manifests.ts";
import { type Attack, EVIL_SPACES, type Scene } from "../scene.ts";
import { again, pause, Sockets } from "./sockets.ts";

/** Attacks of those who may write subscriptions, publish and read in a namespace of their own. */
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const BATCH = "application/cloudevents-batch+json";

interface Sent {
  readonly scene: Scene;
  readonly signal: AbortSignal;
  readonly space?: string;
  readonly type?: string;
}

/** Posts and waits for the answer, whatever it is. A refusal with Retry-After is not obeyed: it is asked again in a moment. */
async function publish({ scene, signal, space = "evil", type = "application/json" }: Sent, body: string): Promise<void> {
  const headers = { authorization: `Bearer ${scene.tokenOf(space)}`, "content-type": type };
  const status = await new Promise<number>((done, fail) => {
    const sent = request(`${scene.ingest}/v1/namespaces/${space}/events`, { method: "POST", agent, headers, signal }, (response) => {
      response.resume().on("end", () => done(response.statusCode ?? 0));
    });
    sent.on("error", fail);
    sent.end(body);
  });
  if (status >= 400) await pause(5, signal);
}

const random = (chars: string, length: number): string =>
  Array.from({ length }, () => chars[Math.floor(Math.random() * chars.length)]).join("");

const WORST_PATTERN = `${".{0,999}".repeat(27)}[01]|a[ab]{999}[01]`;

const costlyPattern: Attack = {
  name: "a filter with a regular expression of 55,000 instructions",
  manifests: (receiver) => [
    subscription({
      name: "pattern",
      namespace: "evil",
      url: `${receiver}/quick`,
      types: ["pattern.*"],
      filter: `event.data.s.matches('${WORST_PATTERN}')`,
    }),
  ],
  run: (scene, signal) =>
    again(2, signal, () =>
      publish({ scene, signal }, JSON.stringify({ type: "pattern.x", data: { s: random("ab", 1_590) } })).then(() => pause(5, signal)),
    ),
};

/** Below the limit of a program's size, as much as it may cost. */
const allowedPatterns: Attack = {
  name: "filters with the largest regular expressions that are allowed, long texts",
  manifests: (receiver) =>
    Array.from({ length: 20 }, (_, i) =>
      subscription({
        name: `allowed-${i}`,
        namespace: "evil",
        url: `${receiver}/quick`,
        types: ["allowed.*"],
        filter: `event.data.s.matches('(a|b|ab|ba|[ab]{${10 + i}}){1,8}c$')`,
      }),
    ),
  run: (scene, signal) =>
    again(4, signal, () => publish({ scene, signal }, JSON.stringify({ type: "allowed.x", data: { s: random("ab", 200_000) } }))),
};

const patternFromData: Attack = {
  name: "a filter whose regular expression comes with the event",
  manifests: (receiver) => [
    subscription({
      name: "dynamic",
      namespace: "evil",
      url: `${receiver}/quick`,
      types: ["dynamic.*"],
      filter: "event.data.s.matches(event.data.p)",
    }),
  ],
  run: (scene, signal) =>
    again(4, signal, () => {
      const p = `${".{0,999}".repeat(20)}${random("ab", 12)}`;
      return publish({ scene, signal }, JSON.stringify({ type: "dynamic.x", data: { s: "aaaa", p } }));
    }),
};

const costlyBatch: Attack = {
  name: "batches of 1,000 events for filters with loops in loops",
  manifests: (receiver) =>
    Array.from({ length: 60 }, (_, i) =>
      subscription({
        name: `loops-${i}`,
        namespace: "evil",
        url: `${receiver}/quick`,
        types: ["loops.*"],
        filter: `event.data.a.all(x, event.data.a.all(y, x + y >= -${i + 1}))==false`,
      }),
    ),
  run: (scene, signal) => {
    const data = { a: Array.from({ length: 60 }, (_, i) => i) };
    const batch = Array.from({ length: 1_000 }, (_, i) => ({ specversion: "1.0", id: `${i}`, source: "/s", type: "loops.x", data }));
    const body = JSON.stringify(batch);
    return again(2, signal, () => publish({ scene, signal, type: BATCH }, body));
  },
};

const costlyBodies: Attack = {
  name: "bodies made by loops in loops",
  manifests: (receiver) =>
    Array.from({ length: 20 }, (_, i) =>
      subscription({
        name: `body-${i}`,
        namespace: "evil",
        url: `${receiver}/quick`,
        types: ["body.*"],
        more: ["payload:", `  body: '{"a": event.data.a.map(x, event.data.a.filter(y, x + y >= ${i}).size())}'`],
      }),
    ),
  run: (scene, signal) => {
    const data = { a: Array.from({ length: 150 }, (_, i) => i) };
    return again(4, signal, () => publish({ scene, signal }, JSON.stringify({ type: "body.x", data })));
  },
};

const slowReceivers: Attack = {
  name: "8 namespaces whose receivers answer 200 after 55 s",
  manifests: (receiver) =>
    EVIL_SPACES.flatMap((space) => [
      defaultPolicy(space, "timeout: 5m", "maxInFlight: 1024"),
      ...Array.from({ length: 4 }, (_, i) =>
        subscription({ name: `slow-${i}`, namespace: space, url: `${receiver}/slow`, types: ["slow.*"] }),
      ),
    ]),
  run: async (scene, signal) => {
    await Promise.all(
      EVIL_SPACES.map((space) =>
        again(1, signal, () => publish({ scene, signal, space }, '{"type":"slow.x","data":{}}').then(() => pause(10, signal))),
      ),
    );
  },
};

const unreadAnswers: Attack = {
  name: "100 pages of the log of attempts at a time that nobody reads",
  manifests: (receiver) => [subscription({ name: "history", namespace: "evil", url: `${receiver}/quick`, types: ["history.*"] })],
  run: async (scene, signal) => {
    for (let i = 0; i < 40; i++) {
      await publish({ scene, signal }, JSON.stringify({ type: "history.x", data: { s: "x".repeat(250_000) } }));
    }
    const head = `GET /v1/namespaces/evil/attempts?limit=500 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${scene.tokenOf("evil")}\r\n\r\n`;
    await new Sockets(scene.api).keep(100, head, signal, false);
  },
};

const pouring: Attack = {
  name: "events of 250 KB poured in, matched by nobody",
  run: (scene, signal) => {
    const body = JSON.stringify({ type: "nobody.x", data: { s: "x".repeat(250_000) } });
    return again(4, signal, () => publish({ scene, signal }, body));
  },
};

const pouringMatched: Attack = {
  name: "events of 250 KB poured in, for a receiver that hangs",
  manifests: (receiver) => [subscription({ name: "poured", namespace: "evil", url: `${receiver}/hang`, types: ["poured.*"] })],
  run: (scene, signal) => {
    const body = JSON.stringify({ type: "poured.x", data: { s: "x".repeat(250_000) } });
    return again(4, signal, () => publish({ scene, signal }, body));
  },
};

const hangingTests: Attack = {
  name: "tests of a receiver that hangs",
  manifests: (receiver) => [subscription({ name: "tested", namespace: "evil", url: `${receiver}/hang`, types: ["tested.*"] })],
  run: (scene, signal) => {
    const head = `POST /v1/namespaces/evil/subscriptions/tested/test HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${scene.tokenOf("evil")}\r\nContent-Length: 2\r\n\r\n{}`;
    return new Sockets(scene.api).keep(50, head, signal);
  },
};

export const TENANTS: readonly Attack[] = [
  costlyPattern,
  allowedPatterns,
  patternFromData,
  costlyBatch,
  costlyBodies,
  slowReceivers,
  unreadAnswers,
  pouring,
  pouringMatched,
  hangingTests,
];
