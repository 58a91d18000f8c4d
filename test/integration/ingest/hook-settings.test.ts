import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { dataAsJson } from "../../../src/core/event-data.ts";
import { lastBody, RawClient, route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

const LAB = "gitlab-token-0123456789";
const TOOL = "tool-token-0123456789";
const PLAIN = "plain-token-0123456789";
const WIDE = "schlüssel-0123456789";

/** Four Secrets of one namespace: of GitLab, of a tool, of a caller without settings, and of one whose token is not ASCII. */
async function start(setup: IngestSetup & { readonly lab?: string } = {}): Promise<RunningIngest> {
  const { lab = "{token: X-Gitlab-Token}", ...rest } = setup;
  ingest = await runningIngest({
    routes: [route("all", ["*"])],
    tokens: [LAB, TOOL, PLAIN, WIDE],
    hooks: [lab, "{token: [Basic, X-Api-Key]}", undefined, "{token: [X-Wide, Authorization]}"],
    producers: ["secret:lab", "secret:tool", "secret:plain", "secret:wide"],
    ...rest,
  });
  return ingest;
}

type Headers = Readonly<Record<string, string | readonly string[]>>;

interface Posted {
  readonly http: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly [key: string]: unknown;
}

/** Sends these headers and none of a client's own. */
function post(running: RunningIngest, path: string, headers: Headers, body: string | Uint8Array = "x", method = "POST"): Promise<Posted> {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const all = method === "HEAD" ? headers : { ...headers, "content-length": String(bytes.length) };
  return new Promise((resolve, reject) => {
    const sent = request(
      `${running.url}/v1/namespaces/${path}`,
      { method, headers: all as Record<string, string | string[]> },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () =>
          resolve({ ...(text === "" ? {} : (JSON.parse(text) as object)), http: response.statusCode ?? 0, headers: response.headers }),
        );
      },
    );
    sent.on("error", reject);
    sent.end(method === "HEAD" ? undefined : bytes);
  });
}

async function stored(running: RunningIngest, { id }: Posted) {
  const event = await running.store.readEvent("shop", String(id));
  if (event === undefined) throw new Error("not stored");
  return { ...event, text: Buffer.from(event.data).toString("utf8"), shown: Buffer.from(dataAsJson(event)).toString("utf8") };
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;
const latin = (text: string): string => Buffer.from(text).toString("latin1");

describe("a token in a place that its Secret names", () => {
  it.each<[string, Headers]>([
    ["a header", { "X-GITLAB-TOKEN": LAB }],
    ["another header", { "x-api-key": ` ${TOOL} ` }],
    ["the password of Basic", { authorization: basic(`anybody:${TOOL}`) }],
    ["the password of Basic without a user", { authorization: basic(`:${TOOL}`) }],
    ["Authorization behind a word", { authorization: latin(`Token ${WIDE}`) }],
    ["Authorization alone, as UTF-8", { authorization: latin(WIDE) }],
    ["a header, as UTF-8", { "x-wide": latin(WIDE) }],
    ["the usual one all the same", { authorization: `Bearer ${LAB}`, "x-gitlab-token": "nonsense" }],
    ["a header next to a foreign Authorization", { authorization: basic("proxy:word"), "x-gitlab-token": LAB }],
  ])("lets in: %s", async (_what, headers) => {
    const running = await start();
    expect(await post(running, "shop/hooks/t", headers)).toMatchObject({ http: 200, matched: 1 });
  });

  it.each<[string, string, Headers]>([
    ["in a place that only another Secret names", "shop/hooks/t", { "x-gitlab-token": TOOL }],
    ["of a Secret without settings", "shop/hooks/t", { "x-gitlab-token": PLAIN }],
    ["in a place that no Secret names", "shop/hooks/t", { "x-token": LAB }],
    ["of this namespace in another", "bank/hooks/t", { "x-gitlab-token": LAB }],
    ["on /events", "shop/events", { "x-gitlab-token": LAB, "content-type": "application/json" }],
    ["twice", "shop/hooks/t", { "x-gitlab-token": [LAB, LAB] }],
    ["next to a wrong Bearer token", "shop/hooks/t", { authorization: "Bearer wrong", "x-gitlab-token": LAB }],
    ["with something behind it", "shop/hooks/t", { "x-gitlab-token": `${LAB} x` }],
    ["as the user of Basic", "shop/hooks/t", { authorization: basic(`${TOOL}:`) }],
    ["in broken base64", "shop/hooks/t", { authorization: "Basic !!!" }],
    ["that is empty", "shop/hooks/t", { "x-gitlab-token": "" }],
    ["of 9,000 characters", "shop/hooks/t", { "x-gitlab-token": "a".repeat(9_000) }],
  ])("lets no one in: %s", async (_what, path, headers) => {
    const running = await start();
    expect(await post(running, path, headers)).toMatchObject({ http: 401, code: "unauthenticated" });
    expect(running.intake.admitted).toBe(0);
  });

  it("is looked for in eight headers at most, however many places the Secrets of a namespace name", async () => {
    const names = Array.from({ length: 12 }, (_, n) => `x-key-${n}`);
    const tokens = names.map((name) => `token-of-${name}-0123456789`);
    const running = await start({ tokens, hooks: names.map((name) => `{token: ${name}}`), producers: names });
    const wrong = (count: number): Headers => Object.fromEntries(names.slice(0, count).map((name) => [name, "wrong"]));
    expect(await post(running, "shop/hooks/t", { ...wrong(7), "x-key-11": tokens[11]! })).toMatchObject({ http: 200 });
    expect(await post(running, "shop/hooks/t", { ...wrong(8), "x-key-11": tokens[11]! })).toMatchObject({ http: 401 });
  });

  it("is no token for results", async () => {
    const running = await start();
    const { id } = await post(running, "shop/hooks/t", { "x-gitlab-token": LAB });
    const asked = await fetch(`${running.url}/v1/namespaces/shop/results/${String(id)}`, { headers: { "x-gitlab-token": LAB } });
    expect(asked.status).toBe(401);
    // So no redirect leads there.
    expect(await post(running, "shop/hooks/t?pollingRedirectEnabled=true", { "x-gitlab-token": LAB })).toMatchObject({
      http: 200,
      status: "processing",
    });
    expect(await post(running, "shop/hooks/t?pollingRedirectEnabled=true", { authorization: `Bearer ${LAB}` })).toMatchObject({
      http: 303,
    });
  });

  it("is asked for with Basic only where a hook may have it so", async () => {
    const running = await start();
    const asked = async (path: string) => (await post(running, path, { "content-type": "text/plain" })).headers["www-authenticate"];
    expect(await asked("shop/hooks/t")).toBe('Basic realm="postrider", Bearer realm="postrider"');
    expect(await asked("shop/events")).toBe('Bearer realm="postrider"');
    expect(await asked("bank/hooks/t")).toBe('Bearer realm="postrider"');
    const told = async (path: string) => (await post(running, path, { "content-type": "text/plain" }))["detail"];
    expect(await told("shop/hooks/t")).toContain("or in a header that the annotation postrider.dev/hooks of its Secret names");
    expect(await told("shop/events")).not.toContain("postrider.dev/hooks");
  });

  it("that is wrong is 401 before the body is read, and its sender stays a stranger", async () => {
    const running = await start();
    const head = `POST /v1/namespaces/shop/hooks/t HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: wrong\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n`;
    const client = new RawClient(running.port).send(head);
    expect(lastBody(await client.until(/\}$/))).toMatchObject({ status: 401 });
    client.finish();
    const mixed = await post(
      running,
      "shop/hooks/t",
      { "x-gitlab-token": "wrong", "content-type": "application/json" },
      `{"token":"${PLAIN}"}`,
    );
    expect(mixed).toMatchObject({ http: 200 });
  });

  it("cannot be judged before the namespace's Secrets were read: 503, whatever the body is", async () => {
    let isListed = false;
    const running = await start({ tokens: [], hooks: [], isListed: () => isListed });
    for (const headers of [{ "x-gitlab-token": LAB }, { authorization: basic(`a:${LAB}`) }, { "content-type": "text/plain" }]) {
      const told = await post(running, "shop/hooks/t", headers);
      expect(told).toMatchObject({ http: 503, code: "reviews_unavailable", headers: { "retry-after": "5" } });
    }
    expect(await post(running, "shop/hooks/t", { "x-gitlab-token": LAB }, "", "HEAD")).toMatchObject({ http: 503 });
    isListed = true;
    expect(await post(running, "shop/hooks/t", { "x-gitlab-token": LAB })).toMatchObject({ http: 401 });
  });

  it("stays out of the event, wherever else it is in the request", async () => {
    const running = await start({ lab: "{token: X-Gitlab-Token, idempotencyKey: X-Id, headers: {X-Kept: kept}, query: {q: q}}" });
    const headers = { "x-gitlab-token": LAB, "content-type": "text/plain" };
    const refused = { http: 400, code: "token_in_data" };
    expect(await post(running, "shop/hooks/t", headers, `see ${LAB}`)).toMatchObject(refused);
    expect(await post(running, "shop/hooks/t", { ...headers, "x-kept": LAB })).toMatchObject(refused);
    expect(await post(running, "shop/hooks/t", { ...headers, "x-id": `a-${LAB}` })).toMatchObject(refused);
    expect(await post(running, `shop/hooks/t?q=${LAB}`, headers)).toMatchObject(refused);
    const json = await post(running, "shop/hooks/t", { ...headers, "content-type": "application/json" }, `{"a":1,"token":"${LAB}"}`);
    expect((await stored(running, json)).text).toBe('{"a":1}');
    expect(running.intake.admitted).toBe(1);
  });
});

describe("what is kept", () => {
  const lab = "{token: X-Gitlab-Token, headers: {X-A: a, X-B: b}, query: {q: q, 'a b': ab}}";
  const headers = { "x-gitlab-token": LAB };

  it("is what the settings name and nothing else, as extensions", async () => {
    const running = await start({ lab });
    const told = await post(running, "shop/hooks/t?q=1+2%C3%BC&a%20b=&other=x&wait=0", {
      ...headers,
      "x-a": ["one", latin("zwölf")],
      "x-other": "x",
      cookie: "x",
    });
    expect((await stored(running, told)).extensions).toEqual({ a: "one, zwölf", q: "1 2ü", ab: "" });
    expect((await stored(running, await post(running, "shop/hooks/t", { authorization: `Bearer ${LAB}`, "x-b": "b" }))).extensions).toEqual(
      { b: "b" },
    );
    // Another Secret's caller sends the same.
    expect(
      (await stored(running, await post(running, "shop/hooks/t?q=1", { authorization: `Bearer ${PLAIN}`, "x-a": "a" }))).extensions,
    ).toEqual({});
    // On /events they are nobody's.
    const event = await running.post('{"type":"t"}', { authorization: `Bearer ${LAB}`, "x-a": "a" });
    const { id } = (await event.json()) as { id: string };
    expect((await running.store.readEvent("shop", id))?.extensions).toEqual({});
  });

  it("goes with the producer's trace", async () => {
    const running = await start({ lab });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const told = await post(running, "shop/hooks/t", { ...headers, traceparent, "x-a": "a" });
    expect((await stored(running, told)).extensions).toEqual({ a: "a", traceparent });
  });

  it.each<[string, string, Headers, string, string]>([
    [
      "a header of 2,049 characters",
      "",
      { "x-a": "a".repeat(2_049) },
      "attribute_invalid",
      "Header 'x-a', which is kept with the event, is longer than 2048 characters.",
    ],
    ["a header that is not UTF-8", "", { "x-a": "gr\u00fcn" }, "attribute_invalid", "is not UTF-8"],
    ["a header with a control character", "", { "x-a": latin("a\u0085b") }, "attribute_invalid", "contains a control character"],
    ["a parameter twice", "?q=1&q=2", {}, "parameter_invalid", "The parameter q appears twice"],
    [
      "a parameter that is not UTF-8",
      "?q=%FF",
      {},
      "parameter_invalid",
      "The parameter q, which is kept with the event, is not UTF-8, percent-encoded.",
    ],
    ["a parameter that is not percent-encoded", "?q=100%", {}, "parameter_invalid", "is not UTF-8, percent-encoded"],
    ["a parameter with a line break", "?q=a%0Ab", {}, "parameter_invalid", "contains a control character"],
  ])("is refused with %s, and says which", async (_what, query, more, code, detail) => {
    const running = await start({ lab });
    expect(await post(running, `shop/hooks/t${query}`, { ...headers, ...more })).toMatchObject({
      http: 400,
      code,
      detail: expect.stringContaining(detail) as string,
    });
    // Nothing that is not kept is judged.
    expect(await post(running, `shop/hooks/t${query}`, { authorization: `Bearer ${PLAIN}`, ...more })).toMatchObject({ http: 200 });
  });
});

describe("the header that names the event", () => {
  const lab = "{token: X-Gitlab-Token, idempotencyKey: X-Id}";
  const headers = { "x-gitlab-token": LAB };

  it("makes a second one of the same type and producer a duplicate", async () => {
    const running = await start({ lab, hooks: [lab, "{token: X-Api-Key, idempotencyKey: X-Id}"] });
    const first = await post(running, "shop/hooks/t", { ...headers, "x-id": "1" });
    expect(first).toMatchObject({ http: 200, duplicate: false });
    expect(await post(running, "shop/hooks/t", { ...headers, "x-id": "1" })).toMatchObject({ http: 200, duplicate: true, id: first["id"] });
    expect(await post(running, "shop/hooks/t", { ...headers, "x-id": "1" }, "y")).toMatchObject({
      http: 409,
      code: "idempotency_conflict",
    });
    expect(await post(running, "shop/hooks/u", { ...headers, "x-id": "1" })).toMatchObject({ http: 200, duplicate: false });
    expect(await post(running, "shop/hooks/t", { "x-api-key": TOOL, "x-id": "1" })).toMatchObject({ http: 200, duplicate: false });
    expect(await post(running, "shop/hooks/t", { ...headers, "idempotency-key": "1" }, "y")).toMatchObject({ http: 200, duplicate: false });
  });

  it("wins over Idempotency-Key, which counts where it is absent or empty", async () => {
    const running = await start({ lab });
    const both = { ...headers, "x-id": "1", "idempotency-key": "k" };
    const first = await post(running, "shop/hooks/t", both);
    expect(await post(running, "shop/hooks/t", { ...both, "idempotency-key": "other" })).toMatchObject({
      duplicate: true,
      id: first["id"],
    });
    const second = await post(running, "shop/hooks/t", { ...headers, "x-id": "", "idempotency-key": "k" });
    expect(second).toMatchObject({ duplicate: false });
    expect(await post(running, "shop/hooks/t", { ...headers, "idempotency-key": "k" })).toMatchObject({
      duplicate: true,
      id: second["id"],
    });
    expect(await post(running, "shop/hooks/t", { ...headers, "x-id": "" })).toMatchObject({ duplicate: false });
    expect(await post(running, "shop/hooks/t", { ...headers, "x-id": "" })).toMatchObject({ duplicate: false });
  });

  it.each<[string, Headers, string]>([
    ["twice", { "x-id": ["1", "1"] }, "duplicate_header"],
    ["256 characters", { "x-id": "a".repeat(256) }, "idempotency_key_invalid"],
    ["spaces", { "x-id": "a b" }, "idempotency_key_invalid"],
    ["not ASCII", { "x-id": latin("ü") }, "idempotency_key_invalid"],
  ])("is refused: %s", async (_what, more, code) => {
    const running = await start({ lab });
    expect(await post(running, "shop/hooks/t", { ...headers, ...more })).toMatchObject({
      http: 400,
      code,
      detail: expect.stringContaining("'x-id'") as string,
    });
  });

  it("finds the same form behind another boundary, and no other form", async () => {
    const running = await start({ lab });
    const send = (boundary: string, value: string) => {
      const body = `--${boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n${value}\r\n--${boundary}--`;
      return post(running, "shop/hooks/t", { ...headers, "x-id": "1", "content-type": `multipart/form-data; boundary=${boundary}` }, body);
    };
    const first = await send("b1", "v");
    expect(await send("b2", "v")).toMatchObject({ http: 200, duplicate: true, id: first["id"] });
    expect(await send("b3", "w")).toMatchObject({ http: 409 });
    expect((await stored(running, first)).text).toContain("--b1--");
  });
});

describe("JSON under another name", () => {
  const lab = "{token: X-Gitlab-Token, jsonTypes: [text/plain], jsonFields: [payload]}";
  const form = "application/x-www-form-urlencoded";
  const headers = (contentType: string): Headers => ({ "x-gitlab-token": LAB, "content-type": contentType });

  it("by its media type keeps every byte", async () => {
    const running = await start({ lab });
    const told = await post(running, "shop/hooks/t", headers("Text/Plain; charset=iso-8859-1"), ' {"a": 1.50,\n"b":"\\u00fc"} ');
    expect(await stored(running, told)).toMatchObject({
      dataKind: "json",
      dataContentType: "application/json",
      text: ' {"a": 1.50,\n"b":"\\u00fc"} ',
    });
    expect(await stored(running, await post(running, "shop/hooks/t", headers("text/plain"), ""))).toMatchObject({ dataKind: "none" });
    expect(await stored(running, await post(running, "shop/hooks/t", headers("text/html"), "{"))).toMatchObject({ dataKind: "text" });
    expect(
      await stored(running, await post(running, "shop/hooks/t", { authorization: `Bearer ${PLAIN}`, "content-type": "text/plain" }, "{")),
    ).toMatchObject({ dataKind: "text" });
  });

  it.each([
    ["hello", "text/plain", 400, { code: "json_invalid", offset: 0 }],
    ['{"a":1,}', "text/plain", 400, { code: "json_invalid", offset: 7 }],
    ['{"a":1,"a":2}', "text/plain", 400, { code: "json_duplicate_key" }],
    ["\ufeff{}", "text/plain", 400, { code: "json_invalid", offset: 0 }],
    ['"ü"', "text/plain; charset=iso-8859-1", 415, { code: "charset_unsupported" }],
    ["payload=%7B%7D&payload=%7B", form, 400, { code: "json_invalid", pointer: "/payload" }],
    ["payload=", form, 400, { code: "json_invalid", pointer: "/payload" }],
    [`payload=${"[".repeat(128)}${"]".repeat(128)}`, form, 400, { code: "json_too_deep" }],
    [`payload=1&x=${"%01".repeat(60_000)}`, form, 413, { code: "event_too_large" }],
  ])("that is none is refused: %j", async (body, contentType, http, told) => {
    const running = await start({ lab });
    expect(await post(running, "shop/hooks/t", headers(contentType), body)).toMatchObject({ http, ...told });
    expect(running.intake.admitted).toBe(0);
  });

  it.each([
    ["payload=%7B%22n%22%3A1.50%7D&x=a+b", '{"payload":{"n":1.50},"x":"a b"}'],
    ["payload=1&payload=%5B2%5D", '{"payload":[1,[2]]}'],
    ["x=1&__proto__=2&payload=null", '{"x":"1","__proto__":"2","payload":null}'],
    ["PAYLOAD=1", undefined],
    ["x=%ED&payload=1", undefined],
  ])("in a field of the form %s makes it an object", async (body, shown) => {
    const running = await start({ lab });
    const event = await stored(running, await post(running, "shop/hooks/t", headers(form), body));
    expect(event).toMatchObject(
      shown === undefined ? { text: body } : { dataKind: "json", dataContentType: "application/json", text: shown },
    );
  });
});

describe("a form of several parts", () => {
  const headers = { "x-gitlab-token": LAB, "content-type": "multipart/form-data; boundary=b1" };
  const part = (disposition: string, value: string, more = ""): string =>
    `--b1\r\nContent-Disposition: form-data; ${disposition}\r\n${more}\r\n${value}\r\n`;

  it("is stored as it came, and shown as an object of its parts", async () => {
    const running = await start();
    const body = Buffer.from(
      `${part('name="a"', "1")}${part('name="f"; filename="x"', "\xff", "Content-Type: image/png\r\n")}--b1--`,
      "latin1",
    );
    const event = await stored(running, await post(running, "shop/hooks/t", headers, body));
    expect(event).toMatchObject({
      dataKind: "binary",
      shown: '{"a":"1","f":{"filename":"x","contentType":"image/png","base64":"/w=="}}',
    });
    expect(Buffer.compare(event.data, body)).toBe(0);
  });

  it.each([
    [
      "half of it",
      part('name="a"', "v"),
      { code: "multipart_invalid", detail: "At byte 53: the body ends without the closing boundary: it is not complete." },
    ],
    ["10,000 parts", `${Array.from({ length: 10_000 }, () => "--b1\r\n\r\n").join("")}--b1--`, { code: "multipart_invalid" }],
    [
      "1,001 parts",
      `${part('name="a"', "v").repeat(1_001)}--b1--`,
      { code: "multipart_invalid", detail: expect.stringContaining("more than 1000 parts") as string },
    ],
    [
      "JSON that is none",
      `${part('name="a/b"', "{", "Content-Type: application/json\r\n")}--b1--`,
      { code: "json_invalid", pointer: "/a~1b" },
    ],
    [
      "JSON that is not UTF-8",
      Buffer.from(`${part('name="a"', '"\xff"', "Content-Type: application/json\r\n")}--b1--`, "latin1"),
      { code: "utf8_invalid" },
    ],
    [
      "JSON too deep for the object",
      `${part('name="a"', `${"[".repeat(128)}${"]".repeat(128)}`, "Content-Type: application/json\r\n")}--b1--`,
      { code: "json_too_deep" },
    ],
    ["nothing in it", "--b1", { code: "multipart_invalid", offset: 0 }],
  ])("is refused: %s", async (_what, body, told) => {
    const running = await start();
    expect(await post(running, "shop/hooks/t", headers, body)).toMatchObject({ http: 400, ...told });
    expect(running.intake.admitted).toBe(0);
  });

  it("with a token in it lets no one in, and a file named like JSON is a file", async () => {
    const running = await start({ lab: "{token: X-Gitlab-Token, jsonFields: [a]}" });
    const body = `${part('name="token"', PLAIN)}--b1--`;
    expect(await post(running, "shop/hooks/t", { "content-type": headers["content-type"] }, body)).toMatchObject({ http: 401 });
    const file = `${part('name="a"; filename="a.json"', "{", "Content-Type: application/json\r\n")}--b1--`;
    expect(await stored(running, await post(running, "shop/hooks/t", headers, file))).toMatchObject({ dataKind: "binary" });
  });

  it("of 256 KiB holds nobody up", async () => {
    const running = await start();
    const many = `${part('name="a"', "v".repeat(190)).repeat(1_000)}--b1--`;
    const before = performance.now();
    expect(await post(running, "shop/hooks/t", headers, many)).toMatchObject({ http: 200 });
    expect(performance.now() - before).toBeLessThan(2_000);
  });
});

describe("a check of the address", () => {
  it("by HEAD is answered as a POST would be let in, and stores nothing", async () => {
    const running = await start({ tokenInQuery: true });
    expect(await post(running, "shop/hooks/t", { "x-gitlab-token": LAB }, "", "HEAD")).toMatchObject({
      http: 200,
      headers: { "content-length": "0" },
    });
    expect(await post(running, `shop/hooks/t?token=${PLAIN}`, {}, "", "HEAD")).toMatchObject({ http: 200 });
    expect(await post(running, "shop/hooks/t", { authorization: `Bearer ${PLAIN}` }, "", "HEAD")).toMatchObject({ http: 200 });
    expect(await post(running, "shop/hooks/t", {}, "", "HEAD")).toMatchObject({ http: 401 });
    expect(await post(running, "shop/hooks/t", { "content-type": "application/json" }, "", "HEAD")).toMatchObject({ http: 401 });
    expect(await post(running, "shop/events", { authorization: `Bearer ${PLAIN}` }, "", "HEAD")).toMatchObject({ http: 405 });
    expect(running.intake.admitted).toBe(0);
  });

  it("by GET is 405 and says what there is", async () => {
    const running = await start();
    const told = await post(running, "shop/hooks/t?hub.challenge=1", { "x-gitlab-token": LAB }, "", "GET");
    expect(told).toMatchObject({ http: 405, headers: { allow: "POST, HEAD, OPTIONS" } });
  });
});

describe("Content-Encoding", () => {
  it.each(["utf-8", "UTF-8", "none", "identity", "us-ascii", ""])("%j is none on a hook", async (coding) => {
    const running = await start();
    const headers = { "x-gitlab-token": LAB, "content-encoding": coding, "content-type": "text/plain" };
    expect(await stored(running, await post(running, "shop/hooks/t", headers))).toMatchObject({ text: "x" });
  });

  it("that means something is refused, and on /events the header is named", async () => {
    const running = await start();
    const headers = { authorization: `Bearer ${LAB}`, "content-type": "application/json" };
    expect(await post(running, "shop/hooks/t", { ...headers, "content-encoding": "gzip" })).toMatchObject({ http: 415 });
    expect(await post(running, "shop/events", { ...headers, "content-encoding": "utf-8" })).toMatchObject({
      http: 415,
      detail: "Content-Encoding is 'utf-8', which names no compression: leave it out, and write a charset into Content-Type.",
    });
  });
});
