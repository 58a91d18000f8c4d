import { dirname } from "node:path";
import { POD_CIDR, SERVICE_CIDR } from "../support/node/settings.ts";

/** Addresses of Services made by the test itself. */
const RECEIVER_ADDRESS = "10.96.77.7";
export const SHOP = "shop";
export const SYSTEM = "postrider-system";
export const RELEASE = "postrider";
/** The ServiceAccount that publishes, and where its token lies in its Pods. */
const PRODUCER = "producer";
const TOKEN_PATH = "/publish/token";
const NONROOT = 65_532;

/** The volume that the chart's claim is bound to: a folder of the machine. */
export function volume(path: string): object {
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "postrider-data" },
    spec: {
      capacity: { storage: "10Gi" },
      accessModes: ["ReadWriteOncePod"],
      persistentVolumeReclaimPolicy: "Retain",
      claimRef: { namespace: SYSTEM, name: `${RELEASE}-data` },
      hostPath: { path, type: "Directory" },
    },
  };
}

/** Namespaces under the restricted Pod security standard: a Pod that breaks it is never created. */
export function namespace(name: string): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { "pod-security.kubernetes.io/enforce": "restricted" } } };
}

export const CLUSTER_POLICY = {
  apiVersion: "postrider.dev/v1alpha1",
  kind: "ClusterDeliveryPolicy",
  metadata: { name: "inside" },
  spec: { egress: { allowedCIDRs: [POD_CIDR, SERVICE_CIDR], allowPlainHTTP: true } },
};

/** A ServiceAccount that may publish, by the role that the chart keeps ready. */
export const PUBLISHING = [
  { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: PRODUCER, namespace: SHOP } },
  binding("producer-publishes", `${SYSTEM}:${RELEASE}:publisher`, { name: PRODUCER, namespace: SHOP }),
];

/** What people bound under 0.1.0, whose roles have dashes in their names. */
export const BOUND_IN_010 = [
  binding("producer-publishes", `${SYSTEM}-${RELEASE}-publisher`, { name: PRODUCER, namespace: SHOP }),
  binding("operator-reads-secrets", `${SYSTEM}-${RELEASE}-secrets`, { name: RELEASE, namespace: SYSTEM }),
];

function binding(name: string, role: string, subject: { readonly name: string; readonly namespace: string }): object {
  return {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name, namespace: SHOP },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [{ kind: "ServiceAccount", ...subject }],
  };
}

export const SUBSCRIPTION = {
  apiVersion: "postrider.dev/v1alpha1",
  kind: "WebhookSubscription",
  metadata: { name: "orders", namespace: SHOP },
  spec: {
    events: { types: ["order.*"] },
    endpoint: { url: `http://${RECEIVER_ADDRESS}:8080/hooks` },
  },
};

const RECEIVER_LABELS = { app: "receiver" };

/** `postrider listen` behind a Service, slower than events come in, so that each blow finds a backlog; it verifies with the signing Secret that the operator generated. */
export function receiver(image: string): object[] {
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "receiver", namespace: SHOP },
      spec: { clusterIP: RECEIVER_ADDRESS, selector: RECEIVER_LABELS, ports: [{ port: 8080, targetPort: 8080 }] },
    },
    pod({
      name: "receiver",
      image,
      labels: RECEIVER_LABELS,
      args: ["listen", "--host", "0.0.0.0", "--port", "8080", "--secret-file", "/signing/secret", "--delay", "100ms", "-o", "json"],
      secret: { name: "orders-signing", path: "/signing" },
    }),
  ];
}

/** One event from the command that users have. */
export function publisher(image: string, ingest: string): object {
  return pod({
    name: "publisher",
    image,
    args: [
      "publish",
      "--server",
      ingest,
      "--token",
      `@${TOKEN_PATH}`,
      "-n",
      SHOP,
      "--type",
      "order.paid",
      "--data",
      '{"id":"42"}',
      "-o",
      "json",
    ],
    publishes: true,
  });
}

/**
 * Posts event after event under one idempotency key each, trying a refused or cut post again, and prints the id of every 202.
 * Ends after a request to port 9000.
 */
export function producer(image: string, ingest: string): object {
  const command = ["node", "-e", PRODUCER_SCRIPT, `${ingest}/v1/namespaces/${SHOP}/events`, TOKEN_PATH];
  return pod({ name: "producer", image, command, publishes: true });
}

const PRODUCER_SCRIPT = `
const [url, tokenPath] = process.argv.slice(1);
let stopping = false;
const control = require("node:http").createServer((request, response) => {
  stopping = true;
  response.end("stopping", () => control.closeAllConnections());
  control.close();
});
control.listen(9000);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function post(n) {
  for (;;) {
    try {
      const token = require("node:fs").readFileSync(tokenPath, "utf8").trim();
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: "Bearer " + token, "idempotency-key": "key-" + n },
        body: JSON.stringify({ type: "order.moved", data: { n } }),
        signal: AbortSignal.timeout(5000),
      });
      const told = await answer.json();
      if (answer.status === 202) return console.log(JSON.stringify({ n, id: told.id, at: Date.now() }));
      if (answer.status !== 503) console.log(JSON.stringify({ n, refused: answer.status, told }));
    } catch {}
    await pause(100);
  }
}
let next = 0;
const lane = async () => { while (!stopping) { await post(next++); await pause(50); } };
Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(lane));
`;

interface PodSettings {
  readonly name: string;
  readonly image: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly secret?: { readonly name: string; readonly path: string };
  /** Runs as the ServiceAccount that may publish, its token for the ingest at TOKEN_PATH. */
  readonly publishes?: boolean;
}

const INGEST_TOKEN = { serviceAccountToken: { audience: "postrider-ingest", expirationSeconds: 3600, path: "token" } };

function pod({ name, image, labels, args, command, secret, publishes }: PodSettings): object {
  const mounts = [
    ...(secret === undefined ? [] : [{ name: "secret", mountPath: secret.path, readOnly: true }]),
    ...(publishes === true ? [{ name: "token", mountPath: dirname(TOKEN_PATH), readOnly: true }] : []),
  ];
  const volumes = [
    ...(secret === undefined ? [] : [{ name: "secret", secret: { secretName: secret.name } }]),
    ...(publishes === true ? [{ name: "token", projected: { sources: [INGEST_TOKEN] } }] : []),
  ];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: SHOP, labels: labels ?? { app: name } },
    spec: {
      restartPolicy: "Never",
      ...(publishes === true ? { serviceAccountName: PRODUCER } : {}),
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 2,
      dnsPolicy: "Default",
      securityContext: { runAsNonRoot: true, runAsUser: NONROOT, fsGroup: NONROOT, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "main",
          image,
          imagePullPolicy: "Never",
          ...(command === undefined ? {} : { command }),
          ...(args === undefined ? {} : { args }),
          securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
          volumeMounts: mounts,
        },
      ],
      volumes,
    },
  };
}
