import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const TOKEN = "caller-token-0123456789";
const OTHER = "bank-token-0123456789";
const GOOD = "{token: X-Key, idempotencyKey: X-Id, headers: {X-Event: event}, jsonFields: [payload]}";
const WRONG = "{token: X-Key, idempotency: X-Id}";
const FORMATS = ["Raw", "StandardWebhooks", "CloudEventsStructured", "CloudEventsBinary"];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function caller(namespace: string, token: string, hooks: string): string {
  const metadata = {
    name: "caller",
    namespace,
    labels: { "postrider.dev/ingest-token": "true" },
    annotations: { "postrider.dev/hooks": hooks },
  };
  return `apiVersion: v1\nkind: Secret\nmetadata: ${JSON.stringify(metadata)}\nstringData: ${JSON.stringify({ token })}\n`;
}

/** Keeps what comes, and answers what it is told to. */
async function receiver(status: () => number) {
  const seen: { readonly path: string; readonly id: string; readonly told: string }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { "content-type": type, "ce-event": event, "webhook-id": id } = request.headers;
      seen.push({ path: request.url ?? "", id: String(id), told: `${type} ${String(event)} ${Buffer.concat(chunks).toString("latin1")}` });
      response.writeHead(status()).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanups.push(() => new Promise((done) => server.close(done).closeAllConnections()));
  return { port: (server.address() as AddressInfo).port, seen };
}

const BODY = Buffer.from(
  '--b1\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b1\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n\xff\r\n--b1--',
  "latin1",
);

it(
  "hooks outlive a crash byte for byte, with their keys; a wrong edit leaves the last good settings in force",
  { timeout: 120_000 },
  async () => {
    let status = 503;
    const { port, seen } = await receiver(() => status);
    const home = mkdtempSync(join(tmpdir(), "postrider-hooks-"));
    cleanups.push(() => rmSync(home, { recursive: true, force: true }));
    const manifests = join(home, "manifests");
    mkdirSync(manifests);
    const write = (hooks: string): void =>
      writeFileSync(
        join(manifests, "all.yaml"),
        manifestFile(
          loopbackPolicy(),
          defaultPolicy("shop", "retry: {schedule: [0s, 1s], maxAttempts: 50}"),
          caller("shop", TOKEN, hooks),
          caller("bank", OTHER, GOOD),
          subscription({ namespace: "bank", name: "any", types: ["*"], url: `http://127.0.0.1:${port}/bank` }),
          ...FORMATS.map((format) =>
            subscription({
              name: format.toLowerCase(),
              types: ["*"],
              url: `http://127.0.0.1:${port}/${format}`,
              more: [`payload: {format: ${format}}`],
            }),
          ),
        ),
      );
    const start = async (): Promise<OperatorProcess> => {
      const auth = ["--ingest-auth", "static", "--api-auth", "none"];
      const operator = await OperatorProcess.start({ manifests, store: `sqlite:${join(home, "store")}`, auth });
      cleanups.push(() => operator.kill());
      return operator;
    };
    const send = async (operator: OperatorProcess, path: string, headers: Record<string, string>, body: Buffer | string) => {
      const url = `${operator.ready.ingest}/v1/namespaces/${path}`;
      const answer = await fetch(url, { method: "POST", headers, body: Buffer.from(body) });
      return { http: answer.status, ...((await answer.json()) as { id?: string; duplicate?: boolean }) };
    };
    const parts = { "x-key": TOKEN, "x-id": "1", "x-event": "push", "content-type": "multipart/form-data; boundary=b1" };
    const form = { "x-key": TOKEN, "x-id": "2", "content-type": "application/x-www-form-urlencoded" };

    write(GOOD);
    const first = await start();
    const accepted = [
      await send(first, "shop/hooks/t", parts, BODY),
      await send(first, "shop/hooks/t", form, "payload=%7B%22n%22%3A1.50%7D&x=1"),
    ];
    expect(accepted).toMatchObject([
      { http: 200, duplicate: false },
      { http: 200, duplicate: false },
    ]);
    const deliveries = FORMATS.length * accepted.length;
    await expect.poll(() => new Set(seen.map(({ path, id }) => path + id)).size, { timeout: 20_000 }).toBe(deliveries);
    await first.kill();
    const before = seen.length;

    status = 204;
    const second = await start();
    await expect.poll(() => new Set(seen.slice(before).map(({ path, id }) => path + id)).size, { timeout: 30_000 }).toBe(deliveries);
    const bodies = new Map<string, Set<string>>();
    for (const { path, id, told } of seen) bodies.set(path + id, (bodies.get(path + id) ?? new Set()).add(told));
    expect([...bodies.values()].map(({ size }) => size)).toEqual(Array.from({ length: deliveries }, () => 1));
    const toldTo = (format: string, at: number): string => [...(bodies.get(`/${format}${accepted[at]?.id}`) ?? [])].join();
    expect(toldTo("Raw", 0)).toBe(`multipart/form-data; boundary=b1 undefined ${BODY.toString("latin1")}`);
    expect(toldTo("StandardWebhooks", 0)).toContain('"data":{"a":"1","f":{"filename":"x","base64":"/w=="}}}');
    expect(toldTo("CloudEventsStructured", 0)).toContain(
      `"event":"push","datacontenttype":"multipart/form-data; boundary=b1","data_base64":"${BODY.toString("base64")}"`,
    );
    expect(toldTo("CloudEventsBinary", 0)).toBe(`multipart/form-data; boundary=b1 push ${BODY.toString("latin1")}`);
    expect(toldTo("Raw", 1)).toBe('application/json undefined {"payload":{"n":1.50},"x":"1"}');

    expect(await send(second, "shop/hooks/t", parts, BODY)).toMatchObject({ http: 200, duplicate: true, id: accepted[0]?.id });
    write(WRONG);
    await expect.poll(() => second.stderr(), { timeout: 20_000 }).toContain("idempotency is unknown, did you mean idempotencyKey?");
    expect(second.stderr()).toContain("the last good settings stay in force");
    expect(await send(second, "shop/hooks/t", parts, BODY)).toMatchObject({ http: 200, duplicate: true });
    expect(await send(second, "bank/hooks/t", { ...parts, "x-key": OTHER }, BODY)).toMatchObject({ http: 200, duplicate: false });
    await second.kill();

    // What is wrong from the start has never been in force: the token counts in its usual place, and no other namespace notices.
    const third = await start();
    await expect.poll(() => third.stderr(), { timeout: 20_000 }).toContain("no settings are in force for hooks with its tokens");
    expect(await send(third, "shop/hooks/t", parts, BODY)).toMatchObject({ http: 401 });
    expect(await send(third, "shop/hooks/t", { ...parts, authorization: `Bearer ${TOKEN}` }, BODY)).toMatchObject({
      http: 200,
      duplicate: false,
    });
    expect(await send(third, "bank/hooks/t", { ...parts, "x-key": OTHER }, BODY)).toMatchObject({ http: 200, duplicate: true });
    write(GOOD);
    await expect.poll(async () => (await send(third, "shop/hooks/t", parts, BODY)).http, { timeout: 20_000 }).toBe(200);
  },
);
