import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { one, renderChart } from "../chart/rendered-chart.ts";
import type { Rendered } from "../chart/rendered-chart.ts";
import { binaries } from "./binaries.ts";
import type { ControlPlane } from "./control-plane.ts";
import { CRD_FOLDER } from "./global-setup.ts";

export const SYSTEM = "hooks";
const RIGHTS = new Set(["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]);

/** The chart's CRDs and rights on a control plane, and kubeconfigs of the ServiceAccounts that hold exactly these rights. */
export interface InstalledChart {
  readonly operatorKubeconfig: string;
  readonly uninstallKubeconfig: string;
  /** What the operator is told to show for namespaces whose Secrets are closed to it. */
  readonly bindingHint: string;
  /** The same for namespaces whose ServiceAccounts' tokens it may not make. */
  readonly tokensBindingHint: string;
  /** Flags of the pre-delete hook. */
  readonly uninstallArgs: readonly string[];
  readonly statefulSet: Rendered;
}

/** The CRDs, and the rights of a first release with the chart's default values. */
export async function installChart(controlPlane: ControlPlane): Promise<InstalledChart> {
  await controlPlane.kubectlOutput(["create", "namespace", SYSTEM]);
  await controlPlane.kubectlOutput(["create", "--filename", CRD_FOLDER]);
  await controlPlane.kubectlOutput(["wait", "--for=condition=Established", "--timeout=30s", "--filename", CRD_FOLDER]);
  while ((await controlPlane.kubectl(["get", "whsub,dpol,cdpol,dreplay"])).code !== 0);
  return installRights(controlPlane, "pr", {});
}

/** Renders a release and applies everything of it that runs nowhere. */
export async function installRights(controlPlane: ControlPlane, release: string, values: object): Promise<InstalledChart> {
  const { helm } = await binaries(["helm"]);
  const objects = await renderChart(helm, values, { name: release, namespace: SYSTEM });
  const rights = objects.filter(({ kind }) => RIGHTS.has(kind));
  await controlPlane.kubectlOutput(["create", "--filename", "-"], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items: rights }),
  });
  const workload = one(objects, "StatefulSet").spec?.template.spec;
  const job = objects.find(({ kind, metadata }) => kind === "Job" && metadata.name.endsWith("uninstall"))?.spec?.template.spec;
  const kubeconfig = async (account: string): Promise<string> => {
    const token = await controlPlane.kubectlOutput(["create", "token", account, "--namespace", SYSTEM]);
    return writeKubeconfig(controlPlane, account, token.trim());
  };
  return {
    operatorKubeconfig: await kubeconfig(workload.serviceAccountName),
    uninstallKubeconfig: await kubeconfig(job.serviceAccountName),
    // With secretAccess: cluster no namespace's Secrets are closed.
    bindingHint: "secretAccess" in values && values.secretAccess === "cluster" ? "" : hintOf(workload, "secrets-binding-hint"),
    tokensBindingHint: hintOf(workload, "tokens-binding-hint"),
    uninstallArgs: job.containers[0].args,
    statefulSet: one(objects, "StatefulSet"),
  };
}

function hintOf(workload: Rendered["spec"], setting: string): string {
  const args: readonly string[] = workload.containers[0].args;
  const hint = args.find((arg) => arg.startsWith(`--${setting}=`));
  if (hint === undefined) throw new Error(`the chart gives no --${setting}`);
  return hint.slice(`--${setting}=`.length);
}

/** A kubeconfig of whoever holds this token. */
export function writeKubeconfig({ access }: ControlPlane, name: string, token: string): string {
  const file = join(access.directory, `${name}.kubeconfig`);
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    clusters: [{ name: "test", cluster: { server: access.url, "certificate-authority": access.caFile } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: "test", user: name } }],
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}
