import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import corpus from "../../corpus/wire/answers.json" with { type: "json" };
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";

/** What of an answer comes alone in a packet each; a text with this before it comes byte by byte. */
const BYTE_BY_BYTE = "bytes of ";

interface Expected {
  readonly class: string;
  readonly statusCode?: number;
  readonly connectionStatus?: string;
  /** Absent: none. */
  readonly retryAfterMs?: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection carries the next request as well. */
  readonly keptOpen?: boolean;
}

/** One answer of the corpus: to add one, write it into the file with where it comes from. */
interface Case {
  readonly name: string;
  readonly source: string;
  readonly answer: string | readonly string[];
  /** The receiver ends the connection after it. */
  readonly ends?: boolean;
  readonly expect: Expected;
}

const CASES = corpus as readonly Case[];

let attempter: HttpAttempter;
const endings: (() => unknown)[] = [];
beforeEach(() => {
  attempter = new HttpAttempter({ clock: new SystemClock(), version: "1" });
});
afterEach(async () => {
  await attempter.close();
  for (const end of endings.splice(0).toReversed()) await end();
});

/** Answers every request so; each piece goes out in a packet of its own. */
async function receiver({ answer, ends }: Case): Promise<{ url: string; connections: () => number }> {
  const pieces = typeof answer === "string" ? Array.from(answer.slice(BYTE_BY_BYTE.length)) : answer.map((piece) => piece);
  let connections = 0;
  const server = createServer({ noDelay: true }, (socket: Socket) => {
    connections += 1;
    socket.on("error", () => undefined);
    endings.push(() => socket.destroy());
    const say = async (): Promise<void> => {
      for (const piece of pieces) {
        socket.write(piece, "latin1");
        await turn();
        await turn();
      }
      if (ends === true) socket.end();
    };
    socket.on("data", (chunk: Buffer) => {
      if (chunk.toString("latin1").startsWith("POST ")) void say();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, connections: () => connections };
}

describe("answers as they are met on the wire", () => {
  test.each(CASES)("$name ($source)", async (one) => {
    const { url, connections } = await receiver(one);
    const { body, headers, keptOpen, retryAfterMs, ...expected } = one.expect;
    const route = aRoute({ url, policy: { maxInFlight: 1, timeoutMs: 10_000 } });
    for (const round of [1, 2]) {
      const { outcome } = await attempter.attempt({ route, event: anEvent(), attempt: round });
      expect(outcome).toMatchObject(expected);
      expect(outcome.retryAfterMs).toBe(retryAfterMs);
      if (body !== undefined) expect(Buffer.from(outcome.responseBody).toString("latin1")).toBe(body);
      expect(Object.fromEntries(outcome.responseHeaders)).toMatchObject(headers ?? {});
      await turn();
    }
    if (keptOpen !== undefined) expect(connections()).toBe(keptOpen ? 1 : 2);
  });

  test("each has a name of its own and a source", () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
    expect(CASES.filter(({ source }) => source === "")).toEqual([]);
  });
});
