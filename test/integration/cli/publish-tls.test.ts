import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { publishCommand } from "../../../src/cli/publish.ts";
import { printed } from "../../support/cli/printed.ts";
import { makeCertificates, type Certificate } from "../../support/delivery/certificates.ts";
import { identitySource } from "../../support/door/tls-clients.ts";
import { runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

const certificates = makeCertificates();
if (certificates === undefined) throw new Error("these tests need the openssl command");
const { good, expired, otherHost, selfSigned, ca, clients } = certificates;

const folder = mkdtempSync(join(tmpdir(), "postrider-publish-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fileOf = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const CA = fileOf("ca.crt", ca);

const output = printed();
let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

const run = (...argv: string[]): Promise<number> =>
  runProgram(createProgram("0", [publishCommand()]), ["publish", "-n", "shop", "--type", "order.paid", ...argv]);
const at = async (certificate: Certificate, authorities?: string): Promise<readonly string[]> => {
  ingest = await runningIngest({ identity: identitySource(certificate, authorities) });
  return ["--server", ingest.url];
};

describe("postrider publish over TLS", () => {
  it("publishes with --ca-file, all over one connection", async () => {
    const to = await at(good);
    expect(await run(...to, "--ca-file", CA, "--count", "5")).toBe(0);
    expect(output.text.match(/stored: 1 subscription gets it/g)).toHaveLength(5);
    const { values } = await ingest!.metrics.tlsHandshakes.get();
    expect(values.map(({ value }) => value)).toEqual([1]);
  });

  it.each([
    [
      "an authority that is not known",
      good,
      [],
      "is not issued by an authority that is trusted here (UNABLE_TO_VERIFY_LEAF_SIGNATURE). Give the authority's certificate: --ca-file FILE.",
    ],
    ["a certificate of its own", selfSigned, [], "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["another name", otherHost, ["--ca-file", CA], "its certificate is for another name."],
    ["a certificate that has expired", expired, ["--ca-file", CA], "its certificate has expired: renew it."],
  ] as const)("says what to do about %s", async (_what, certificate, more, text) => {
    expect(await run(...(await at(certificate)), ...more)).toBe(1);
    expect(output.text).toContain(text);
    expect(output.text).not.toContain("Is the operator running?");
  });

  it("shows a client certificate, and says how it was refused without one", async () => {
    const to = [...(await at(good, ca)), "--ca-file", CA];
    const shown = ["--client-certificate-file", fileOf("c.crt", clients[0].cert), "--client-key-file", fileOf("c.key", clients[0].key)];
    expect(await run(...to)).toBe(1);
    expect(output.text).toContain("refused with 403 client_certificate_refused");
    expect(await run(...to, ...shown)).toBe(0);
  });

  it("says when http:// meets a port with TLS, and https:// one without", async () => {
    const [, url] = await at(good);
    expect(await run("--server", url!.replace("https", "http"))).toBe(1);
    expect(output.text).toContain("This port speaks HTTPS only: use https:// in place of http://.");
    await ingest?.stop();
    ingest = await runningIngest();
    expect(await run("--server", ingest.url.replace("http", "https"))).toBe(1);
    expect(output.text).toContain(`it does not speak TLS: use ${ingest.url}, if that is meant.`);
  });

  it("refuses files that cannot be used before anything is sent", async () => {
    const to = await at(good);
    expect(await run("--server", "http://127.0.0.1:1", "--ca-file", CA)).toBe(1);
    expect(output.text).toContain("--ca-file needs an https:// address: --server is http://127.0.0.1:1");
    expect(await run(...to, "--client-key-file", CA)).toBe(1);
    expect(output.text).toContain("--client-certificate-file and --client-key-file need each other");
    expect(await run(...to, "--ca-file", fileOf("no.crt", "hello"))).toBe(1);
    expect(output.text).toMatch(/--ca-file .*no\.crt: it contains no certificate in PEM form/);
    expect(await run(...to, "--client-certificate-file", CA, "--client-key-file", fileOf("x.key", good.key))).toBe(1);
    expect(output.text).toContain("the certificate files cannot be used");
  });
});
