import { generateKeyPairSync } from "node:crypto";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { binaries } from "./binaries.ts";
import type { BinaryName } from "./binaries.ts";
import { GuardedProcess } from "./guarded-process.ts";
import { USERS, kubectl, kubectlOutput, tokenOf } from "./kubectl.ts";
import type { ControlPlaneAccess, KubectlOptions, User } from "./kubectl.ts";
import type { CommandResult } from "../node/command.ts";
import { until } from "../until.ts";

/**
 * A real etcd and kube-apiserver on free loopback ports, with a scratch folder that goes away on stop(). The API server alone can
 * be stopped and started again with its data and its port, to see clients live through an outage.
 */

const START_TIMEOUT_MS = 90_000;
const POLL_MS = 50;
const LOG_TAIL_LINES = 25;
/** A free port may be taken between our look and the server's bind. */
const START_TRIES = 3;
/** On its old port again. */
const RESTART_TRIES = 10;
const RESTART_PAUSE_MS = 500;
const PORT_TAKEN = /address already in use/;

/** Enough for namespaces, ownership and ServiceAccounts; no Pods run here. */
const CONTROLLERS = [
  "namespace-controller",
  "garbage-collector-controller",
  "serviceaccount-controller",
  "root-ca-certificate-publisher-controller",
  "clusterrole-aggregation-controller",
  "endpointslice-controller",
].join(",");

export interface ControlPlaneOptions {
  /** Also runs kube-controller-manager: namespaces end, owned objects are collected, `default` ServiceAccounts appear. */
  readonly controllerManager?: boolean;
  /** Further flags of kube-apiserver. */
  readonly apiServerFlags?: readonly string[];
}

interface Layout {
  readonly directory: string;
  readonly etcdPort: number;
  readonly peerPort: number;
  readonly port: number;
  readonly paths: Record<BinaryName, string>;
  readonly apiServerFlags: readonly string[];
}

export class ControlPlane {
  readonly access: ControlPlaneAccess;
  /** How long etcd and the API server took to be ready, without builds. */
  readonly startedInMs: number;
  readonly #layout: Layout;
  readonly #processes: Map<BinaryName, GuardedProcess>;

  private constructor(layout: Layout, processes: Map<BinaryName, GuardedProcess>, begunMs: number) {
    this.#layout = layout;
    this.#processes = processes;
    this.access = accessOf(layout);
    this.startedInMs = Math.round(performance.now() - begunMs);
  }

  /** Rejects after 90 s, or when a server ends, with the last lines of that server's log. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const managed: BinaryName[] = options.controllerManager === true ? ["kube-controller-manager"] : [];
    const paths: Record<BinaryName, string> = await binaries(["etcd", "kube-apiserver", "kubectl", ...managed]);
    for (let attempt = 1; ; attempt++) {
      const begunMs = performance.now();
      const layout = await prepare(paths, options.apiServerFlags ?? []);
      const processes = new Map<BinaryName, GuardedProcess>();
      try {
        await startAll(layout, processes, managed.length > 0);
        return new ControlPlane(layout, processes, begunMs);
      } catch (error) {
        await stopAll(layout, processes);
        if (attempt === START_TRIES || !PORT_TAKEN.test(String(error))) throw error;
      }
    }
  }

  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult> {
    return kubectl(this.access, args, options);
  }

  kubectlOutput(args: readonly string[], options?: KubectlOptions): Promise<string> {
    return kubectlOutput(this.access, args, options);
  }

  /** Kills the API server: its clients see connections reset, then refused. etcd and the data stay. */
  async stopApiServer(): Promise<void> {
    await this.#processes.get("kube-apiserver")?.kill();
  }

  /** Starts it again on the same port; resolves when it is ready. */
  async startApiServer(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await startApiServer(this.#layout, this.#processes);
        return;
      } catch (error) {
        // The one that was killed ends a moment after the shell that it ran under.
        if (attempt === RESTART_TRIES || !PORT_TAKEN.test(String(error))) throw error;
        await new Promise((resolve) => setTimeout(resolve, RESTART_PAUSE_MS));
      }
    }
  }

  /** Ends everything and removes the scratch folder. Safe to call twice. */
  stop(): Promise<void> {
    return stopAll(this.#layout, this.#processes);
  }
}

async function prepare(paths: Record<BinaryName, string>, apiServerFlags: readonly string[]): Promise<Layout> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-control-plane-"));
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  writeFileSync(join(directory, "service-account.key"), privateKey, { mode: 0o600 });
  writeFileSync(join(directory, "service-account.pub"), publicKey);
  const users = Object.entries(USERS).map(([name, groups]) => `${tokenOf(name as User)},${name},${name},"${groups.join(",")}"\n`);
  writeFileSync(join(directory, "tokens.csv"), users.join(""), { mode: 0o600 });
  return { directory, etcdPort, peerPort, port, paths, apiServerFlags };
}

async function startAll(layout: Layout, processes: Map<BinaryName, GuardedProcess>, controllerManager: boolean): Promise<void> {
  const client = `http://127.0.0.1:${layout.etcdPort}`;
  const peer = `http://127.0.0.1:${layout.peerPort}`;
  launch(layout, processes, "etcd", [
    `--data-dir=${join(layout.directory, "etcd-data")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // The data dies with the test: waiting for the disk would only make it slow.
    "--unsafe-no-fsync",
    "--log-level=warn",
  ]);
  await startApiServer(layout, processes);
  if (!controllerManager) return;
  launch(layout, processes, "kube-controller-manager", [
    `--kubeconfig=${join(layout.directory, "kubeconfig")}`,
    `--controllers=${CONTROLLERS}`,
    `--service-account-private-key-file=${join(layout.directory, "service-account.key")}`,
    `--root-ca-file=${join(layout.directory, "certificates/apiserver.crt")}`,
    "--leader-elect=false",
    "--secure-port=0",
  ]);
  const managed = ["get", "serviceaccount", "default", "--namespace=default", "--ignore-not-found", "--output=name"];
  await served(layout, processes.get("kube-controller-manager"), async () => (await kubectl(accessOf(layout), managed)).stdout !== "");
}

/** The flags of controller-runtime's envtest, and users by token. */
async function startApiServer(layout: Layout, processes: Map<BinaryName, GuardedProcess>): Promise<void> {
  const at = (name: string): string => join(layout.directory, name);
  launch(layout, processes, "kube-apiserver", [
    `--etcd-servers=http://127.0.0.1:${layout.etcdPort}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${layout.port}`,
    `--cert-dir=${at("certificates")}`,
    `--token-auth-file=${at("tokens.csv")}`,
    "--authorization-mode=RBAC",
    "--allow-privileged=true",
    "--disable-admission-plugins=ServiceAccount",
    "--service-cluster-ip-range=10.0.0.0/24",
    `--service-account-issuer=https://127.0.0.1:${layout.port}`,
    `--service-account-key-file=${at("service-account.pub")}`,
    `--service-account-signing-key-file=${at("service-account.key")}`,
    ...layout.apiServerFlags,
  ]);
  await served(layout, processes.get("kube-apiserver"), () => isReady(layout));
  writeFileSync(at("kubeconfig"), kubeconfig(layout), { mode: 0o600 });
  await kubectlOutput(accessOf(layout), ["get", "namespace", "default", "--output=name"]);
}

function launch(layout: Layout, processes: Map<BinaryName, GuardedProcess>, name: BinaryName, flags: readonly string[]): void {
  const log = openSync(logFile(layout, name), "w");
  processes.set(name, new GuardedProcess([layout.paths[name], ...flags], log, layout.directory));
  closeSync(log);
}

/** Asks again until it holds, the server has ended, or the time is over. */
async function served(layout: Layout, server: GuardedProcess | undefined, holds: () => Promise<boolean>): Promise<void> {
  if (server === undefined) throw new Error("not started");
  const said = (why: string): string => `${server.name} ${why}; the last lines of its log:\n${logTail(layout, server.name)}`;
  const looked = async (): Promise<boolean> => {
    if (await holds()) return true;
    if (!server.running) throw new Error(said(`ended with ${await server.ended()}`));
    return false;
  };
  await until(looked, { withinMs: START_TIMEOUT_MS, everyMs: POLL_MS, seen: () => said("is not ready") });
}

function isReady(layout: Layout): Promise<boolean> {
  const { url, caFile, adminToken } = accessOf(layout);
  if (!existsSync(caFile)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const agent = new Agent({ ca: readFileSync(caFile), keepAlive: false });
    const request = get(`${url}/readyz`, { agent, headers: { authorization: `Bearer ${adminToken}` }, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

function accessOf(layout: Layout): ControlPlaneAccess {
  const caFile = join(layout.directory, "certificates/apiserver.crt");
  return {
    url: `https://127.0.0.1:${layout.port}`,
    kubeconfig: join(layout.directory, "kubeconfig"),
    ca: existsSync(caFile) ? readFileSync(caFile, "utf8") : "",
    caFile,
    adminToken: tokenOf("admin"),
    kubectlPath: layout.paths.kubectl,
    directory: layout.directory,
  };
}

/** JSON is YAML too. */
function kubeconfig(layout: Layout): string {
  const { url, caFile } = accessOf(layout);
  const users = Object.keys(USERS) as User[];
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "admin",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority": caFile } }],
    users: users.map((name) => ({ name, user: { token: tokenOf(name) } })),
    contexts: users.map((name) => ({ name, context: { cluster: "test", user: name } })),
  });
}

async function stopAll(layout: Layout, processes: ReadonlyMap<BinaryName, GuardedProcess>): Promise<void> {
  await Promise.all([...processes.values()].map((one) => one.kill()));
  rmSync(layout.directory, { recursive: true, force: true });
}

function logFile(layout: Layout, name: string): string {
  return join(layout.directory, `${name}.log`);
}

function logTail(layout: Layout, name: string): string {
  return readFileSync(logFile(layout, name), "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
}

/** Three ports that were free a moment ago, all held until each has been found. */
