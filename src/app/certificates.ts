import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { aborted, pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Identity, IdentityPart } from "../lib/tls/identity.ts";
import { type IdentityFiles, IdentityReader } from "../lib/tls/identity-files.ts";
import { IdentitySource } from "../lib/tls/identity-source.ts";
import type { HealthCheck } from "../observe/health-server.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics, ServerName } from "../observe/metrics.ts";

/** The files are read this often, ms. Their content is compared, so it does not matter how they are exchanged. */
const LOOK_EVERY_MS = 10_000;
/** While they contain nothing that can be used, they are read this often, ms. */
const LOOK_AGAIN_MS = 1_000;
/** A fault is reported when it is seen this often in a row: certificate and key are exchanged one after the other. */
const LOOKS_BEFORE_REPORT = 3;

const PORTS = ["ingest", "api", "metrics"] as const satisfies readonly ServerName[];

interface Served {
  readonly port: ServerName;
  readonly reader: IdentityReader;
  readonly source: IdentitySource;
  /** How often in a row the files could not be used, and what was reported. */
  faults: number;
  reported: string | undefined;
}

export interface CertificatesParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * The certificates of our servers, read again while they are served. What cannot be used is reported, and what was in force stays so: a process that stops
 * because a file is half written would stop deliveries too. No new certificate in time is seen by the alert PostriderCertificateExpiring.
 */
export class Certificates implements Service {
  readonly name = "certificates";
  readonly #served: readonly Served[];
  readonly #parts: CertificatesParts;

  private constructor(served: readonly Served[], parts: CertificatesParts) {
    this.#served = served;
    this.#parts = parts;
  }

  /** Reads all of them for the first time. @throws ConfigError when one cannot be used: nothing was served before that could stay in force. */
  static async read(config: Config, parts: CertificatesParts): Promise<Certificates> {
    const problems: string[] = [];
    const served: Served[] = [];
    for (const port of PORTS) {
      const files = filesOf(config, port);
      if (files === undefined) continue;
      const reader = new IdentityReader(files);
      const read = await reader.read();
      if (!read.ok) problems.push(faultText(port, files, read));
      else served.push({ port, reader, source: new IdentitySource(read.identity), faults: 0, reported: undefined });
    }
    if (problems.length > 0) throw new ConfigError(problems);
    const certificates = new Certificates(served, parts);
    for (const { port, source } of served) certificates.#show(port, source.current);
    return certificates;
  }

  /** Undefined: the port speaks plain HTTP. */
  sourceOf(port: ServerName): IdentitySource | undefined {
    return this.#served.find((served) => served.port === port)?.source;
  }

  /** For `/readyz`: never a reason to fail, for deliveries need none of them. Undefined: no port has one. */
  get check(): HealthCheck | undefined {
    if (this.#served.length === 0) return undefined;
    return { name: "certificates", reason: () => undefined, note: () => this.#served.map((served) => this.#note(served)).join("; ") };
  }

  async run(signal: AbortSignal): Promise<void> {
    if (this.#served.length === 0) return aborted(signal);
    while (!signal.aborted) {
      const isFaulty = this.#served.some(({ faults }) => faults > 0);
      await pause(this.#parts.clock, isFaulty ? LOOK_AGAIN_MS : LOOK_EVERY_MS, signal);
      if (signal.aborted) return;
      for (const served of this.#served) await this.#look(served);
    }
  }

  async #look(served: Served): Promise<void> {
    const { log, metrics } = this.#parts;
    const { port, reader, source } = served;
    const read = await reader.read();
    if (!read.ok) {
      served.faults++;
      const fault = faultText(port, reader.files, read);
      if (served.faults < LOOKS_BEFORE_REPORT || served.reported === fault) return;
      served.reported = fault;
      metrics.tlsRejected.set({ listener: port }, 1);
      const until = new Date(source.current.notAfterMs).toISOString();
      log.warn(
        { event: "certificate.rejected", listener: port },
        `the ${port} port's files cannot be used: ${fault}. The previous certificate stays in force; it is valid until ${until}. The files are read again every second`,
      );
      return;
    }
    served.faults = 0;
    served.reported = undefined;
    metrics.tlsRejected.set({ listener: port }, 0);
    if (read.identity.digest === source.current.digest) return;
    source.use(read.identity);
    this.#show(port, read.identity);
  }

  #show(port: ServerName, identity: Identity): void {
    const { log, metrics } = this.#parts;
    metrics.showCertificate(port, identity);
    metrics.tlsRejected.set({ listener: port }, 0);
    const { subject, notBeforeMs, notAfterMs } = identity;
    const fields = { event: "certificate.served", listener: port, subject, notAfter: new Date(notAfterMs).toISOString() };
    const trouble = this.#trouble(notBeforeMs, notAfterMs);
    if (trouble === undefined) log.info(fields, `the ${port} port serves a certificate`);
    else log.warn(fields, `the ${port} port serves a certificate that ${trouble}: clients refuse it`);
  }

  #note({ port, source, reported }: Served): string {
    const { notBeforeMs, notAfterMs } = source.current;
    const trouble = this.#trouble(notBeforeMs, notAfterMs);
    const state = `${port} ${trouble ?? `is valid until ${new Date(notAfterMs).toISOString()}`}`;
    return reported === undefined ? state : `${state}, and its files cannot be used: ${reported}`;
  }

  #trouble(notBeforeMs: number, notAfterMs: number): string | undefined {
    const nowMs = this.#parts.clock.trueMs();
    if (nowMs >= notAfterMs) return `expired at ${new Date(notAfterMs).toISOString()}`;
    return nowMs < notBeforeMs ? `is not valid before ${new Date(notBeforeMs).toISOString()}` : undefined;
  }
}

function filesOf(config: Config, port: ServerName): IdentityFiles | undefined {
  const [certificate, key] = [config[`${port}-tls-certificate-file`], config[`${port}-tls-key-file`]];
  if (certificate === undefined || key === undefined) return undefined;
  return { certificate, key, ...(port === "ingest" ? { clientAuthorities: config["ingest-tls-client-ca-file"] } : {}) };
}

const FLAG_OF: Readonly<Record<IdentityPart, string>> = {
  certificate: "certificate-file",
  key: "key-file",
  clientAuthorities: "client-ca-file",
};

/** The setting, its file, and what is wrong with it. */
function faultText(
  port: ServerName,
  files: IdentityFiles,
  { part, fault }: { readonly part: IdentityPart; readonly fault: string },
): string {
  return `--${port}-tls-${FLAG_OF[part]} ${files[part] ?? ""}: ${fault}`;
}
