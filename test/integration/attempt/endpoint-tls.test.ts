import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import type { Outcome } from "../../../src/core/outcome.ts";
import type { Target, TargetTls } from "../../../src/core/subscription.ts";
import { readCertificates } from "../../../src/lib/tls/pem-certificates.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";
import type { Certificate } from "../../support/delivery/certificates.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";

const certificates = makeCertificates();
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

const TLS: TargetTls = { ca: undefined, clientCert: undefined, serverName: undefined, minVersion: "TLSv1.2" };

interface Seen {
  readonly servername: string | false | null | undefined;
  readonly protocol: string | null;
  readonly client: string | undefined;
  readonly host: string | undefined;
  readonly remotePort: number | undefined;
}

async function receiver(options: ServerOptions): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(options, (req, res) => {
    const socket = req.socket as TLSSocket & { servername?: string | false };
    const client = socket.getPeerCertificate().subject?.CN;
    seen.push({
      servername: socket.servername,
      protocol: socket.getProtocol(),
      client: typeof client === "string" ? client : undefined,
      host: req.headers.host,
      remotePort: socket.remotePort,
    });
    res.end("ok");
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

/** OpenSSL's own server, which demands a client certificate of `ca`. */
async function opensslServer({ cert, key }: Certificate, ca: string, version: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-s-server-"));
  for (const [name, text] of [
    ["cert", cert],
    ["key", key],
    ["ca", ca],
  ] as const)
    writeFileSync(join(directory, name), text);
  const args = [
    "s_server",
    "-accept",
    "127.0.0.1:0",
    "-cert",
    "cert",
    "-key",
    "key",
    "-CAfile",
    "ca",
    "-Verify",
    "1",
    "-verify_return_error",
  ];
  const server = spawn("openssl", [...args, `-${version}`], { cwd: directory, stdio: ["pipe", "pipe", "ignore"] });
  endings.push(async () => {
    server.kill();
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
    rmSync(directory, { recursive: true, force: true });
  });
  let said = "";
  for await (const chunk of server.stdout) {
    said += String(chunk);
    const port = /^ACCEPT \S*:(\d+)$/m.exec(said)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`openssl s_server ended: ${said}`);
}

function attempter(): HttpAttempter {
  const made = new HttpAttempter({ clock: new SystemClock(), version: "1" });
  endings.push(() => made.close());
  return made;
}

async function attempt(by: HttpAttempter, url: string, target: Partial<Target>): Promise<Outcome> {
  return (await by.attempt({ route: aRoute({ url, target, policy: { maxInFlight: 1 } }), event: anEvent(), attempt: 1 })).outcome;
}

describe.skipIf(certificates === undefined)("TLS as the endpoint says", () => {
  const { ca, good, expired, otherHost, selfSigned, service, clients, deep, intermediate, weak } =
    certificates ?? ({} as NonNullable<typeof certificates>);
  const own = { ...TLS, ca };

  test("its own authorities are trusted, instead of the public ones", async () => {
    const { port } = await receiver(good);
    const url = `https://127.0.0.1:${port}/`;
    expect(await attempt(attempter(), url, { tls: own })).toMatchObject({ class: "success", tlsStatus: "ok" });
    expect(await attempt(attempter(), url, {})).toMatchObject({ class: "tls_error" });
    expect(await attempt(attempter(), url, { tls: { ...TLS, ca: selfSigned.cert } })).toMatchObject({ class: "tls_error" });
  });

  test("of a bundle that was glued together every authority is trusted", async () => {
    const read = readCertificates(selfSigned.cert.trimEnd() + ca.trimEnd() + intermediate);
    const tls = { ...TLS, ca: read.ok ? read.certificates.join("\n") : "" };
    for (const certificate of [good, selfSigned, deep]) {
      const { port } = await receiver(certificate);
      expect(await attempt(attempter(), `https://127.0.0.1:${port}/`, { tls })).toMatchObject({ class: "success", tlsStatus: "ok" });
    }
  });

  test("serverName is asked for and checked instead of the host", async () => {
    const { port, seen } = await receiver(otherHost);
    const url = `https://127.0.0.1:${port}/`;
    expect((await attempt(attempter(), url, { tls: own })).tlsStatus).toBe("HOSTNAME_MISMATCH (62)");
    expect((await attempt(attempter(), url, { tls: { ...own, serverName: "other.example" } })).class).toBe("success");
    expect(seen).toMatchObject([{ servername: "other.example", host: `127.0.0.1:${port}` }]);
    expect((await attempt(attempter(), url, { tls: { ...own, serverName: "third.example" } })).tlsStatus).toBe("HOSTNAME_MISMATCH (62)");
  });

  test("minVersion refuses a receiver that speaks only an older one", async () => {
    const { port, seen } = await receiver({ ...good, maxVersion: "TLSv1.2" });
    const url = `https://127.0.0.1:${port}/`;
    const refused = await attempt(attempter(), url, { tls: { ...own, minVersion: "TLSv1.3" } });
    expect(refused).toMatchObject({ class: "tls_error", tlsStatus: expect.stringMatching(/PROTOCOL/) });
    expect(refused.message).toContain("tls.minVersion");
    expect((await attempt(attempter(), url, { tls: own })).class).toBe("success");
    expect(seen).toMatchObject([{ protocol: "TLSv1.2" }]);
  });

  test("a Service's certificate is checked against its DNS name, whatever address is dialled", async () => {
    const { port, seen } = await receiver(service);
    const dial = { address: "127.0.0.1", port };
    expect((await attempt(attempter(), `https://receiver.shop.svc:${port}/in?a=b`, { tls: own, dial })).class).toBe("success");
    expect(seen).toMatchObject([{ servername: "receiver.shop.svc", host: `receiver.shop.svc:${port}` }]);
    const other = await attempt(attempter(), `https://other.shop.svc:${port}/`, { tls: own, dial });
    expect(other.tlsStatus).toBe("HOSTNAME_MISMATCH (62)");
  });

  test.each<[string, () => ServerOptions, string | undefined, string]>([
    ["expired", () => expired, undefined, "CERT_HAS_EXPIRED (10)"],
    ["self-signed", () => selfSigned, undefined, "DEPTH_ZERO_SELF_SIGNED_CERT (18)"],
    [
      "by an unknown authority that is sent along",
      () => ({ ...good, cert: good.cert + ca }),
      selfSigned?.cert,
      "SELF_SIGNED_CERT_IN_CHAIN (19)",
    ],
    [
      "by an intermediate of an unknown authority",
      () => ({ ...deep, cert: deep.cert + intermediate }),
      selfSigned?.cert,
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY (20)",
    ],
    ["without its intermediate", () => deep, undefined, "UNABLE_TO_VERIFY_LEAF_SIGNATURE (21)"],
    ["for another host", () => otherHost, undefined, "HOSTNAME_MISMATCH (62)"],
  ])("a certificate %s is told by OpenSSL's code, in the outcome and in its message", async (_name, options, trusted, tlsStatus) => {
    const { port, seen } = await receiver(options());
    const outcome = await attempt(attempter(), `https://127.0.0.1:${port}/`, { tls: { ...TLS, ca: trusted ?? ca } });
    expect(outcome).toMatchObject({ class: "tls_error", tlsStatus });
    expect(outcome.message).toContain(tlsStatus);
    expect(seen).toEqual([]);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("a receiver on %s that demands a client certificate gets it", async (version) => {
    const demands = { ...good, ca, requestCert: true, rejectUnauthorized: true, minVersion: version, maxVersion: version };
    const { port, seen } = await receiver(demands);
    const url = `https://127.0.0.1:${port}/`;
    for (const clientCert of [undefined, selfSigned]) {
      expect((await attempt(attempter(), url, { tls: { ...own, clientCert } })).class).not.toBe("success");
    }
    expect((await attempt(attempter(), url, { tls: { ...own, clientCert: clients[0] } })).class).toBe("success");
    expect(seen).toMatchObject([{ client: "client-one" }]);
  });

  // Node's own server closes the connection without the alert that OpenSSL's, and so nginx and Apache, send.
  test.each([
    ["tls1_2", /ALERT_HANDSHAKE_FAILURE$/, /ALERT_UNKNOWN_CA$/],
    ["tls1_3", /ALERT_CERTIFICATE_REQUIRED$/, /ALERT_UNKNOWN_CA$/],
  ])(
    "what a receiver on %s says of a missing or unknown client certificate is a tls_error that names it",
    async (version, missing, unknown) => {
      const port = await opensslServer(good, ca, version);
      const url = `https://127.0.0.1:${port}/`;
      const without = await attempt(attempter(), url, { tls: own });
      expect(without).toMatchObject({ class: "tls_error", tlsStatus: expect.stringMatching(missing) });
      expect(without.message).toContain("tls.clientCertSecretRef");
      const stranger = await attempt(attempter(), url, { tls: { ...own, clientCert: selfSigned } });
      expect(stranger).toMatchObject({ class: "tls_error", tlsStatus: expect.stringMatching(unknown) });
      expect(stranger.message).toContain("does not trust the authority of our client certificate");
    },
  );

  test("certificates that OpenSSL does not take fail the attempt for now, not the delivery", async () => {
    const { port } = await receiver(good);
    const outcome = await attempt(attempter(), `https://127.0.0.1:${port}/`, { tls: { ...own, clientCert: weak } });
    expect(outcome).toMatchObject({ class: "tls_error", connectionStatus: "ERR_SSL_EE_KEY_TOO_SMALL" });
    expect(outcome.permanent).toBeUndefined();
  });

  test("a changed certificate makes new connections; the old ones are not used again", async () => {
    const { port, seen } = await receiver({ ...good, ca, requestCert: true, rejectUnauthorized: true });
    const by = attempter();
    const url = `https://127.0.0.1:${port}/`;
    const send = (client: number): Promise<Outcome> => attempt(by, url, { tls: { ...own, clientCert: clients[client] } });
    for (const client of [0, 0, 1, 1, 0]) expect((await send(client)).class).toBe("success");
    expect(seen.map(({ client }) => client)).toEqual(["client-one", "client-one", "client-two", "client-two", "client-one"]);
    const ports = seen.map(({ remotePort }) => remotePort);
    expect(ports[1]).toBe(ports[0]);
    expect(ports[3]).toBe(ports[2]);
    expect(new Set(ports).size).toBe(3);
  });
});
