import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecordingReceiver } from "../support/fields/recording-receiver.ts";
import { countOf } from "../support/full-run.ts";
import { loopbackPolicy, manifestFile, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { untilGiven } from "../support/until.ts";

const WAIT_MS = 20_000;
const SPACES = ["shop", "depot", "shop-2"] as const;
const EVENTS_A_SPACE = 4;
const CALLS = countOf(600, 6_000);
const SEED = Number(process.env["POSTRIDER_TEST_SEED"] ?? 20_261_123);
const tokenOf = (space: string): string => `a-token-of-the-api-of-${space}`;
const recordOf = (space: string): string => `canary-record-of-${space}`;

// oxlint-disable-next-line typescript/no-explicit-any -- any JSON
type Json = any;

const manifestsOf = (space: string, url: string): readonly string[] => [
  subscription({
    name: `of-${space}`,
    namespace: space,
    types: ["*"],
    url: `${url}/${space}`,
    more: ["history: {recordIDField: data.id}"],
  }),
  secret(space, "api", "api-token", { support: tokenOf(space) }),
];

/** Answers that a page could take for something to run. */
const HOSTILE_ANSWERS = [
  { type: "text/html", body: "<script>alert(document.domain)</script>" },
  { type: "text/html; charset=utf-7", body: "+ADw-script+AD4-alert(1)+ADw-/script+AD4-" },
  { type: "image/svg+xml", body: '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>' },
  { type: "application/json", body: '{"__proto__":{"a":1}}\u2028</script><img src=x onerror=alert(1)>' },
  { type: "text/javascript", body: "*/alert(1)//`${alert(1)}`" },
  { type: 'text/html"; x="</script>', body: "\u0000\u0001<iframe src=javascript:alert(1)>\u202e" },
];

/** The half of promise 29 that the API keeps. */
describe("the API and what is not the caller's", () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-foreign-"));
  let receiver: RecordingReceiver;
  let operator: OperatorProcess;
  /** Ids of each namespace's own. */
  const ids = new Map<string, { deliveries: string[]; events: string[]; subscriptions: string[] }>();
  const headersSeen: Headers[] = [];

  const call = async (path: string, token: string, init: RequestInit = {}): Promise<{ status: number; text: string; body: Json }> => {
    const response = await fetch(`${operator.ready.api}/v1/namespaces/${path}`, { ...init, headers: { authorization: `Bearer ${token}` } });
    headersSeen.push(response.headers);
    const text = await response.text();
    return { status: response.status, text, body: JSON.parse(text) };
  };
  const rowsOf = async (space: string, count: number): Promise<Json[]> => {
    let items: Json[] = [];
    const look = async (): Promise<Json[] | undefined> => {
      ({ items } = (await call(`${space}/deliveries?limit=500&state=Delivered`, tokenOf(space))).body);
      return items.length >= count ? items : undefined;
    };
    return untilGiven(look, { withinMs: WAIT_MS, seen: () => `${items.length} of ${count} delivered` });
  };
  const publish = async (space: string, data: object): Promise<void> => {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ type: "a.b", data }) };
    expect((await fetch(`${operator.ready.ingest}/v1/namespaces/${space}/events`, init)).status).toBe(202);
  };

  beforeAll(async () => {
    receiver = await RecordingReceiver.start();
    mkdirSync(join(directory, "manifests"));
    const text = manifestFile(loopbackPolicy(), ...SPACES.flatMap((space) => manifestsOf(space, receiver.url)));
    writeFileSync(join(directory, "manifests", "all.yaml"), text);
    operator = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      auth: ["--ingest-auth", "none", "--api-auth", "static"],
    });
    for (const space of SPACES) {
      for (let i = 0; i < EVENTS_A_SPACE; i++) await publish(space, { id: recordOf(space) });
      const rows = await rowsOf(space, EVENTS_A_SPACE);
      const uids = rows.map(({ subscriptionUID }) => subscriptionUID as string);
      ids.set(space, {
        deliveries: rows.map(({ id }) => id as string),
        events: rows.map(({ eventID }) => eventID as string),
        subscriptions: [`of-${space}`, ...new Set(uids)],
      });
    }
  });
  afterAll(async () => {
    await operator?.signal("SIGKILL");
    await receiver?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const CALLS_BY_ID = {
    deliveries: ["GET deliveries/ID", "GET deliveries/ID/attempts", "POST deliveries/ID/resend"],
    events: ["GET events/ID"],
    subscriptions: ["GET subscriptions/ID", "POST subscriptions/ID/test", "POST subscriptions/ID/resume"],
  } as const;

  it(`answers 404 to every id of another namespace, and does nothing (seed ${SEED})`, async () => {
    const before = receiver.requests.length;
    const kinds = fc.constantFrom(...(["deliveries", "events", "subscriptions"] as const));
    const spellings = fc.constantFrom(
      (id: string) => id,
      (id: string) => id,
      (id: string) => encodeURIComponent(`../../x/${id}`),
      (id: string) => `0${id}`,
    );
    const samples = fc.sample(fc.tuple(fc.constantFrom(...SPACES), fc.constantFrom(...SPACES), kinds, fc.nat(), spellings), {
      numRuns: CALLS,
      seed: SEED,
    });
    const wrong: unknown[] = [];
    let tried = 0;
    for (const [caller, owner, kind, n, spell] of samples) {
      if (caller === owner) continue;
      const theirs = ids.get(owner)?.[kind] ?? [];
      const id = theirs[n % theirs.length] ?? "";
      const [method = "", path = ""] = (CALLS_BY_ID[kind][n % CALLS_BY_ID[kind].length] ?? "").split(" ");
      const { status, text } = await call(`${caller}/${path.replace("ID", spell(id))}`, tokenOf(caller), { method });
      tried += 1;
      if (status !== 404 || text.includes(recordOf(owner))) wrong.push([caller, owner, method, path, id, status, text]);
      // Nor does a token open another's namespace.
      const entered = await call(`${owner}/${path.replace("ID", id)}`, tokenOf(caller), { method });
      if (entered.status !== 401 || entered.text.includes(recordOf(owner))) wrong.push([caller, "in", owner, path, entered.status]);
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(CALLS / 2);
    expect(receiver.requests.length).toBe(before);
  });

  it("names deliveries so that nobody can count or guess another's: what was never told is answered as what never was", async () => {
    const [mine = "", theirs = ""] = ["shop", "depot"].map((space) => ids.get(space)?.deliveries[0] ?? "");
    expect(mine).toMatch(/^[0-9a-f]{32}$/);
    expect((await call(`shop/deliveries/${mine}`, tokenOf("shop"))).status).toBe(200);
    const asked = async (id: string): Promise<unknown> => {
      const { status, text } = await call(`shop/deliveries/${id}`, tokenOf("shop"));
      const { date: _, ...headers } = Object.fromEntries(headersSeen.at(-1) ?? []);
      return { status, text, headers };
    };
    const never = await asked("f".repeat(32));
    expect(never).toMatchObject({ status: 404 });
    const neighbours = [mine.slice(0, -1) + (mine.endsWith("0") ? "1" : "0"), mine.toUpperCase(), `${mine}0`];
    const numbers = Array.from({ length: SPACES.length * EVENTS_A_SPACE + 2 }, (_, i) => String(i));
    for (const id of [theirs, ...neighbours, ...numbers]) expect(await asked(id), id).toEqual(never);
  });

  it("gives cursors that lead on in their own namespace only, and say no number", async () => {
    const page = await call("shop/deliveries?limit=1", tokenOf("shop"));
    const cursor = page.body.nextCursor as string;
    expect(cursor).toMatch(/^[0-9a-f]{32}$/);
    expect((await call(`shop/deliveries?limit=1&cursor=${cursor}`, tokenOf("shop"))).status).toBe(200);
    for (const invented of [Buffer.from("d5").toString("base64url"), "5", ids.get("shop")?.deliveries[0]]) {
      expect((await call(`shop/deliveries?cursor=${invented}`, tokenOf("shop"))).body).toMatchObject({
        status: 400,
        code: "parameter_invalid",
      });
    }
    expect((await call(`depot/deliveries?cursor=${cursor}`, tokenOf("depot"))).body).toMatchObject({
      status: 400,
      code: "parameter_invalid",
    });
  });

  it("shows in no list, whatever the filter or cursor, what is another's", async () => {
    const own = ids.get("shop");
    const theirs = ids.get("depot");
    expect(own).toBeDefined();
    const cursor = (await call("depot/deliveries?limit=1", tokenOf("depot"))).body.nextCursor as string;
    const filters = [
      "",
      `recordID=${recordOf("depot")}`,
      "subscription=of-depot",
      ...(theirs?.subscriptions ?? []).map((name) => `subscription=${name}`),
      `cursor=${cursor}`,
      `cursor=${Buffer.from("d9999999").toString("base64url")}`,
      "type=a.b",
      "limit=500&state=Delivered",
      "since=2000-01-01T00:00:00Z",
    ];
    for (const list of ["deliveries", "attempts", "subscriptions"]) {
      for (const filter of filters) {
        const { text } = await call(`shop/${list}?${filter}`, tokenOf("shop"));
        expect(text.includes(recordOf("depot")) || text.includes("/depot"), `${list}?${filter}: ${text.slice(0, 300)}`).toBe(false);
      }
    }
    for (const namespace of ["shop%2f..%2fdepot", "shop/../depot", "depot%00", "DEPOT", "depot.", "shop,depot", "*", "shop;depot", "."]) {
      const { status, text } = await call(`${namespace}/deliveries`, tokenOf("shop"));
      expect([401, 404], namespace).toContain(status);
      expect(text).not.toContain(recordOf("depot"));
    }
  });

  it("gives what receivers and producers sent as JSON data, under headers that run nothing", async () => {
    for (const { type, body } of HOSTILE_ANSWERS) {
      receiver.answer = { status: 200, headers: { "content-type": type }, body };
      const before = (await call("shop/deliveries?limit=500", tokenOf("shop"))).body.items.length as number;
      await publish("shop", { id: recordOf("shop"), html: body });
      const [{ id, eventID }] = await rowsOf("shop", before + 1);
      const { text, body: log } = await call(`shop/deliveries/${id}/attempts`, tokenOf("shop"));
      expect(log.items[0].response.body).toEqual({ text: body });
      expect(log.items[0].response.headers).toContainEqual({ name: "content-type", value: type });
      expect(JSON.parse((await call(`shop/events/${eventID}`, tokenOf("shop"))).body.data.text).html).toBe(body);
      expect(text.startsWith("{")).toBe(true);
    }
    await call("shop/<script>alert(1)</script>", tokenOf("shop"));
    await call("shop/deliveries?<script>=1", tokenOf("shop"));
    await call("shop/deliveries", "<script>alert(1)</script>");
    await call("shop/subscriptions/of-shop/test", tokenOf("shop"), { method: "POST", body: "<script>alert(1)</script>" });
    const types = new Set(headersSeen.map((headers) => headers.get("content-type")));
    expect(types).toEqual(new Set(["application/json", "application/problem+json"]));
    const guards = new Set(
      headersSeen.map((headers) => `${headers.get("x-content-type-options")}|${headers.get("content-security-policy")}`),
    );
    expect([...guards]).toEqual(["nosniff|default-src 'none'; frame-ancestors 'none'"]);
  });
});
