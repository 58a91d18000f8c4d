import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loopbackPolicy, manifestFile, secret, subscription } from "../manifests.ts";
import { OperatorProcess } from "../operator/operator-process.ts";
import type { WitnessAsked, WitnessReport, WitnessTold } from "./witness-report.ts";

const WITNESS = fileURLToPath(new URL("witness.ts", import.meta.url));
/** Namespaces that an attacker holds. */
export const EVIL_SPACES: readonly string[] = ["evil", ...Array.from({ length: 7 }, (_, i) => `evil-${i + 2}`)];

/** What an attack is given. */
export interface Scene {
  readonly ingest: string;
  readonly api: string;
  readonly metrics: string;
  /** Valid on the ingest and the API of one namespace. */
  readonly tokenOf: (namespace: string) => string;
}

export interface Attack {
  readonly name: string;
  /** Where the bar of promise 30 is not met, what is asserted instead: docs/promises.md says so. */
  readonly residentMiB?: number;
  /** Further manifests of the attacker's; `receiver` answers at once below /quick, 200 after a minute below /slow, never below /hang. */
  readonly manifests?: (receiver: string) => readonly string[];
  /** Goes on until it is told to end; what it opened it closes. */
  readonly run: (scene: Scene, signal: AbortSignal) => Promise<void>;
}

const tokenOf = (namespace: string): string => `a-token-of-${namespace}-0123456789`;

/** The binary with its default limits, who attacks it, and an honest tenant beside them. */
export class Attacked {
  readonly scene: Scene;
  readonly operator: OperatorProcess;
  readonly #witness: ChildProcess;
  readonly #receiver: Server;
  readonly #directory: string;

  private constructor(parts: { operator: OperatorProcess; witness: ChildProcess; receiver: Server; directory: string }) {
    this.operator = parts.operator;
    this.#witness = parts.witness;
    this.#receiver = parts.receiver;
    this.#directory = parts.directory;
    const { ingest, api, metrics } = parts.operator.ready;
    this.scene = { ingest, api, metrics, tokenOf };
  }

  static async start(attacks: readonly Attack[]): Promise<Attacked> {
    const directory = mkdtempSync(join(tmpdir(), "postrider-fence-"));
    const receiver = slowReceiver();
    await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
    const witness = fork(WITNESS, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const [{ port }] = (await once(witness, "message")) as [Extract<WitnessTold, { kind: "ready" }>];
    mkdirSync(join(directory, "manifests"));
    const evil = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const objects = [...basics(port), ...attacks.flatMap(({ manifests }) => manifests?.(evil) ?? [])];
    writeFileSync(join(directory, "manifests", "all.yaml"), manifestFile(...objects));
    const operator = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      auth: ["--ingest-auth", "static", "--api-auth", "static"],
    });
    const attacked = new Attacked({ operator, witness, receiver, directory });
    const { ingest, metrics, pid } = operator.ready;
    attacked.#ask({ kind: "begin", scene: { ingest, metrics, pid, token: tokenOf("good") } });
    return attacked;
  }

  /** What the honest ones saw since the last report. */
  async report(): Promise<WitnessReport> {
    const told = once(this.#witness, "message") as Promise<[Extract<WitnessTold, { kind: "report" }>]>;
    this.#ask({ kind: "report" });
    return (await told)[0];
  }

  async stop(): Promise<void> {
    this.#ask({ kind: "stop" });
    await this.operator.kill();
    this.#receiver.close();
    this.#receiver.closeAllConnections();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #ask(asked: WitnessAsked): void {
    if (this.#witness.connected) this.#witness.send(asked);
  }
}

const SLOW_MS = 55_000;

function slowReceiver(): Server {
  return createServer((incoming, response) => {
    incoming.resume();
    if (incoming.url?.startsWith("/hang") === true) return;
    const answer = (): unknown => response.writeHead(200).end();
    if (incoming.url?.startsWith("/slow") === true) setTimeout(answer, SLOW_MS).unref();
    else incoming.on("end", answer);
  });
}

function basics(port: number): readonly string[] {
  return [
    loopbackPolicy(),
    subscription({ name: "things", namespace: "good", types: ["good.*"], url: `http://127.0.0.1:${port}/` }),
    ...["good", ...EVIL_SPACES].map((space) => secret(space, "token", ["ingest-token", "api-token"], { token: tokenOf(space) })),
  ];
}
