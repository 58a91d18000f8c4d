import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { KubeTransport, REQUEST_TIMEOUT_MS } from "../../../src/kube/transport.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const PATH = "/api/v1/namespaces/shop/pods/a";

describe("the transport", () => {
  let server: FaultyApiServer;
  let transport: KubeTransport;
  let clock: ManualClock;
  let directory: string;

  beforeEach(async () => {
    server = await FaultyApiServer.start();
    server.put("/api/v1/pods", { metadata: { name: "a", namespace: "shop" } });
    directory = mkdtempSync(join(tmpdir(), "postrider-transport-"));
    token("old");
    writeFileSync(
      join(directory, "kubeconfig"),
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": "test",
        clusters: [{ name: "test", cluster: { server: `${server.url}/`, "insecure-skip-tls-verify": true } }],
        users: [{ name: "test", user: { "auth-provider": { name: "file", config: { tokenFile: join(directory, "token") } } } }],
        contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      }),
    );
    clock = new ManualClock();
    transport = new KubeTransport(kubernetesCredentials(join(directory, "kubeconfig")), clock);
  });

  afterEach(async () => {
    await transport.close();
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  function token(text: string): void {
    writeFileSync(join(directory, "token"), `${text}\n`);
  }

  const get = () => transport.request({ method: "GET", path: PATH });
  const authorizations = () => server.requests.map(({ authorization }) => authorization);

  it("keeps its connection for calls one after another, and no more than 16 for a thousand at a time", async () => {
    for (let n = 0; n < 50; n++) expect((await get()).status).toBe(200);
    // undici frees a connection a moment after its answer has been read: the next call may take a second one.
    expect(server.connectionsMade).toBeLessThanOrEqual(2);
    const answers = await Promise.all(Array.from({ length: 1_000 }, get));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(server.connectionsMade).toBeLessThanOrEqual(16);
  });

  it("answers calls while hundreds of watches are open", async () => {
    const stop = new AbortController();
    const streams = await Promise.all(
      Array.from({ length: 300 }, () => transport.stream("/api/v1/pods?watch=1&resourceVersion=1", stop.signal)),
    );
    expect(streams.every(({ ok }) => ok)).toBe(true);
    expect((await get()).status).toBe(200);
    stop.abort();
    await server.until(({ openWatches }) => openWatches === 0);
  });

  it("reads the token again after a 401 and asks once more", async () => {
    await get();
    token("new");
    server.fail({ status: 401 }, { times: 1 });
    expect((await get()).status).toBe(200);
    expect(authorizations()).toEqual(["Bearer old", "Bearer old", "Bearer new"]);
    expect(server.connectionsMade).toBeLessThanOrEqual(2);
  });

  it("asks no more than twice when the token is refused for good", async () => {
    server.fail({ status: 401 });
    expect((await get()).status).toBe(401);
    expect(server.requests).toHaveLength(2);
  });

  it("gives up after 10 s without an answer, and at once when it is told to", async () => {
    server.fail({ broken: "hang" });
    const slow = get();
    const refused = expect(slow).rejects.toThrow(`the API server did not answer within ${REQUEST_TIMEOUT_MS} ms`);
    await server.until((one) => one.requests.length === 1);
    await clock.advance(REQUEST_TIMEOUT_MS);
    await refused;
    const stop = new AbortController();
    const stopped = transport.request({ method: "GET", path: PATH, signal: stop.signal });
    const givenUp = expect(stopped).rejects.toThrow("given up");
    await server.until((one) => one.requests.length === 2);
    stop.abort();
    await givenUp;
    expect(clock.nextAtMs()).toBeUndefined();
  });

  it("holds writes back for a second after a call that got no answer", async () => {
    server.fail({ broken: "reset" }, { times: 1 });
    await expect(get()).rejects.toThrow();
    const write = () =>
      transport.request({ method: "PATCH", path: PATH, contentType: "application/merge-patch+json", body: { metadata: {} } });
    await expect(write()).rejects.toThrow("the API server does not respond");
    expect(server.requests).toHaveLength(1);
    await clock.advance(1_000);
    expect((await write()).status).toBe(200);
  });

  it("says where it looked when there is no cluster", () => {
    const before = { KUBECONFIG: process.env["KUBECONFIG"], HOME: process.env["HOME"] };
    Object.assign(process.env, { KUBECONFIG: "", HOME: directory });
    try {
      expect(() => kubernetesCredentials(undefined)).toThrow("no cluster: give --kubeconfig FILE, set KUBECONFIG, or run inside a cluster");
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });
});
