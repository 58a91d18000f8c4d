import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { InvalidArgumentError } from "commander";
import { afterEach, describe, expect, it } from "vitest";
import { DevelopmentReceiver } from "../../../src/cli/development-receiver.ts";
import type { ReceiverOptions } from "../../../src/cli/development-receiver.ts";
import { forwardTarget } from "../../../src/cli/forwarding.ts";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import { namedSigning } from "../../../src/core/signing/signing-styles.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { freePort } from "../../support/free-port.ts";

const KEY = "it's a secret to everybody";
const BODY = '{"a": 1}';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** An app under development: a real server that remembers what came. */
async function app(status = 201, body = '{"ok":true}', host = "127.0.0.1"): Promise<{ url: string; port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(status, { "content-type": "application/json", "retry-after": "7", "x-app": "mine" }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  stops.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, port, seen };
}

async function receiver(options: Partial<ReceiverOptions>): Promise<{ url: string; lines: string[] }> {
  const lines: string[] = [];
  const shows = { output: "text", colour: false, headers: false } as const;
  const one = new DevelopmentReceiver({ host: "127.0.0.1", port: 0, status: 200, delay: 0, shows, ...options }, new SystemClock(), (line) =>
    lines.push(`${line.text}\n`),
  );
  const url = await one.start();
  stops.push(() => one.stop());
  return { url, lines };
}

function signed(body = BODY): Record<string, string> {
  const signing = namedSigning("github")!;
  const parsed = parseKey("HMAC", Buffer.from(KEY));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  const input = { id: "evt-1", timestampSec: 1, body: Buffer.from(body), url: "", contentType: undefined };
  return {
    "webhook-id": "evt-1",
    "content-type": "application/json",
    ...Object.fromEntries(signatureHeaders(signing, [parsed.key], input)),
  };
}

const VERIFIER = { secrets: [Buffer.from(KEY)] };

describe("listen --forward-to", () => {
  it("hands on what came, byte for byte, and answers what the app answered; both are shown", async () => {
    const { url: target, seen } = await app();
    const { url, lines } = await receiver({ verifier: VERIFIER, forwardTo: new URL(target) });
    const answer = await fetch(`${url}/in?x=%2F1`, { method: "POST", headers: signed(), body: BODY });
    expect([answer.status, await answer.text(), answer.headers.get("retry-after"), answer.headers.get("x-app")]).toEqual([
      201,
      '{"ok":true}',
      "7",
      "mine",
    ]);
    expect(seen).toMatchObject([
      { method: "POST", url: "/in?x=%2F1", body: BODY, headers: { host: new URL(url).host, ...lower(signed()) } },
    ]);
    const shown = lines.join("");
    expect(shown).toContain(`forwarding to ${target}/`);
    expect(shown).toMatch(
      /#1 POST \/in\?x=%2F1 evt-1 verified -> 201\n.*8 bytes\n   \{"a": 1\}\n   app: 201 in \d+ ms\n   \{"ok":true\}\n$/,
    );
  });

  it("does not hand on what is not genuine, nor what it was told to fail", async () => {
    const { url: target, seen } = await app();
    const { url, lines } = await receiver({ verifier: VERIFIER, forwardTo: new URL(target), failEvery: 2 });
    const send = async (body: string): Promise<number> => (await fetch(url, { method: "POST", headers: signed(), body })).status;
    expect([await send(`${BODY}\n`), await send(BODY), await send(BODY)]).toEqual([401, 500, 201]);
    expect(seen).toHaveLength(1);
    expect(lines.join("")).toMatch(
      /NOT genuine \(SignatureMismatch\) -> 401\n.*\n   hint: the signature matches the body without the line end/,
    );
  });

  it("sends everything to the target's own path where it has one", async () => {
    const { url: target, seen } = await app();
    const { url } = await receiver({ forwardTo: new URL(`${target}/hooks?from=x`) });
    await fetch(`${url}/other`, { method: "PUT", body: "x" });
    expect(seen).toMatchObject([{ method: "PUT", url: "/hooks?from=x" }]);
  });

  it("does not follow redirects, and passes an error's body on", async () => {
    const { url: target } = await app(302, "go away");
    const { url } = await receiver({ forwardTo: new URL(target) });
    expect(await fetch(url, { method: "POST", redirect: "manual" }).then((answer) => answer.status)).toBe(302);
  });

  it("says that the app does not run: 502", async () => {
    const { url, lines } = await receiver({ forwardTo: new URL(`http://127.0.0.1:${await freePort()}`) });
    const answer = await fetch(url, { method: "POST", body: "x" });
    expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining("is the app running?")]);
    expect(lines.join("")).toContain("is the app running? -> 502");
  });

  it("says in JSON what came and what the app answered", async () => {
    const { url: target } = await app(422, "no such order");
    const shows = { output: "json", colour: false, headers: false } as const;
    const { url, lines } = await receiver({ forwardTo: new URL(target), shows });
    await fetch(url, { method: "POST", body: "x" });
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ status: 422, forwarded: { status: 422, body: "no such order" } });
  });

  it("lets neither sender nor app draw on the terminal", async () => {
    const { url: target } = await app(200, "\u001b[2Jboo\u0007");
    const { url, lines } = await receiver({ forwardTo: new URL(target), shows: { output: "text", colour: false, headers: true } });
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nHost: a\r\nX-A: \u0080\u009b2J\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\u001b[2J");
    await new Promise((resolve) => socket.once("close", resolve).resume());
    // oxlint-disable-next-line no-control-regex -- looked for
    expect(lines.join("")).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(lines.join("")).toContain("X-A:");
  });

  it.each([
    ["http://127.0.0.1:3000/hooks", "http://127.0.0.1:3000/hooks"],
    ["http://localhost:3000", "http://localhost:3000/"],
    ["http://[::1]:3000", "http://[::1]:3000/"],
    ["localhost:3000", "http://localhost:3000/"],
    ["3000", "http://127.0.0.1:3000/"],
    ["https://127.0.0.1", undefined],
    ["http://example.com/", undefined],
    ["http://169.254.169.254/", undefined],
    ["http://127.0.0.1.example.com/", undefined],
    ["file:///etc/passwd", undefined],
    ["http://", undefined],
  ])("takes this machine only: %s", (text, target) => {
    if (target === undefined) expect(() => forwardTarget(text)).toThrow(InvalidArgumentError);
    else expect(forwardTarget(text).href).toBe(target);
  });
});

describe("listen --secret", () => {
  it("answers a request in a style that it cannot tell as told, and says so", async () => {
    const { url, lines } = await receiver({ verifier: VERIFIER, status: 204 });
    const headers = { "x-acme": `t=1;${"0".repeat(64)}` };
    expect((await fetch(url, { method: "POST", headers, body: "x" })).status).toBe(204);
    expect(lines.join("")).toMatch(/not verified \(SchemeUnknown\) -> 204\n.*\n   hint: .*--scheme/);
    expect((await fetch(url, { method: "POST", body: "x" })).status).toBe(401);
  });
});

function lower(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
