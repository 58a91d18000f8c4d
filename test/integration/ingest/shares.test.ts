import { afterEach, describe, expect, it } from "vitest";
import type { Route } from "../../../src/core/route-table.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { Event } from "../../../src/core/event.ts";
import { lastBody, RawClient, route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
const clients: RawClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await ingest?.stop();
  ingest = undefined;
});

async function start(setup: IngestSetup): Promise<RunningIngest> {
  ingest = await runningIngest(setup);
  return ingest;
}

function client(running: RunningIngest): RawClient {
  const raw = new RawClient(running.port);
  clients.push(raw);
  return raw;
}

/** For a machine that is busy elsewhere. */
const PATIENT = { timeout: 20_000 };
const BODY = '{"type":"order.paid"}';
const BATCH = { "content-type": "application/cloudevents-batch+json" };

/** So many subscriptions that want every order, in a namespace. */
function wanting(count: number, namespace = "shop"): Route[] {
  return Array.from({ length: count }, (_, i) => {
    const made = route(`${namespace}-${i}`, ["order.*"]);
    return { ...made, subscription: { ...made.subscription, namespace } };
  });
}

function batch(events: number): string {
  return JSON.stringify(Array.from({ length: events }, (_, i) => ({ specversion: "1.0", id: `${i}`, source: "/s", type: "order.paid" })));
}

/** A store that answers nobody until it is released. */
function held() {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const accept: NonNullable<IngestSetup["accept"]> = async (request, store) => {
    if (request.namespace === "shop") await released;
    return store.accept(request);
  };
  return { accept, release: () => release() };
}

async function problemOf(response: Response): Promise<{ code: string; detail: string; status: number }> {
  return (await response.json()) as { code: string; detail: string; status: number };
}

describe("deliveries of one request", () => {
  it("are counted over all its events before anything is stored: as many as allowed go in, one more is refused with the numbers", async () => {
    const running = await start({ routes: wanting(5), deliveriesMax: 20 });
    expect((await running.post(batch(4), BATCH)).status).toBe(202);
    const admitted = running.intake.admitted;
    const problem = await problemOf(await running.post(batch(100), BATCH));
    expect(problem).toMatchObject({ code: "too_many_deliveries", status: 413 });
    expect(problem.detail).toBe(
      "The first 5 of 100 events would make 25 deliveries; at most 20 are allowed in one request. Nothing was stored: send fewer events per request, about 4.",
    );
    expect(running.intake.admitted).toBe(admitted);
  });

  it("of a single event that alone makes too many: the text says what helps there", async () => {
    const running = await start({ routes: wanting(5), deliveriesMax: 4 });
    const problem = await problemOf(await running.post(BODY));
    expect(problem.code).toBe("too_many_deliveries");
    expect(problem.detail).toContain("would make 5 deliveries; at most 4 are allowed");
    expect(problem.detail).toContain("--ingest-deliveries-max");
  });

  it("of a namespace that has many on their way are refused, those of others are not", async () => {
    const { accept, release } = held();
    const running = await start({ routes: [...wanting(8), ...wanting(8, "other")], deliveriesMax: 10, accept });
    const first = running.post(BODY);
    await expect.poll(() => running.intake.admitted, PATIENT).toBeGreaterThan(0);
    const problem = await problemOf(await running.post(BODY));
    expect(problem).toMatchObject({ code: "overloaded", status: 503 });
    expect(problem.detail).toContain("has 8 uncommitted deliveries and would add 8, more than its share of 30");
    expect((await running.post(BODY, {}, "other")).status).toBe(202);
    release();
    expect((await first).status).toBe(202);
    expect((await running.post(BODY)).status).toBe(202);
  });

  it("count for the pace of a namespace, one for an event that nobody wants; what a large request took in advance is paid back first", async () => {
    const running = await start({ routes: wanting(5), rateLimitPerSecond: 10 });
    // 15 of 10: allowed at once, as nothing was owed.
    expect((await running.post(batch(3), BATCH)).status).toBe(202);
    const refused = await running.post(BODY);
    expect(await problemOf(refused)).toMatchObject({
      code: "rate_limited",
      detail: "Namespace shop publishes more than its 10 deliveries per second: wait 1 s.",
    });
    expect(refused.headers.get("retry-after")).toBe("1");
    for (let i = 0; i < 10; i++) expect((await running.post('{"type":"nobody.cares"}', {}, "other")).status).toBe(202);
    expect((await running.post('{"type":"nobody.cares"}', {}, "other")).status).toBe(429);
  });
});

it("a request that waits for its pace has admitted nothing and holds no share, and is stored for who is there afterwards", async () => {
  const running = await start({ routes: wanting(8), deliveriesMax: 10 });
  let letIn = (): void => undefined;
  running.intake.roomAfter = new Promise((resolve) => (letIn = resolve));
  const waiting = running.post(BODY);
  await expect.poll(() => running.intake.asked, PATIENT).toBe(1);
  expect([running.intake.admitted, running.intake.committedEvents.length]).toEqual([0, 0]);
  running.intake.roomAfter = undefined;
  // If the 8 deliveries of the first were counted, these 8 would be more than the share.
  expect((await running.post(BODY)).status).toBe(202);
  running.state.table = RouteTable.build(wanting(3));
  letIn();
  expect((await waiting).status).toBe(202);
  const owed = await running.store.deliveriesOf(running.intake.committedEvents.at(-1)?.id ?? "");
  expect(owed).toHaveLength(3);
});

it("what a large request stores goes to who is there when it is stored, though the table changed while it was matched", async () => {
  const running = await start({ routes: wanting(3) });
  const [gone, ...stay] = wanting(3);
  const table = RouteTable.build(stay);
  const before = running.state.table;
  // The first look is the matching's; from then on one subscription is gone.
  let looks = 0;
  Object.defineProperty(running.state, "table", { get: () => (looks++ === 0 ? before : table) });
  const { id, matched } = (await (await running.post(BODY)).json()) as { id: string; matched: number };
  expect(matched).toBe(2);
  const owed = (await running.store.deliveriesOf(id)).map(({ subscription }) => subscription);
  expect(owed).toEqual(stay.map(({ subscription }) => subscription.uid));
  expect(owed).not.toContain(gone?.subscription.uid);
});

describe("requests and bytes", () => {
  it("of one namespace do not fill the door for another", async () => {
    const { accept, release } = held();
    const running = await start({ routes: [...wanting(1), ...wanting(1, "other")], limits: { requests: 300 }, accept });
    const answers = Array.from({ length: 200 }, () => running.post(BODY));
    const refused: Response[] = [];
    for (const answer of answers) void answer.then((response) => (response.status === 503 ? refused.push(response) : 0));
    await expect.poll(() => refused.length, PATIENT).toBe(50);
    expect((await problemOf(refused[0]!)).detail).toContain("150 requests of namespace shop are already in progress; its share is 300");
    expect((await running.post(BODY, {}, "other")).status).toBe(202);
    release();
    const codes = (await Promise.all(answers)).map((answer) => answer.status);
    expect(codes.filter((code) => code === 202)).toHaveLength(150);
    expect((await running.post(BODY)).status).toBe(202);
  });

  it("are in use until the store has answered, although the client has left", async () => {
    const { accept, release } = held();
    const running = await start({ routes: wanting(1), limits: { requests: 1 }, accept });
    const raw = client(running).send(
      `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    );
    await expect.poll(() => running.intake.admitted, PATIENT).toBe(1);
    raw.socket.resetAndDestroy();
    await raw.closed;
    await expect.poll(() => running.metrics.expose(), PATIENT).toContain('ingest_requests_total{code="499"} 1');
    expect((await running.post(BODY)).status).toBe(503);
    release();
    await expect.poll(async () => (await running.post(BODY)).status, PATIENT).toBe(202);
  });

  it("without a length are counted as they come: what goes beyond is refused while it comes", async () => {
    const running = await start({ limits: { bodyBytesHeld: 100_000 } });
    const raw = client(running).send(
      "POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for (let i = 0; i < 3; i++) raw.send(`ea60\r\n${"x".repeat(60_000)}\r\n`);
    const answer = await raw.until(/overloaded/);
    expect(lastBody(answer)["detail"]).toContain("bytes of requests of namespace shop are already held");
    raw.socket.destroy();
    await raw.closed;
    expect((await running.post(BODY)).status).toBe(202);
  });

  it("of somebody who has yet to show a token are no namespace's", async () => {
    const running = await start({ routes: wanting(1), tokens: ["0123456789abcdef"], limits: { requests: 1, bodyBytesHeld: 30 } });
    const strangers = Array.from({ length: 2 }, () =>
      client(running).send(
        "POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n",
      ),
    );
    await Promise.all(strangers.map((raw) => raw.until(/100 Continue/)));
    expect((await running.post(BODY, { authorization: "Bearer 0123456789abcdef" })).status).toBe(202);
  });
});

describe("stopping", () => {
  it("ends every answer's connection once it leaves, goes on, and then gives whoever still sends a clean no", async () => {
    const { accept } = held();
    const running = await start({ routes: [...wanting(1), ...wanting(1, "other")], accept, drainMs: 200 });
    expect((await running.post(BODY, {}, "other")).headers.get("connection")).toBe("keep-alive");
    running.drain();
    expect((await running.post(BODY, {}, "other")).headers.get("connection")).toBe("close");
    const sending = client(running).send(
      "POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
    );
    const committing = client(running).send(
      `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    );
    await expect.poll(() => running.intake.admitted, PATIENT).toBe(3);
    running.abort.abort();
    await running.done;
    expect(lastBody(await sending.closed)).toMatchObject({ status: 503, code: "stopping" });
    expect(lastBody(await committing.closed)).toMatchObject({ status: 503, code: "outcome_unknown" });
  });
});

it("a batch whose events have many subscriptions is told to the engine delivery by delivery, each once", async () => {
  const running = await start({ routes: wanting(50) });
  const told: { event: Event; ids: readonly number[] }[] = [];
  const original = running.intake.committed.bind(running.intake);
  running.intake.committed = (event: Event, ...rest: unknown[]) => {
    told.push({ event, ids: rest[1] as readonly number[] });
    original(event);
  };
  const { items } = (await (await running.post(batch(3), BATCH)).json()) as { items: { id: string; matched: number }[] };
  expect(items.map(({ matched }) => matched)).toEqual([50, 50, 50]);
  for (const { id } of items) {
    const ids = told.filter(({ event }) => event.id === id).flatMap((each) => each.ids);
    expect(ids.toSorted((a, b) => a - b)).toEqual((await running.store.deliveriesOf(id)).map((row) => row.id).toSorted((a, b) => a - b));
    expect(ids).toHaveLength(50);
  }
});
