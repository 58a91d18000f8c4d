import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { namedSigning } from "../../src/core/signing/signing-styles.ts";
import { verifyRequest } from "../../src/core/signing/verify.ts";
import { TokenServer } from "../support/delivery/token-server.ts";
import { loopbackPolicy, manifestFile, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { until } from "../support/until.ts";

const ARRIVES_WITHIN_MS = 20_000;
const CLIENT_SECRET = "canary-client-secret-4711";
const WHSEC = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

it("asks for permission, fetches a token and signs the message: the binary with nothing but manifests", { timeout: 60_000 }, async () => {
  const tokens = new TokenServer();
  const tokenUrl = await tokens.start();
  cleanups.push(() => tokens.stop());
  const seen: { readonly request: IncomingMessage; readonly body: Buffer }[] = [];
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      seen.push({ request, body: Buffer.concat(chunks) });
      response.setHeader("WebHook-Allowed-Origin", "hooks.example.com");
      response.end();
    });
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  cleanups.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks?a=1`;
  const directory = mkdtempSync(join(tmpdir(), "postrider-handshake-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(url, tokenUrl));
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${join(directory, "store")}`,
    flags: ["--webhook-origin", "hooks.example.com", "--log-level", "trace"],
  });
  cleanups.push(() => operator.signal("SIGKILL"));
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"order.paid","data":{"n":1}}',
  });
  expect(answer.status).toBe(202);
  await until(() => seen.length >= 2, { withinMs: ARRIVES_WITHIN_MS, seen: () => seen.map(({ request }) => request.method) });
  expect(seen.map(({ request }) => request.method)).toEqual(["OPTIONS", "POST"]);
  const [asked, sent] = seen;
  expect(asked?.request.headers).toMatchObject({ "webhook-request-origin": "hooks.example.com" });
  expect(asked?.request.headers.authorization).toBeUndefined();
  expect(sent?.request.headers.authorization).toBe("Bearer t1");
  const received = { url, headers: sent?.request.headers ?? {}, body: sent?.body ?? Buffer.alloc(0) };
  const verifier = { signing: namedSigning("http-message"), secrets: [Buffer.from(WHSEC)] };
  expect(verifyRequest(verifier, received, Date.now())).toMatchObject({ ok: true, scheme: "hmac-sha256" });
  expect(tokens.calls).toHaveLength(1);
  expect(tokens.calls[0]?.form.get("scope")).toBe("hooks");
  expect(operator.stderr() + operator.stdoutLines.join("\n")).not.toContain(CLIENT_SECRET);
});

function manifests(url: string, tokenUrl: string): string {
  const oauth2 = `tokenURL: "${tokenUrl}", clientIDSecretRef: {name: keys, key: id}, clientSecretRef: {name: keys, key: secret}, scopes: [hooks]`;
  return manifestFile(
    loopbackPolicy(),
    subscription({
      name: "orders",
      types: ["*"],
      endpoint: `{url: "${url}", auth: {oauth2ClientCredentials: {${oauth2}}}}`,
      signing: "{scheme: HTTPMessageSignatures, secretRefs: [{name: keys, key: sign}]}",
      more: ["verification: CloudEventsHandshake"],
    }),
    secret("shop", "keys", "use", { id: "client-4711", secret: CLIENT_SECRET, sign: WHSEC }),
  );
}
