import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { attempt, output, type CommandOptions, type CommandResult } from "./command.ts";
import { writeScratchImage } from "./image.ts";
import { NAME_PREFIX, rememberMachineSettings, removeTraces, sweepDead } from "./machine.ts";
import { ProcessGroup } from "./process-group.ts";
import { NODE_ADDRESS, NODE_NAME, PAUSE_IMAGE, POD_CIDR, SERVICE_CIDR, writeNodeFiles, type NodeFiles } from "./settings.ts";
import { until } from "../until.ts";

/** The Kubernetes programs of a node, as ../kube/binaries.ts names them. */
export const NODE_BINARIES = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kube-proxy",
  "kubelet",
  "kubectl",
  "helm",
] as const;

export interface NodePrograms {
  /** Path of each program. */
  readonly kube: Readonly<Record<(typeof NODE_BINARIES)[number], string>>;
  /** Directory of containerd, containerd-shim-runc-v2, ctr and pause. */
  readonly containerd: string;
}

/** An entry of the API server's audit log, as far as tests look into it. */
export interface AuditedRequest {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly namespace?: string };
  readonly responseStatus?: { readonly code?: number };
}

const POLL_MS = 200;
const READY_TIMEOUT_MS = 120_000;
const ETCD = "http://127.0.0.1:2379";

/**
 * One Kubernetes node with its control plane, alone in a network namespace: nothing in it can reach the machine's network, and
 * nothing outside can reach it but through this object. Needs root on Linux.
 */
export class RealNode {
  readonly files: NodeFiles;
  readonly #programs: NodePrograms;
  readonly #netns: string;
  readonly #processes: ProcessGroup;
  readonly #restoreMachine = rememberMachineSettings();

  private constructor(programs: NodePrograms) {
    const directory = join(tmpdir(), `${NAME_PREFIX}${process.pid}`);
    mkdirSync(directory);
    this.#programs = programs;
    this.#netns = `${NAME_PREFIX}${process.pid}`;
    this.files = writeNodeFiles(directory);
    this.#processes = new ProcessGroup(this.#netns, directory);
  }

  /** Starts everything and returns once the node is Ready; on failure everything is stopped again. */
  static async start(programs: NodePrograms, log: (line: string) => void): Promise<RealNode> {
    await sweepDead(log);
    const node = new RealNode(programs);
    try {
      await node.#start(log);
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  async #start(log: (line: string) => void): Promise<void> {
    const begun = Date.now();
    const say = (what: string): void => log(`node: ${what} after ${((Date.now() - begun) / 1_000).toFixed(1)} s`);
    await this.#makeNetwork();
    this.#startContainerd();
    this.#startControlPlane();
    await this.until("containerd answers", async () => (await this.#attemptCtr(["version"])).code === 0);
    await this.#importPause();
    await this.until("the API server is ready", async () => (await this.tryKubectl(["get", "--raw", "/readyz"])).code === 0);
    say("the API server is ready");
    await this.#grantProxy();
    this.#startWorkers();
    await this.until("the node is Ready", async () => {
      const { stdout } = await this.tryKubectl([
        "get",
        "node",
        NODE_NAME,
        "-o",
        'jsonpath={.status.conditions[?(@.type=="Ready")].status}',
      ]);
      return stdout === "True";
    });
    say("the node is Ready");
  }

  async #makeNetwork(): Promise<void> {
    await output(["ip", "netns", "add", this.#netns]);
    const inside = (...command: [string, ...string[]]): Promise<string> => this.run(command);
    await inside("ip", "link", "set", "lo", "up");
    await inside("ip", "link", "add", "node0", "type", "bridge");
    await inside("ip", "addr", "add", `${NODE_ADDRESS}/24`, "dev", "node0");
    await inside("ip", "link", "set", "node0", "up");
    // Components look for the default route to learn their address; behind it there is nobody.
    await inside("ip", "route", "add", "default", "dev", "node0");
    await inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
  }

  #startContainerd(): void {
    const { containerd } = this.#programs;
    this.#processes.start("containerd", [join(containerd, "containerd"), "--config", this.files.containerdConfig], {
      PATH: `${containerd}:${process.env["PATH"]}:/usr/sbin:/sbin`,
    });
  }

  #startControlPlane(): void {
    const { kube } = this.#programs;
    const { files } = this;
    const etcdData = join(files.directory, "etcd");
    this.#processes.start("etcd", [
      kube.etcd,
      "--data-dir",
      etcdData,
      "--unsafe-no-fsync",
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      "--listen-peer-urls=http://127.0.0.1:2380",
    ]);
    this.#processes.start("apiserver", [
      kube["kube-apiserver"],
      `--etcd-servers=${ETCD}`,
      `--advertise-address=${NODE_ADDRESS}`,
      `--bind-address=${NODE_ADDRESS}`,
      "--secure-port=6443",
      `--cert-dir=${files.certificates}`,
      `--service-cluster-ip-range=${SERVICE_CIDR}`,
      `--token-auth-file=${files.tokens}`,
      "--authorization-mode=Node,RBAC",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${files.serviceAccountKey}`,
      `--service-account-signing-key-file=${files.serviceAccountKey}`,
      "--allow-privileged=false",
      `--audit-policy-file=${files.auditPolicy}`,
      `--audit-log-path=${files.auditLog}`,
      "--audit-log-mode=blocking",
      "--kubelet-preferred-address-types=InternalIP",
    ]);
  }

  #startWorkers(): void {
    const { kube } = this.#programs;
    const { files } = this;
    this.#processes.start("controller-manager", [
      kube["kube-controller-manager"],
      `--kubeconfig=${files.kubeconfig["controller-manager"]}`,
      `--service-account-private-key-file=${files.serviceAccountKey}`,
      // The API server's certificate is self-signed and its file holds the CA: Pods trust that.
      `--root-ca-file=${join(files.certificates, "apiserver.crt")}`,
      "--use-service-account-credentials=true",
      "--leader-elect=false",
      `--cert-dir=${join(files.directory, "run")}`,
    ]);
    this.#processes.start("scheduler", [
      kube["kube-scheduler"],
      `--kubeconfig=${files.kubeconfig.scheduler}`,
      "--leader-elect=false",
      `--cert-dir=${join(files.directory, "run")}`,
    ]);
    this.#processes.start("proxy", [
      kube["kube-proxy"],
      `--kubeconfig=${files.kubeconfig.proxy}`,
      "--proxy-mode=nftables",
      `--hostname-override=${NODE_NAME}`,
      `--cluster-cidr=${POD_CIDR}`,
      // Machine-wide sysctls stay as they are.
      "--conntrack-max-per-core=0",
      "--conntrack-tcp-timeout-established=0s",
      "--conntrack-tcp-timeout-close-wait=0s",
    ]);
    this.#processes.start("kubelet", [
      kube.kubelet,
      `--kubeconfig=${files.kubeconfig.kubelet}`,
      `--config=${files.kubeletConfig}`,
      `--hostname-override=${NODE_NAME}`,
      `--node-ip=${NODE_ADDRESS}`,
      `--root-dir=${join(files.directory, "kubelet")}`,
      `--cert-dir=${join(files.directory, "run")}`,
    ]);
  }

  /** kube-proxy's role exists from the start, its binding is the installer's business. */
  async #grantProxy(): Promise<void> {
    await this.until("kube-proxy's role exists", async () => {
      const { code, stderr } = await this.tryKubectl([
        "create",
        "clusterrolebinding",
        "proxy",
        "--clusterrole=system:node-proxier",
        "--user=system:kube-proxy",
      ]);
      return code === 0 || stderr.includes("already exists");
    });
  }

  async #importPause(): Promise<void> {
    const rootfs = join(this.files.directory, "pause");
    await output(["mkdir", "-p", rootfs]);
    await output(["cp", join(this.#programs.containerd, "pause"), rootfs]);
    const archive = join(this.files.directory, "pause.tar");
    await writeScratchImage({ rootfs, archive, reference: PAUSE_IMAGE, entrypoint: ["/pause"] });
    await this.importImage(archive);
  }

  /** Imports a docker archive, as an image pull would. */
  async importImage(archive: string): Promise<void> {
    const { code, stdout, stderr } = await this.#attemptCtr(["images", "import", archive]);
    if (code !== 0) throw new Error(`ctr images import ${archive}: ${stdout}${stderr}`);
  }

  /** Gives an image that is there a second name. */
  async tagImage(reference: string, other: string): Promise<void> {
    const { code, stdout, stderr } = await this.#attemptCtr(["images", "tag", "--force", reference, other]);
    if (code !== 0) throw new Error(`ctr images tag ${reference}: ${stdout}${stderr}`);
  }

  #attemptCtr(args: readonly string[]): Promise<CommandResult> {
    return attempt([join(this.#programs.containerd, "ctr"), "--address", this.files.containerdSocket, "--namespace", "k8s.io", ...args]);
  }

  /** Kills the first container of a Pod as the kernel would, without a word to anyone; the kubelet starts it again. */
  async killContainer(namespace: string, pod: string): Promise<void> {
    const id = await this.kubectl(["-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}"]);
    const { code, stderr } = await this.#attemptCtr(["tasks", "kill", "--signal", "SIGKILL", id.replace("containerd://", "")]);
    if (code !== 0) throw new Error(`ctr tasks kill ${id}: ${stderr}`);
  }

  /** What one ServiceAccount asked the API server for, in order. */
  requestsOf(namespace: string, serviceAccount: string): AuditedRequest[] {
    const user = `system:serviceaccount:${namespace}:${serviceAccount}`;
    const lines = readFileSync(this.files.auditLog, "utf8")
      .split("\n")
      .filter((line) => line.includes(user));
    return lines.map((line) => JSON.parse(line) as AuditedRequest).filter((request) => request.user.username === user);
  }

  /** A command inside the node's network; its output, or an error with what it printed. */
  run(command: readonly [string, ...string[]], options: CommandOptions = {}): Promise<string> {
    return output(["nsenter", `--net=/run/netns/${this.#netns}`, "--", ...command], this.#asAdmin(options));
  }

  /** For shell commands as pages print them. */
  get pathWithKubectl(): string {
    return `${dirname(this.#programs.kube.kubectl)}:${process.env["PATH"]}`;
  }

  kubectl(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return this.run([this.#programs.kube.kubectl, ...args], options);
  }

  tryKubectl(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const command = [`--net=/run/netns/${this.#netns}`, "--", this.#programs.kube.kubectl, ...args];
    return attempt(["nsenter", ...command], this.#asAdmin(options));
  }

  helm(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return this.run([this.#programs.kube.helm, ...args], { timeoutMs: 300_000, ...options });
  }

  #asAdmin(options: CommandOptions): CommandOptions {
    const home = this.files.directory;
    return {
      ...options,
      env: { KUBECONFIG: this.files.kubeconfig.admin, HOME: home, KUBECACHEDIR: join(home, "kubectl-cache"), ...options.env },
    };
  }

  /** Asks again and again; throws after two minutes, or at once when one of the node's programs has died. */
  async until(what: string, check: () => Promise<boolean>, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const looked = async (): Promise<boolean> => {
      if (await check()) return true;
      const dead = this.#processes.deceased();
      if (dead !== undefined) throw new Error(`while waiting until ${what}: ${dead}`);
      return false;
    };
    await until(looked, { withinMs: timeoutMs, everyMs: POLL_MS, seen: () => what });
  }

  logTail(program: string): string {
    return this.#processes.logTail(program);
  }

  /** Stops every Pod and program and removes the namespace and all files. May be called twice. */
  async stop(): Promise<void> {
    await this.#stopContainers();
    await this.#processes.stop();
    this.#restoreMachine();
    await removeTraces(this.#netns);
    if (process.env["POSTRIDER_KEEP_NODE"] === undefined) rmSync(this.files.directory, { recursive: true, force: true });
  }

  /** Shims outlive containerd, so the Pods are ended by the kubelet while everything still runs, and what is left by ctr. */
  async #stopContainers(): Promise<void> {
    if (this.#processes.deceased() === undefined) {
      await this.tryKubectl([
        "delete",
        "pods",
        "--all-namespaces",
        "--all",
        "--grace-period=1",
        "--wait=false",
        "--ignore-not-found",
      ]).catch(() => undefined);
    }
    for (const command of [
      ["tasks", "ls", "-q"],
      ["containers", "ls", "-q"],
    ] as const) {
      const { stdout } = await this.#attemptCtr(command).catch(() => ({ stdout: "" }));
      for (const id of stdout.split("\n").filter(Boolean)) {
        await this.#attemptCtr(command[0] === "tasks" ? ["tasks", "rm", "--force", id] : ["containers", "rm", id]).catch(() => undefined);
      }
    }
  }
}
