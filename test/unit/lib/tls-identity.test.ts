import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { identityOf, type IdentityTexts } from "../../../src/lib/tls/identity.ts";
import { FILE_BYTES_MAX, IdentityReader } from "../../../src/lib/tls/identity-files.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";

const certificates = makeCertificates();
if (certificates === undefined) throw new Error("these tests need the openssl command");
const { good, otherHost, ca, deep, intermediate, weak, expired } = certificates;
const GOOD: IdentityTexts = { certificate: good.cert, key: good.key };

const folder = mkdtempSync(join(tmpdir(), "postrider-identity-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fault(texts: Partial<IdentityTexts>): string {
  const read = identityOf({ ...GOOD, ...texts });
  return read.ok ? "accepted" : `${read.part}: ${read.fault}`;
}

describe("a certificate and its key", () => {
  it("are read, with the chain, and say until when they are valid", () => {
    const read = identityOf({ certificate: deep.cert + intermediate, key: deep.key, clientAuthorities: ca });
    if (!read.ok) throw new Error(read.fault);
    const { subject, notAfterMs, notBeforeMs, certificate, clientAuthorities } = read.identity;
    expect(subject).toBe("CN=deep");
    expect(notAfterMs - notBeforeMs).toBe(30 * 86_400_000);
    expect(certificate.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(clientAuthorities).toHaveLength(1);
  });

  it("are used when they have expired: who serves them says so, and deliveries continue", () => {
    expect(fault({ certificate: expired.cert, key: expired.key })).toBe("accepted");
  });

  it("have a digest of their own: of the certificate, the key and the authorities", () => {
    const digest = (texts: Partial<IdentityTexts>): string => {
      const read = identityOf({ ...GOOD, ...texts });
      return read.ok ? read.identity.digest : "";
    };
    expect(new Set([digest({}), digest({ clientAuthorities: ca }), digest({ clientAuthorities: intermediate })]).size).toBe(3);
    expect(digest({})).toBe(digest({}));
  });

  it.each([
    [{ certificate: "" }, "certificate: it is empty"],
    [
      { certificate: good.key, key: good.cert },
      "certificate: it contains a private key and no certificate: the two files may be exchanged",
    ],
    [{ certificate: "hello" }, "certificate: it contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)"],
    [{ certificate: good.cert.slice(0, 300) }, "certificate: certificate 1 of 1 has no last line (-----END CERTIFICATE-----)"],
    [{ certificate: good.cert.trimEnd() + ca }, "accepted"],
    [{ certificate: otherHost.cert }, "certificate: it does not belong to the private key: the two files are of different issues"],
    [
      { certificate: ca + good.cert },
      "certificate: certificate 2 of 2 belongs to the private key: the server's own certificate must come first, then its chain",
    ],
    [{ certificate: weak.cert, key: weak.key }, /^certificate: OpenSSL refuses it as too weak \(.*\): use RSA with 2048 bits/],
    [{ key: " \n" }, "key: it is empty"],
    [{ key: good.cert }, "key: it contains a certificate and no private key: the two files may be exchanged"],
    [{ key: good.key.slice(0, 80) }, "key: the private key cannot be read: it may be truncated"],
    [{ clientAuthorities: "" }, "clientAuthorities: it is empty"],
    [{ clientAuthorities: ca.replace("MII", "!!!") }, "clientAuthorities: certificate 1 of 1 cannot be read"],
  ])("are refused with a reason when they cannot be used: %#", (texts, expected) => {
    if (typeof expected === "string") expect(fault(texts)).toBe(expected);
    else expect(fault(texts)).toMatch(expected);
  });

  it("of which nobody can say until when it is valid are refused: no metric and no alert could", () => {
    const der = new X509Certificate(good.cert).raw;
    // The second time in it is the end of its validity (RFC 5280 4.1.2.5).
    const times = [...der.toString("latin1").matchAll(/\d{12}Z/g)];
    der.write("99", times[1]!.index + 2, "latin1");
    const certificate = `-----BEGIN CERTIFICATE-----\n${der
      .toString("base64")
      .match(/.{1,64}/g)!
      .join("\n")}\n-----END CERTIFICATE-----\n`;
    // Of such a time Node's dates are now one thing, now another.
    const faults = new Set(Array.from({ length: 50 }, () => fault({ certificate })));
    expect(faults).toEqual(new Set(["certificate: from when to when it is valid cannot be read: issue it again"]));
  });

  it("with a passphrase are refused, with the command that removes it", () => {
    writeFileSync(join(folder, "plain.key"), good.key);
    execFileSync("openssl", ["pkey", "-in", "plain.key", "-aes256", "-passout", "pass:x", "-out", "locked.key"], {
      cwd: folder,
      stdio: "pipe",
    });
    const locked = execFileSync("cat", [join(folder, "locked.key")], { encoding: "utf8" });
    expect(fault({ key: locked })).toContain("the key is encrypted with a passphrase: decrypt it with `openssl pkey");
  });
});

describe("files", () => {
  it("that are missing, folders, pipes or too large are refused, the one that it is", async () => {
    const [certificate, key] = [join(folder, "tls.crt"), join(folder, "tls.key")];
    writeFileSync(certificate, good.cert);
    writeFileSync(key, good.key);
    mkdirSync(join(folder, "dir"));
    execFileSync("mkfifo", [join(folder, "pipe")]);
    writeFileSync(join(folder, "large"), Buffer.alloc(FILE_BYTES_MAX + 1));
    expect(await new IdentityReader({ certificate, key }).read()).toMatchObject({ ok: true });
    const faults = [];
    for (const name of ["none", "dir", "pipe", "large"])
      faults.push(await new IdentityReader({ certificate, key: join(folder, name) }).read());
    expect(faults).toEqual([
      { ok: false, part: "key", fault: "there is no such file: mount the Secret, or correct the path" },
      { ok: false, part: "key", fault: "it is a folder: name the file in it" },
      { ok: false, part: "key", fault: "it is not a regular file" },
      { ok: false, part: "key", fault: `it has ${FILE_BYTES_MAX + 1} bytes; ${FILE_BYTES_MAX} are the most` },
    ]);
  });

  it("that have not changed are not checked again, good or not: a large bundle would stop the event loop every ten seconds", async () => {
    const [certificate, key, clientAuthorities] = ["own.crt", "own.key", "bundle"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(certificate, good.cert);
    writeFileSync(key, good.key);
    writeFileSync(clientAuthorities, ca.repeat(Math.floor(FILE_BYTES_MAX / ca.length)));
    const reader = new IdentityReader({ certificate, key, clientAuthorities });
    const first = await reader.read();
    expect(first.ok).toBe(true);
    expect(await reader.read()).toBe(first);
    writeFileSync(key, otherHost.key);
    const mismatched = await reader.read();
    expect(mismatched).toMatchObject({ ok: false, part: "certificate" });
    expect(await reader.read()).toBe(mismatched);
    writeFileSync(certificate, otherHost.cert);
    expect(await reader.read()).toMatchObject({ ok: true, identity: { subject: "CN=other" } });
  });

  it.skipIf(process.getuid?.() === 0)("that may not be read are refused", async () => {
    const certificate = join(folder, "secret.crt");
    writeFileSync(certificate, good.cert);
    chmodSync(certificate, 0);
    expect(await new IdentityReader({ certificate, key: certificate }).read()).toMatchObject({
      fault: expect.stringContaining("may not read it"),
    });
  });
});
