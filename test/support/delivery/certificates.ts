import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** Certificates for loopback receivers, made with the openssl command; undefined where there is none. */
export interface TestCertificates {
  readonly ca: string;
  /** For `localhost` and 127.0.0.1, by the CA. */
  readonly good: Certificate;
  readonly expired: Certificate;
  /** For another host, by the CA. */
  readonly otherHost: Certificate;
  readonly selfSigned: Certificate;
  /** For `receiver.shop.svc`, by the CA. */
  readonly service: Certificate;
  /** For the Services of the chart's releases in tests (CHART_NAMES), and 127.0.0.1, by the CA. */
  readonly chart: Certificate;
  /** Two of clients, by the CA; their subjects are `CN=client-one` and `CN=client-two`. */
  readonly clients: readonly [Certificate, Certificate];
  /** For `localhost`, by the CA; of no use to a client. */
  readonly serverOnly: Certificate;
  /** For 127.0.0.1, by an intermediate authority below the CA; `cert` is the leaf alone. */
  readonly deep: Certificate;
  readonly intermediate: string;
  /** A client's, with an RSA key of 1024 bits, which OpenSSL does not take. */
  readonly weak: Certificate;
}

const CHART_NAMES = ["ingest", "api", "metrics"].flatMap((port) => [
  `pr-postrider-${port}.hooks.svc`,
  `postrider-${port}.postrider-system.svc`,
]);

export function makeCertificates(): TestCertificates | undefined {
  const dir = mkdtempSync(join(tmpdir(), "postrider-certs-"));
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  const read = (name: string): string => readFileSync(join(dir, name), "utf8");
  const newKey = (name: string): void => openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
  const issue = (name: string, extensions: string, period: readonly string[], by = "ca"): Certificate => {
    newKey(name);
    openssl("req", "-new", "-key", `${name}.key`, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    writeFileSync(join(dir, `${name}.ext`), `${extensions}\n`);
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      `${by}.pem`,
      "-CAkey",
      `${by}.key`,
      "-CAcreateserial",
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`,
      ...period,
    );
    return { key: read(`${name}.key`), cert: read(`${name}.pem`) };
  };
  const weakClient = (): Certificate => {
    openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "weak.key", "-subj", "/CN=weak", "-days", "30", "-out", "weak.pem");
    return { key: read("weak.key"), cert: read("weak.pem") };
  };
  try {
    newKey("ca");
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=test CA", "-days", "30", "-out", "ca.pem");
    newKey("self");
    openssl(
      "req",
      "-x509",
      "-new",
      "-key",
      "self.key",
      "-subj",
      "/CN=self",
      "-days",
      "30",
      "-out",
      "self.pem",
      "-addext",
      "subjectAltName=IP:127.0.0.1",
    );
    const local = "subjectAltName=IP:127.0.0.1,DNS:localhost";
    const days = ["-days", "30"];
    const { cert: intermediate } = issue("middle", "basicConstraints=critical,CA:TRUE", days);
    return {
      ca: read("ca.pem"),
      good: issue("good", local, days),
      expired: issue("expired", local, ["-days", "-1"]),
      otherHost: issue("other", "subjectAltName=DNS:other.example", days),
      chart: issue("chart", `subjectAltName=${[...CHART_NAMES.map((name) => `DNS:${name}`), "IP:127.0.0.1"].join(",")}`, days),
      service: issue("service", "subjectAltName=DNS:receiver.shop.svc", days),
      clients: [issue("client-one", "extendedKeyUsage=clientAuth", days), issue("client-two", "extendedKeyUsage=clientAuth", days)],
      serverOnly: issue("server-only", `${local}\nextendedKeyUsage=serverAuth`, days),
      deep: issue("deep", local, days, "middle"),
      intermediate,
      weak: weakClient(),
      selfSigned: { key: read("self.key"), cert: read("self.pem") },
    };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
