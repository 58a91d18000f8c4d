import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { CNI_DIRECTORY } from "./binaries.ts";

/** Addresses inside the node's own network namespace; none of them exists outside it. */
export const NODE_ADDRESS = "10.250.0.1";
export const NODE_NAME = "postrider-node";
export const POD_CIDR = "10.244.0.0/24";
export const SERVICE_CIDR = "10.96.0.0/16";
const API_SERVER = `https://${NODE_ADDRESS}:6443`;
export const PAUSE_IMAGE = "localhost/pause:1";

/** Who talks to the API server, with the identity that Kubernetes' own roles expect; `admin` is for kubectl and helm. */
const USERS = {
  admin: { name: "admin", group: "system:masters" },
  kubelet: { name: `system:node:${NODE_NAME}`, group: "system:nodes" },
  scheduler: { name: "system:kube-scheduler", group: "" },
  "controller-manager": { name: "system:kube-controller-manager", group: "" },
  proxy: { name: "system:kube-proxy", group: "" },
} as const;

export type Component = keyof typeof USERS;

export interface NodeFiles {
  readonly directory: string;
  readonly tokens: string;
  readonly serviceAccountKey: string;
  readonly kubeconfig: Readonly<Record<Component, string>>;
  readonly containerdConfig: string;
  readonly containerdSocket: string;
  readonly kubeletConfig: string;
  readonly auditPolicy: string;
  /** One JSON object for each request that a ServiceAccount made. */
  readonly auditLog: string;
  /** Where the API server puts its self-signed certificate and with it the CA that clients trust. */
  readonly certificates: string;
}

/** Writes every configuration file of the node under `directory`. */
export function writeNodeFiles(directory: string): NodeFiles {
  for (const name of ["certificates", "cni", "containerd", "containerd-state", "etcd", "kubelet", "pod-logs", "run"]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  const certificates = join(directory, "certificates");
  const containerdSocket = join(directory, "run/containerd.sock");
  const { tokens, kubeconfig } = credentials(directory, certificates);
  return {
    directory,
    tokens,
    kubeconfig,
    certificates,
    containerdSocket,
    auditPolicy: put(directory, "audit-policy.yaml", stringify(AUDIT_POLICY)),
    auditLog: join(directory, "audit.log"),
    serviceAccountKey: put(directory, "service-account.key", serviceAccountKey()),
    containerdConfig: put(directory, "containerd.toml", containerdConfig(directory, containerdSocket)),
    kubeletConfig: put(directory, "kubelet.yaml", stringify(kubeletConfig(directory, containerdSocket))),
  };
}

const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata", userGroups: ["system:serviceaccounts"] }, { level: "None" }],
};

function put(directory: string, name: string, content: string): string {
  const file = join(directory, name);
  writeFileSync(file, content, { mode: 0o600 });
  return file;
}

function serviceAccountKey(): string {
  return generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  }).privateKey;
}

function credentials(directory: string, certificates: string): Pick<NodeFiles, "tokens" | "kubeconfig"> {
  const lines: string[] = [];
  const kubeconfig: Partial<Record<Component, string>> = {};
  for (const [component, { name, group }] of Object.entries(USERS) as [Component, (typeof USERS)[Component]][]) {
    const token = randomBytes(24).toString("hex");
    lines.push(`${token},${name},${component}${group === "" ? "" : `,"${group}"`}`);
    kubeconfig[component] = put(
      directory,
      `${component}.kubeconfig`,
      stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": "node",
        clusters: [{ name: "node", cluster: { server: API_SERVER, "certificate-authority": join(certificates, "apiserver.crt") } }],
        users: [{ name: "node", user: { token } }],
        contexts: [{ name: "node", context: { cluster: "node", user: "node" } }],
      }),
    );
  }
  return { tokens: put(directory, "tokens.csv", `${lines.join("\n")}\n`), kubeconfig: kubeconfig as NodeFiles["kubeconfig"] };
}

/** The OOM score cannot be lowered inside a sandbox, and there is no systemd: hence the two settings that are not defaults. */
function containerdConfig(directory: string, socket: string): string {
  put(
    join(directory, "cni"),
    "10-pods.conflist",
    JSON.stringify({
      cniVersion: "1.0.0",
      name: "pods",
      // ptp and not bridge: every packet is routed, so an answer to a Service's address always passes the translation that made it.
      plugins: [
        {
          type: "ptp",
          ipam: {
            type: "host-local",
            dataDir: join(directory, "cni-addresses"),
            ranges: [[{ subnet: POD_CIDR }]],
            routes: [{ dst: "0.0.0.0/0" }],
          },
        },
      ],
    }),
  );
  return `version = 3
root = "${join(directory, "containerd")}"
state = "${join(directory, "containerd-state")}"
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["${CNI_DIRECTORY}"]
  conf_dir = "${join(directory, "cni")}"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
`;
}

function kubeletConfig(directory: string, socket: string): Record<string, unknown> {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: NODE_ADDRESS,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    cgroupDriver: "cgroupfs",
    failCgroupV1: false,
    oomScoreAdj: 0,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    containerRuntimeEndpoint: `unix://${socket}`,
    podLogsDir: join(directory, "pod-logs"),
    resolvConf: put(directory, "resolv.conf", "nameserver 127.0.0.1\n"),
    // A developer's disk is often nearly full, and a test image must never be collected.
    evictionHard: { "memory.available": "64Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    nodeStatusUpdateFrequency: "5s",
    // A receiver's log is the ledger of what arrived: it is never rotated away.
    containerLogMaxSize: "1Gi",
    shutdownGracePeriod: "0s",
  };
}
