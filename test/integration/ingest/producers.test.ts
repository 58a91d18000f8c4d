import { afterEach, describe, expect, it } from "vitest";
import type { Route } from "../../../src/core/route-table.ts";
import type { Denial } from "../../../src/core/access-token.ts";
import { endDeliveries } from "../../support/ingest/ended-delivery.ts";
import { route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

/** Static tokens: two of one Secret, one of another, one of a Secret that names a ServiceAccount. */
const [ONE, ONE_ROTATED, TWO, MOVED] = ["one-token-0123456789", "one-rotated-0123456789", "two-token-0123456789", "moved-token-0123456789"];
const TILL = "till.token.of-one-replica";
const TILL_AGAIN = "till.token.of-another-replica";
const VAULT = "vault.token.x0123456789";
const READER = "reader.token.x0123456789";
const USERS: Readonly<Record<string, string>> = {
  [TILL]: "system:serviceaccount:shop:till",
  [TILL_AGAIN]: "system:serviceaccount:shop:till",
  [VAULT]: "system:serviceaccount:bank:vault",
  [READER]: "system:serviceaccount:shop:reader",
};

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

async function start(setup: IngestSetup = {}): Promise<RunningIngest> {
  const who = async (token: string, access: { verb: string }): Promise<{ user: string } | Denial> => {
    const user = USERS[token];
    if (user === undefined) return "unauthenticated";
    return access.verb === "publish" || token === READER ? { user } : "forbidden";
  };
  ingest = await runningIngest({
    routes: [route("orders", ["*"])],
    tokens: [ONE, ONE_ROTATED, TWO, MOVED],
    producers: ["secret:one", "secret:one", "secret:two", "user:system:serviceaccount:shop:till"],
    reviewer: { who },
    ...setup,
  });
  return ingest;
}

type Told = Record<string, unknown> & { http: number };
/** By header, by source and id, and by source and id in a batch. */
const ways: [string, (token: string, content: string) => Promise<Told>][] = [
  ["Idempotency-Key", (token, content) => post(token, `{"type":"t","data":"${content}"}`, { "idempotency-key": "inv-1001" })],
  ["source and id", (token, content) => post(token, cloudEvent(content), { "content-type": "application/cloudevents+json" })],
  [
    "source and id in a batch",
    (token, content) => post(token, `[${cloudEvent(content)}]`, { "content-type": "application/cloudevents-batch+json" }),
  ],
  ["a long key", (token, content) => post(token, `{"type":"t","data":"${content}"}`, { "idempotency-key": "k".repeat(250) })],
];

function cloudEvent(content: string): string {
  return JSON.stringify({ specversion: "1.0", id: "inv-1001", source: "/billing", type: "t", data: content });
}

async function post(token: string, body: string, headers: Record<string, string>): Promise<Told> {
  const answer = await ingest!.post(body, { authorization: `Bearer ${token}`, ...headers });
  const told = (await answer.json()) as Record<string, unknown>;
  const [item] = (told["items"] as Record<string, unknown>[] | undefined) ?? [told];
  return { ...item, http: answer.status };
}

describe.each(ways)("a key given by %s", (_what, send) => {
  it("that another producer has used is free: it neither refuses nor swallows the true event", async () => {
    await start();
    const junk = await send(TWO, "junk");
    const told = await send(ONE, "true");
    expect([junk.http, told.http, told["duplicate"]]).toEqual([202, 202, false]);
    // Word for word the same: still another event.
    expect(await send(TILL, "true")).toMatchObject({ http: 202, duplicate: false });
    expect(await send(VAULT, "true")).toMatchObject({ http: 202, duplicate: false });
    expect(ingest!.intake.committedEvents).toHaveLength(4);
  });

  it("is one for all replicas of a producer, and over a rotation of tokens", async () => {
    await start();
    for (const [first, second] of [
      [ONE, ONE_ROTATED],
      [TILL, TILL_AGAIN],
    ] as const) {
      const told = await send(first, "x");
      expect(await send(second, "x")).toMatchObject({ http: 202, id: told["id"], duplicate: true });
      expect(await send(second, "y")).toMatchObject({ http: 409, code: "idempotency_conflict" });
    }
  });

  it("is one for a Secret's holders and the ServiceAccount that it names", async () => {
    await start();
    const told = await send(MOVED, "x");
    expect(await send(TILL, "x")).toMatchObject({ id: told["id"], duplicate: true });
  });

  it("is one for everybody where nobody needs a token, with one or without", async () => {
    ingest = await runningIngest({ routes: [route("orders", ["*"])] });
    const told = await send(ONE, "x");
    expect(await send(TWO, "x")).toMatchObject({ id: told["id"], duplicate: true });
  });
});

it("conflicts are counted by namespace, so that somebody can be told", async () => {
  const { metrics } = await start();
  const count = async (): Promise<string | undefined> =>
    /^postrider_idempotency_conflicts_total\{namespace="shop"\} (\d+)$/m.exec(await metrics.expose())?.[1];
  const [, send] = ways[0]!;
  await send(ONE, "x");
  await send(TWO, "y");
  expect(await count()).toBeUndefined();
  await send(ONE, "y");
  await send(ONE, "z");
  expect(await count()).toBe("2");
});

it("what a producer sent is another's to read, as everything in the namespace", async () => {
  await start();
  const [, send] = ways[0]!;
  const told = await send(ONE, "x");
  const answer = await fetch(`${ingest!.url}/v1/namespaces/shop/results/${String(told["id"])}`, {
    headers: { authorization: `Bearer ${TWO}` },
  });
  expect(answer.status).toBe(200);
});

describe("what receivers answered", () => {
  type Call = Omit<RequestInit, "headers"> & { readonly headers?: Record<string, string> };
  /** The words of the receiver, wherever in a result's answer. */
  const shows = async (token: string, path: string, init: Call = {}): Promise<{ http: number; shown: boolean; hidden: boolean }> => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${token}`, ...init.headers };
    const answer = await fetch(`${ingest!.url}/v1/namespaces/shop/${path}`, { ...init, headers });
    const text = await answer.text();
    return {
      http: answer.status,
      shown: text.includes("HELLO WORLD") || text.includes("text/plain"),
      hidden: text.includes('"answerHidden":true'),
    };
  };
  /** A subscription that lets everybody see its receiver's answers, or not. */
  const ordersThat = (optsIn: boolean): Route => {
    const orders = route("orders", ["*"]);
    const { subscription } = orders;
    const history = { ...subscription.spec.history, answerInResults: optsIn };
    return { ...orders, subscription: { ...subscription, spec: { ...subscription.spec, history } } };
  };
  const visible = (isVisible: boolean) => ({ http: 200, shown: isVisible, hidden: !isVisible });

  it.each([
    ["a static token", ONE, false, false],
    ["a ServiceAccount that may publish", TILL, false, false],
    ["a ServiceAccount that may get attempts", READER, false, true],
    ["a static token, where the subscription opts in", ONE, true, true],
    ["a ServiceAccount that may publish, where the subscription opts in", TILL, true, true],
  ])("%s, polling, waiting, redirected and in a batch", async (_what, token, optsIn, isVisible) => {
    const running = await start({ routes: [ordersThat(optsIn)] });
    const [, send] = ways[0]!;
    const { id } = await send(token, "x");
    await endDeliveries(running, String(id));
    expect(await shows(token, `results/${String(id)}`)).toEqual(visible(isVisible));
    expect(await shows(token, `results/${String(id)}?wait=5s`)).toEqual(visible(isVisible));
    const key = { headers: { "idempotency-key": "inv-1001" } };
    const again = { method: "POST", body: '{"type":"t","data":"x"}', ...key };
    expect(await shows(token, "events?wait=5s", again)).toEqual(visible(isVisible));
    expect(await shows(token, "events?pollingRedirectEnabled=true", again)).toEqual(visible(isVisible));
    const batch = { method: "POST", body: `[${cloudEvent("x")}]`, headers: { "content-type": "application/cloudevents-batch+json" } };
    const first = (await (
      await fetch(`${running.url}/v1/namespaces/shop/events`, { ...batch, headers: { ...batch.headers, authorization: `Bearer ${token}` } })
    ).json()) as { items: { id: string }[] };
    await endDeliveries(running, first.items[0]!.id);
    expect(await shows(token, "events?wait=5s", batch)).toEqual(visible(isVisible));
  });

  it.each([false, true])("a static token in the body, where the subscription opts in: %s", async (optsIn) => {
    const running = await start({ routes: [ordersThat(optsIn)] });
    const again = { method: "POST", headers: { "content-type": "application/json", "idempotency-key": "a" } };
    const body = `{"type":"t","data":"x","token":"${ONE}"}`;
    const first = (await (await running.post(body, { "idempotency-key": "a" })).json()) as { id: string };
    await endDeliveries(running, first.id);
    const answer = await fetch(`${running.url}/v1/namespaces/shop/events?wait=5s`, { ...again, body });
    expect((await answer.text()).includes("HELLO WORLD")).toBe(optsIn);
  });
});
