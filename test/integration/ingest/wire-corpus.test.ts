import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import corpus from "../../corpus/wire/ingest.json" with { type: "json" };
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import type { Event } from "../../../src/core/event.ts";
import { compileFilter } from "../../../src/core/expression/compile.ts";
import type { PayloadSpec } from "../../../src/core/subscription.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { aRoute } from "../../support/delivery/attempt-input.ts";
import { RawClient, route, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

/** What a receiver gets of the event under one payload format. */
interface Delivered {
  readonly format: PayloadSpec["format"];
  /** Exactly. */
  readonly body?: string;
  readonly bodyBase64?: string;
  /** Members that the JSON body must have, with these values. */
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly without?: readonly string[];
}

/** One request and what must come of it; see the README beside the corpus. */
interface Step {
  /** Request line, then header fields. */
  readonly head: readonly string[];
  readonly body?: string;
  readonly bodyBase64?: string;
  /** The producer closes its half of the connection behind the request. */
  readonly finishes?: boolean;
  readonly status: number;
  /** Of the problem. */
  readonly code?: string;
  /** Members of the answer. */
  readonly answer?: Readonly<Record<string, unknown>>;
  /** Attributes of the event as it is stored; null = absent. */
  readonly event?: Readonly<Record<string, unknown>>;
  readonly delivered?: readonly Delivered[];
}

interface Case {
  readonly name: string;
  readonly source: string;
  /** Of the one subscription; all events where there is none. */
  readonly filter?: string;
  readonly steps: readonly Step[];
}

const CASES = corpus as readonly Case[];

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function start({ filter }: Case): Promise<RunningIngest> {
  const compiled = filter === undefined ? undefined : compileFilter(filter);
  if (compiled?.ok === false) throw new Error(compiled.problem.message);
  const running = await runningIngest({ routes: [route("alpha", ["*"], compiled?.value)] });
  endings.push(() => running.stop());
  return running;
}

/** The request byte for byte, but for `Host` and `Content-Length` where they are not written out. */
function requestOf({ head, body = "", bodyBase64 }: Step): Buffer {
  const bytes = bodyBase64 === undefined ? Buffer.from(body, "utf8") : Buffer.from(bodyBase64, "base64");
  const has = (field: string): boolean => head.some((line) => line.toLowerCase().startsWith(`${field}:`));
  const lines = [...head, ...(has("host") ? [] : ["Host: x"])];
  if (!has("content-length") && !has("transfer-encoding")) lines.push(`Content-Length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "utf8"), bytes]);
}

async function answerTo(running: RunningIngest, step: Step): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const client = new RawClient(running.port).send(requestOf(step));
  endings.push(async () => client.socket.destroy());
  if (step.finishes === true) client.finish();
  // A client that has closed its half may be asked by an interim answer whether it is still there.
  const said = await client.until(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n)*HTTP\/1\.1 [2-5]\d\d [^]*\r\n\r\n(\{[^]*\}|)$/);
  const answered = said.replace(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n)*/, "");
  const at = answered.indexOf("\r\n\r\n") + 4;
  const text = Buffer.from(answered.slice(at), "latin1").toString("utf8");
  return { status: Number(answered.slice(9, 12)), body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

/** Sends the event to a real receiver, unsigned. */
async function deliveredTo(
  event: Event,
  format: PayloadSpec["format"],
): Promise<{ readonly headers: IncomingHttpHeaders; readonly body: Buffer }> {
  const attempter = new HttpAttempter({ clock: new SystemClock(), version: "1" });
  endings.push(() => attempter.close());
  let got: { headers: IncomingHttpHeaders; body: Buffer } | undefined;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      got = { headers: request.headers, body: Buffer.concat(chunks) };
      response.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(async () => server.close());
  const sending = aRoute({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, policy: { timeoutMs: 10_000 } });
  const { spec } = sending.subscription;
  const subscription = { ...sending.subscription, spec: { ...spec, payload: { ...spec.payload, format } } };
  const { outcome } = await attempter.attempt({ route: { ...sending, subscription }, event, attempt: 1 });
  expect(outcome.class).toBe("success");
  return got!;
}

async function check(event: Event, { format, body, bodyBase64, json, headers, without }: Delivered): Promise<void> {
  const got = await deliveredTo(event, format);
  if (body !== undefined) expect(got.body.toString("utf8")).toBe(body);
  if (bodyBase64 !== undefined) expect(got.body.toString("base64")).toBe(bodyBase64);
  if (json !== undefined) expect(JSON.parse(got.body.toString("utf8"))).toMatchObject(json as object);
  expect(got.headers).toMatchObject(headers ?? {});
  expect(Object.keys(got.headers).filter((name) => without?.includes(name))).toEqual([]);
  for (const name of (without ?? []).filter((one) => one.startsWith("/")))
    expect(JSON.parse(got.body.toString("utf8"))).not.toHaveProperty(name.slice(1));
}

describe("requests as producers send them", () => {
  test.each(CASES)("$name ($source)", async (one) => {
    const running = await start(one);
    for (const step of one.steps) {
      const { status, body } = await answerTo(running, step);
      expect({ status, code: body["code"] }).toEqual({ status, code: step.code });
      expect(status).toBe(step.status);
      expect(body).toMatchObject(step.answer ?? {});
      if (step.event === undefined && step.delivered === undefined) continue;
      const event = await running.store.readEvent("shop", String(body["id"]));
      expect(event).toBeDefined();
      const nulls = Object.fromEntries(
        Object.keys(step.event ?? {}).map((key) => [key, (event as unknown as Record<string, unknown>)[key] ?? null]),
      );
      expect(nulls).toEqual(step.event ?? {});
      for (const each of step.delivered ?? []) await check(event!, each);
    }
  });

  test("each has a name of its own and a source", () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
    expect(CASES.filter(({ source, steps }) => source === "" || steps.length === 0)).toEqual([]);
  });
});
