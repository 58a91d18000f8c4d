import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { stringify } from "yaml";
import { canaryHits } from "../support/canaries/canary-search.ts";
import { BROKEN_FILES, CANARIES, canaryManifests, WORKING } from "../support/canaries/canary-world.ts";
import { ConnectProxy } from "../support/delivery/connect-proxy.ts";
import { TokenServer } from "../support/delivery/token-server.ts";
import { PAIR_TWO } from "../support/fields/key-pairs.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { untilGiven } from "../support/until.ts";

const WAIT_MS = 30_000;

// oxlint-disable-next-line typescript/no-explicit-any -- any JSON
type Json = any;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A receiver that says again, in its head and its body, whatever it was told. */
function indiscreet(seen: string[]): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const { url = "", headers, rawHeaders } = request;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      seen.push(`${url} ${JSON.stringify(headers)} ${Buffer.concat(chunks).toString()}`);
      const { authorization = "none" } = headers;
      const [, token = ""] = authorization.split(" ");
      const path = [token, encodeURIComponent(token), Buffer.from(token, "base64").toString("latin1"), headers["x-key"], url.split("?")[0]];
      const said = {
        location: `https://elsewhere.example/${path.map((part) => encodeURI(String(part)).replaceAll("%25", "%")).join("/")}?t=${CANARIES.query}`,
        server: authorization,
        via: `1.1 ${String(headers["x-key"])}`,
        "x-request-id": String(headers["x-request-id"]),
        "content-type": `text/plain; a="${url}"`,
        "x-echo": JSON.stringify(rawHeaders),
      };
      const status = url.startsWith("/failing") ? 500 : url.startsWith("/services") ? 307 : 200;
      response.writeHead(status, authorization.replace(/[^ -~]/g, ""), said).end(
        JSON.stringify({
          said: { ...said, location: path },
          url,
          rawHeaders,
          told: Buffer.concat(chunks).toString(),
          again: Buffer.concat(chunks).toString("base64"),
        }),
      );
    });
  };
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startPlaces(seen: string[]): Promise<Parameters<typeof canaryManifests>[0]> {
  const receiver = `http://${await listening(createServer(indiscreet(seen)))}`;
  const tls = await listening(createTlsServer({ ...PAIR_TWO }));
  const tokens = new TokenServer();
  tokens.answer = ({ headers }, res) => {
    const { authorization = "" } = headers;
    const plain = decodeURIComponent(Buffer.from(authorization.slice("Basic ".length), "base64").toString());
    seen.push(`token ${plain}`);
    if (!plain.includes(CANARIES.refusedSecret)) return tokens.give(res, { access_token: CANARIES.fetchedToken });
    const said = { error: "invalid_client", error_description: `${plain} in ${authorization}` };
    res
      .writeHead(401, plain, { "content-type": "application/json", location: `https://${authorization.slice(6)}/${plain}` })
      .end(JSON.stringify(said));
  };
  await tokens.start();
  cleanups.push(() => tokens.stop());
  const proxy = new ConnectProxy();
  proxy.answer = ({ headers }) => {
    const said = headers["proxy-authorization"] ?? "";
    seen.push(`proxy ${Buffer.from(said.slice("Basic ".length), "base64").toString()}`);
    return `HTTP/1.1 407 ${said}\r\nproxy-authenticate: ${said}\r\n\r\n${said}`;
  };
  const { authority } = await proxy.start();
  cleanups.push(() => proxy.stop());
  return { receiver, tls, tokens: tokens.url, proxy: authority };
}

/** Promise 15: everything that can hold a secret, used and abused; then the values are searched for wherever somebody could read. */
it("keeps secrets out of logs, metrics, rows, statuses and the API's answers", { timeout: 90_000 }, async () => {
  const seen: string[] = [];
  const places = await startPlaces(seen);
  const directory = mkdtempSync(join(tmpdir(), "postrider-canaries-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  const text = canaryManifests(places).map((object) => stringify(object));
  writeFileSync(join(directory, "manifests", "all.yaml"), text.join("---\n"));
  for (const [i, file] of BROKEN_FILES.entries()) writeFileSync(join(directory, "manifests", `broken-${i}.yaml`), file);
  const store = join(directory, "store");
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${store}`,
    auth: ["--ingest-auth", "static", "--api-auth", "static", "--ingest-token-in-query", "true"],
    flags: ["--log-level", "trace"],
  });
  cleanups.push(() => operator.signal("SIGKILL"));

  let answers = "";
  const api = async (path: string, init: RequestInit = {}): Promise<Json> => {
    const headers = { authorization: `Bearer ${CANARIES.apiToken}` };
    const response = await fetch(`${operator.ready.api}/v1/namespaces/${path}`, { headers, ...init });
    const body = await response.text();
    answers += `${path.split("?")[0]} ${response.status} ${JSON.stringify([...response.headers])} ${body}\n`;
    return JSON.parse(body);
  };
  for (const [i, name] of WORKING.entries()) {
    const namespace = name === "proxied" ? "behind" : "shop";
    const { url, headers, extra } = [
      { url: "", headers: { authorization: `Bearer ${CANARIES.ingestToken}` }, extra: {} },
      { url: `?token=${CANARIES.ingestToken}`, headers: {}, extra: {} },
      { url: "", headers: {}, extra: { token: CANARIES.ingestToken } },
    ][i % 3]!;
    const body = JSON.stringify({ type: `${name}.x`, data: { n: 1 }, ...extra });
    const target = `${operator.ready.ingest}/v1/namespaces/${namespace}/events${url}`;
    const answer = await fetch(target, {
      method: "POST",
      headers: { "content-type": "application/json", prefer: "wait=1", ...headers },
      body,
    });
    answers += await answer.text();
    // What became of it is in the answer where that was known within a second.
    expect([200, 202], name).toContain(answer.status);
  }
  let found: Json[] = [];
  const ended = async (): Promise<Json[] | undefined> => {
    found = [...(await api("shop/deliveries?limit=500")).items, ...(await api("behind/deliveries")).items];
    // One more than events: the dead letter.
    return found.length > WORKING.length && found.every(({ state }) => state === "Delivered" || state === "Failed") ? found : undefined;
  };
  const states = (): unknown => found.map((row) => [row.eventType, row.state]);
  const rows = await untilGiven(ended, { withinMs: WAIT_MS, everyMs: 50, seen: states });
  for (const { id, eventID, namespace } of rows) {
    for (const path of [`deliveries/${id}`, `deliveries/${id}/attempts`, `events/${eventID}`]) await api(`${namespace}/${path}`);
  }
  for (const namespace of ["shop", "behind"]) {
    await api(`${namespace}/attempts?limit=500`);
    for (const { name } of (await api(`${namespace}/subscriptions`)).items as Json[]) {
      await api(`${namespace}/subscriptions/${name}`);
      await api(`${namespace}/subscriptions/${name}/test`, { method: "POST" });
    }
  }
  await api(`shop/deliveries?token=${CANARIES.apiToken}`);
  await api(`shop/deliveries`, { headers: { authorization: `Basic ${CANARIES.apiToken}` } });
  await api(`behind/subscriptions/proxied/test`, { method: "POST", body: `{"token":"${CANARIES.apiToken}"}` });
  const pages = ["/metrics", "/metrics/per-subscription"].map(async (path) => (await fetch(`${operator.ready.metrics}${path}`)).text());
  const metrics = (await Promise.all(pages)).join("\n");
  expect(await operator.signal("SIGTERM")).toBe(0);

  // The wire did carry them: else the search below would find nothing for the wrong reason.
  const wire = seen.join("\n");
  const { urlPath, query, header, harmlessHeader, bearer, deadBearer, deadQuery, fetchedToken, clientSecret, refusedSecret } = CANARIES;
  const carried = { urlPath, query, header, harmlessHeader, bearer, deadBearer, deadQuery, fetchedToken, clientSecret, refusedSecret };
  const { basicPassword, proxyPassword } = CANARIES;
  const onWire = canaryHits({ ...carried, basicPassword, proxyPassword }, { wire });
  expect(onWire).toHaveLength(Object.keys(carried).length + 2);
  const files = readdirSync(store)
    .filter((name) => !name.startsWith("."))
    .map((name) => readFileSync(join(store, name), "latin1"));
  const log = [...operator.stdoutLines, operator.stderr()].join("\n");
  expect(log).toContain("delivery.attempted");
  expect(log).toContain("an alias has no anchor");
  expect(answers).toContain("correlationId");
  expect(answers).toContain("PROXY_AUTH");
  expect(answers).toContain("TOKEN_REFUSED");
  expect(answers).toContain("SecretInvalid");
  expect(files.join("")).toContain("uncaptured.x");
  // A token endpoint's address stands in the spec, which whoever may read the subscription is shown; in logs it is cut like every other.
  const { tokenQuery, ...secrets } = CANARIES;
  expect(canaryHits({ tokenQuery }, { log, metrics })).toEqual([]);
  expect(canaryHits(secrets, { log, metrics, answers, rows: files.join("") })).toEqual([]);
});
