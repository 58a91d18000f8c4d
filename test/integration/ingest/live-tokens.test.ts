import { afterEach, expect, it } from "vitest";
import type { Denial } from "../../../src/core/access-token.ts";
import { route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

const T = "0123456789abcdef-token";
/** Another one of the same namespace. */
const U = "another-token-0123456789";
const REVIEWED = "a.reviewed.token-0123456789";
const JSON_TYPE = "application/json";
const FORM = "application/x-www-form-urlencoded";
const BATCH = "application/cloudevents-batch+json";
const CLOUD = "application/cloudevents+json";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

async function start(setup: IngestSetup = {}): Promise<RunningIngest> {
  const who = async (token: string): Promise<{ user: string } | Denial> => (token === REVIEWED ? { user: "till" } : "unauthenticated");
  ingest = await runningIngest({ routes: [route("orders", ["*"])], tokens: [T, U], reviewer: { who }, tokenInQuery: true, ...setup });
  return ingest;
}

interface Sent {
  readonly path?: string;
  readonly type?: string;
  readonly body: string;
  readonly headers?: Record<string, string>;
}

async function send({
  path = "events",
  type = JSON_TYPE,
  body,
  headers = {},
}: Sent): Promise<{ status: number; told: Record<string, unknown> }> {
  const answer = await fetch(`${ingest?.url}/v1/namespaces/shop/${path}`, {
    method: "POST",
    headers: { "content-type": type, ...headers },
    body,
  });
  return { status: answer.status, told: (await answer.json()) as Record<string, unknown> };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const cloud = (more: object): string => JSON.stringify({ specversion: "1.0", id: "1", source: "/a", type: "t", ...more });
const binary = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "t" };

const refused: [string, Sent][] = [
  ["header, and nested in a hook's JSON", { path: "hooks/t", body: `{"a":{"token":"${T}"}}`, headers: bearer(T) }],
  ["header, and under another name", { path: "hooks/t", body: `{"auth":"${T}"}`, headers: bearer(T) }],
  ["header, and in data of the short form", { body: `{"type":"t","data":{"token":"${T}"}}`, headers: bearer(T) }],
  ["header, and in text", { path: "hooks/t", type: "text/plain", body: `see ${T}`, headers: bearer(T) }],
  ["header, and twice in a form", { path: "hooks/t", type: FORM, body: `token=${T}&token=${T}`, headers: bearer(T) }],
  ["header, and in the type of the path", { path: `hooks/x${T}`, body: "{}", headers: bearer(T) }],
  ["header, and in the subject", { body: `{"type":"t","subject":"${T}"}`, headers: bearer(T) }],
  ["header, and in base64", { type: CLOUD, body: cloud({ data_base64: Buffer.from(T).toString("base64") }), headers: bearer(T) }],
  ["header, and in an extension", { type: CLOUD, body: cloud({ auth: T }), headers: bearer(T) }],
  ["header, and in the source", { type: CLOUD, body: cloud({ source: `/a?${T}` }), headers: bearer(T) }],
  ["header, and in a batch", { type: BATCH, body: `[${cloud({})},${cloud({ id: "2", data: { t: T } })}]`, headers: bearer(T) }],
  ["header, and in a batch's token, which is an attribute", { type: BATCH, body: `[${cloud({ token: T })}]`, headers: bearer(T) }],
  ["header, and in binary mode's data", { type: JSON_TYPE, body: `{"token":"${T}"}`, headers: { ...binary, ...bearer(T) } }],
  ["header, and in binary mode's headers", { body: "{}", headers: { ...binary, "ce-auth": T, ...bearer(T) } }],
  ["header, and in the Idempotency-Key", { body: '{"type":"t"}', headers: { "idempotency-key": T, ...bearer(T) } }],
  ["query, and in the data", { path: `hooks/t?token=${T}`, body: `{"a":"${T}"}` }],
  ["query, and in a form", { path: `hooks/t?token=${T}`, type: FORM, body: `a=${T}` }],
  ["body, and below it", { path: "hooks/t", body: `{"token":"${T}","n":{"token":"${T}"}}` }],
  ["body, and data of the short form", { body: `{"type":"t","token":"${T}","data":["${T}"]}` }],
  ["form, and behind a semicolon", { path: "hooks/t", type: FORM, body: `a=1;token=${T}&token=${T}` }],
  ["form, and under another name", { path: "hooks/t", type: FORM, body: `token=${T}&again=${T}` }],
  ["a ServiceAccount's in the header, and in the data", { body: `{"type":"t","data":"${REVIEWED}"}`, headers: bearer(REVIEWED) }],
  [
    "header, and a ServiceAccount's in the body and below it",
    { path: "hooks/t", body: `{"token":"${REVIEWED}","n":["${REVIEWED}"]}`, headers: bearer(T) },
  ],
  ["another one cut from the body, and below it", { path: "hooks/t", body: `{"token":"${U}","n":"${U}"}`, headers: bearer(T) }],
];

it.each(refused)("refuses a live token: %s", async (_what, sent) => {
  const { intake, store } = await start();
  const { status, told } = await send(sent);
  expect({ status, code: told["code"] }).toEqual({ status: 400, code: "token_in_data" });
  for (const token of [T, U, REVIEWED]) expect(JSON.stringify(told)).not.toContain(token);
  expect(intake.admitted).toBe(0);
  expect(await store.queues()).toEqual([]);
});

it("names the event of a batch", async () => {
  await start();
  const { told } = await send({ type: BATCH, body: `[${cloud({})},${cloud({ id: "2", data: { t: T } })}]`, headers: bearer(T) });
  expect(told).toMatchObject({ index: 1 });
});

const cut: [string, Sent, string][] = [
  ["header, and at the top of a hook's JSON", { path: "hooks/t", body: `{"a":1,"token":"${T}"}`, headers: bearer(T) }, '{"a":1}'],
  ["header, and at the top of a form", { path: "hooks/t", type: FORM, body: `a=1&token=${T}`, headers: bearer(T) }, "a=1"],
  ["query, and at the top", { path: `hooks/t?token=${T}`, body: `{"a":1,"token":"${T}"}` }, '{"a":1}'],
  ["header, and another one at the top", { path: "hooks/t", body: `{"a":1,"token":"${U}"}`, headers: bearer(T) }, '{"a":1}'],
  ["header, and a ServiceAccount's at the top", { path: "hooks/t", body: `{"a":1,"token":"${REVIEWED}"}`, headers: bearer(T) }, '{"a":1}'],
  ["header, and the attribute of a CloudEvent", { type: CLOUD, body: cloud({ token: T, data: 1 }), headers: bearer(T) }, "1"],
];

it.each(cut)("cuts a live token where tokens may stand: %s", async (_what, sent, rest) => {
  const { intake } = await start();
  expect((await send(sent)).status).toBeLessThan(300);
  const [event] = intake.committedEvents;
  expect(Buffer.from(event?.data ?? []).toString()).toBe(rest);
  expect(event?.extensions).toEqual({});
});

const kept: [string, Sent, IngestSetup][] = [
  ["a word that is nobody's token", { path: "hooks/t", body: `{"token":"nobody-knows-this-token"}`, headers: bearer(T) }, {}],
  ["another token below the top, which let nobody in", { path: "hooks/t", body: `{"n":"${U}"}`, headers: bearer(T) }, {}],
];

it.each(kept)("leaves alone: %s", async (_what, sent, setup) => {
  const { intake } = await start(setup);
  expect((await send(sent)).status).toBe(200);
  expect(Buffer.from(intake.committedEvents[0]?.data ?? []).toString()).toBe(sent.body);
});

it("leaves everything alone where nobody needs a token", async () => {
  ingest = await runningIngest({ routes: [route("orders", ["*"])] });
  for (const body of [`{"token":"${T}"}`, `{"n":"${T}"}`]) {
    expect((await send({ path: "hooks/t", body, headers: bearer(T) })).status).toBe(200);
    expect(Buffer.from(ingest.intake.committedEvents.at(-1)?.data ?? []).toString()).toBe(body);
  }
});

it("a token in the body that nobody can be asked about is not stored beside a good one in the header", async () => {
  const who = (): Denial => "unavailable";
  const { intake } = await start({ reviewer: { who } });
  expect(await send({ path: "hooks/t", body: `{"token":"${REVIEWED}"}`, headers: bearer(T) })).toMatchObject({
    status: 503,
    told: { code: "reviews_unavailable" },
  });
  expect(intake.admitted).toBe(0);
});
