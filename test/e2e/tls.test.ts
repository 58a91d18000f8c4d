import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, expect, it } from "vitest";
import { makeCertificates } from "../support/delivery/certificates.ts";
import { askTls } from "../support/door/tls-clients.ts";
import { tlsFlags } from "../support/operator/tls-flags.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const certificates = makeCertificates();
if (certificates === undefined) throw new Error("these tests need the openssl command");
const { good, selfSigned, ca, clients } = certificates;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function scene() {
  const folder = mkdtempSync(join(tmpdir(), "postrider-tls-"));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const flags = (["ingest", "api", "metrics"] as const).flatMap((port) => tlsFlags(port, folder, good));
  return { folder, file, flags, ca: file("ca.crt", ca) };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
const portOf = (url: string): number => Number(new URL(url).port);

it("the binary serves three ports over TLS, takes new files without a restart, and ends cleanly", { timeout: 90_000 }, async () => {
  const { folder, file, flags, ca: caFile } = scene();
  const started = Date.now();
  const options = {
    manifests: folder,
    store: "memory:",
    flags: [...flags, `--ingest-tls-client-ca-file=${caFile}`, "--log-level", "info"],
  };
  const operator = await OperatorProcess.start(options);
  cleanups.push(() => operator.kill());
  const { ingest, api, metrics } = operator.ready;
  for (const url of [ingest, api, metrics]) expect(url).toMatch(/^https:/);
  const readyz = await askTls(portOf(metrics), get("/readyz?verbose"), { ca });
  expect(readyz.status).toBe(200);
  expect(readyz.raw).toMatch(/\[\+\] certificates ok: ingest is valid until .*; api is valid until .*; metrics is valid until /);
  expect((await askTls(portOf(api), get("/v1/namespaces/shop/subscriptions"), { ca })).status).toBe(200);
  const [client] = clients;
  const publish = (...more: string[]) =>
    spawnSync(process.execPath, ["src/main.ts", "publish", "-n", "shop", "--type", "x", "--server", ingest, "--ca-file", caFile, ...more], {
      cwd: resolve(import.meta.dirname, "../.."),
      encoding: "utf8",
    });
  const shown = ["--client-certificate-file", file("c.crt", client.cert), "--client-key-file", file("c.key", client.key)];
  expect(publish(...shown).stdout).toContain("stored");
  expect(publish().stderr).toContain("client_certificate_refused");

  file("metrics.crt", selfSigned.cert);
  await expect.poll(operator.stderr, { timeout: 30_000, interval: 200 }).toContain("certificate.rejected");
  expect((await askTls(portOf(metrics), get("/readyz"), { ca })).raw).toContain("it does not belong to the private key");
  file("metrics.key", selfSigned.key);
  const own = { ca: selfSigned.cert, servername: "", checkServerIdentity: () => undefined };
  await expect.poll(async () => (await askTls(portOf(metrics), get("/livez"), own)).status, { timeout: 30_000, interval: 500 }).toBe(200);
  const page = (await askTls(portOf(metrics), get("/metrics"), own)).raw;
  expect(Number(/postrider_tls_certificate_not_after_seconds\{listener="metrics"\} (\S+)/.exec(page)?.[1]) * 1_000).toBeGreaterThan(
    started,
  );
  expect(await operator.signal("SIGTERM")).toBe(0);
});

it("the binary refuses to start with a pair that cannot be used, and says which file", () => {
  const { folder, file, flags } = scene();
  file("api.key", "hello");
  const { status, stderr } = spawnSync(
    process.execPath,
    ["src/main.ts", "run", "--provider", "file", "--manifests", folder, "--store", "memory:", ...flags],
    { cwd: resolve(import.meta.dirname, "../.."), encoding: "utf8" },
  );
  expect(status).toBe(2);
  expect(stderr).toContain(`--api-tls-key-file ${join(folder, "api.key")}: it contains no private key in PEM form`);
});
