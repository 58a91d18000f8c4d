import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, expect, it } from "vitest";
import { Certificates } from "../../../src/app/certificates.ts";
import { loadConfig } from "../../../src/config/config.ts";
import { ConfigError } from "../../../src/config/config-error.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { makeCertificates, type Certificate } from "../../support/delivery/certificates.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const made = makeCertificates();
if (made === undefined) throw new Error("these tests need the openssl command");
const { good, otherHost, expired, ca } = made;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A Secret as the kubelet mounts it: files are links into `..data`, which is a link that is exchanged. */
function mounted(first: Certificate) {
  const folder = mkdtempSync(join(tmpdir(), "postrider-mount-"));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  let version = 0;
  const put = ({ cert, key }: Certificate): void => {
    const data = `..version-${version++}`;
    mkdirSync(join(folder, data));
    writeFileSync(join(folder, data, "tls.crt"), cert);
    writeFileSync(join(folder, data, "tls.key"), key);
    writeFileSync(join(folder, data, "ca.crt"), ca);
    symlinkSync(data, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  put(first);
  for (const name of ["tls.crt", "tls.key", "ca.crt"]) symlinkSync(join("..data", name), join(folder, name));
  return { folder, put, file: (name: string) => join(folder, name) };
}

type Mount = ReturnType<typeof mounted>;

function parts() {
  const lines: { readonly event?: string; readonly msg: string; readonly level: number }[] = [];
  const log = pino({ base: null }, { write: (text: string) => void lines.push(JSON.parse(text) as (typeof lines)[0]) });
  return { lines, log, clock: new ManualClock(Date.now()), metrics: new Metrics({ version: "test", defaults: false }) };
}

function configOf({ file }: Mount, more: Readonly<Record<string, string>> = {}) {
  const flags = { "ingest-tls-certificate-file": file("tls.crt"), "ingest-tls-key-file": file("tls.key"), ...more };
  return loadConfig({ flags: { provider: "file", manifests: "m", store: "memory:", ...flags }, env: {} });
}

async function running(mount: Mount) {
  const scene = parts();
  const certificates = await Certificates.read(configOf(mount), scene);
  const abort = new AbortController();
  const done = certificates.run(abort.signal);
  cleanups.push(async () => {
    abort.abort();
    await done;
  });
  const source = certificates.sourceOf("ingest")!;
  // Files are read outside of the clock's time.
  const looks = async (count: number, ms: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await scene.clock.advance(ms);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  };
  return { ...scene, certificates, source, looks, note: () => certificates.check?.note?.() };
}

it("a Secret that the kubelet exchanges is served within ten seconds, and said once", async () => {
  const mount = mounted(good);
  const { source, looks, lines, metrics, note } = await running(mount);
  expect(source.current.subject).toBe("CN=good");
  expect(note()).toMatch(/^ingest is valid until 20/);
  mount.put(otherHost);
  await looks(3, 10_000);
  expect(source.current.subject).toBe("CN=other");
  expect(lines.filter(({ event }) => event === "certificate.served")).toHaveLength(2);
  expect(await metrics.expose()).toContain(
    `postrider_tls_certificate_not_after_seconds{listener="ingest"} ${source.current.notAfterMs / 1_000}`,
  );
});

it.each([
  ["half written", { cert: good.cert.slice(0, 200), key: good.key }, "has no last line"],
  ["mismatched", { cert: good.cert, key: otherHost.key }, "it does not belong to the private key"],
  ["empty", { cert: "", key: "" }, "it is empty"],
])("a pair that is %s keeps the last good one in force, and says so once, until it is corrected", async (_what, pair, why) => {
  const mount = mounted(good);
  const { source, looks, lines, metrics, note, certificates } = await running(mount);
  mount.put(pair);
  await looks(1, 10_000);
  await looks(10, 1_000);
  expect(source.current.subject).toBe("CN=good");
  const warnings = lines.filter(({ event }) => event === "certificate.rejected");
  expect(warnings).toHaveLength(1);
  expect(warnings[0]?.msg).toContain(`--ingest-tls-certificate-file ${mount.file("tls.crt")}: `);
  expect(warnings[0]?.msg).toContain(why);
  expect(await metrics.expose()).toContain('postrider_tls_certificate_rejected{listener="ingest"} 1');
  expect(note()).toContain("its files cannot be used: --ingest-tls-certificate-file");
  expect(certificates.check?.reason()).toBeUndefined();
  mount.put(otherHost);
  await looks(2, 1_000);
  expect(source.current.subject).toBe("CN=other");
  expect(note()).not.toContain("cannot be used");
  expect(await metrics.expose()).toContain('postrider_tls_certificate_rejected{listener="ingest"} 0');
});

it("a pair of which one half comes two seconds after the other is not reported", async () => {
  const mount = mounted(good);
  const { source, looks, lines } = await running(mount);
  mount.put({ cert: otherHost.cert, key: good.key });
  await looks(1, 10_000);
  await looks(1, 1_000);
  mount.put(otherHost);
  await looks(1, 1_000);
  expect(source.current.subject).toBe("CN=other");
  expect(lines.filter(({ event }) => event === "certificate.rejected")).toEqual([]);
});

it("one that has expired is served, with a warning and a note", async () => {
  const { lines, note } = await running(mounted(expired));
  expect(lines[0]).toMatchObject({ event: "certificate.served", level: 40 });
  expect(lines[0]?.msg).toMatch(/a certificate that expired at 20.*: clients refuse it/);
  expect(note()).toMatch(/^ingest expired at/);
});

it("one that cannot be used at the start refuses the start, and every one is named", async () => {
  const mount = mounted(good);
  const more = {
    "ingest-tls-key-file": mount.file("none.key"),
    "api-tls-certificate-file": mount.file("tls.key"),
    "api-tls-key-file": mount.file("tls.key"),
  };
  const refused = await Certificates.read(configOf(mount, more), parts()).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ConfigError);
  expect((refused as ConfigError).lines).toEqual([
    `--ingest-tls-key-file ${mount.file("none.key")}: there is no such file: mount the Secret, or correct the path`,
    `--api-tls-certificate-file ${mount.file("tls.key")}: it contains a private key and no certificate: the two files may be exchanged`,
  ]);
});

it("without any, nothing is checked and nothing shown", async () => {
  const scene = parts();
  const none = await Certificates.read(loadConfig({ flags: { provider: "file", manifests: "m", store: "memory:" }, env: {} }), scene);
  expect([none.check, none.sourceOf("api")]).toEqual([undefined, undefined]);
  expect(await scene.metrics.expose()).not.toContain("postrider_tls_certificate_not_after_seconds{");
  const abort = new AbortController();
  abort.abort();
  await none.run(abort.signal);
});

it.each([
  [{ "api-tls-certificate-file": "a" }, "--api-tls-key-file: is missing: --api-tls-certificate-file needs it"],
  [{ "metrics-tls-key-file": "a" }, "--metrics-tls-certificate-file: is missing: --metrics-tls-key-file needs it"],
  [{ "ingest-tls-client-ca-file": "a" }, "--ingest-tls-client-ca-file: needs --ingest-tls-certificate-file and --ingest-tls-key-file"],
])("half of a pair is refused: %j", (flags, expected) => {
  const all = { provider: "file", manifests: "m", store: "memory:", ...flags };
  expect(() => loadConfig({ flags: all, env: {} })).toThrow(expected);
});
