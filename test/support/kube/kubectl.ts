import { join } from "node:path";
import { attempt } from "../node/command.ts";
import type { CommandResult } from "../node/command.ts";

/** Users of the test control plane, with their groups. Their bearer tokens are `<name>-token`. */
export const USERS = {
  admin: ["system:masters"],
  alice: ["team-a"],
  bob: ["team-b"],
  nobody: [],
} as const satisfies Record<string, readonly string[]>;

export type User = keyof typeof USERS;

export function tokenOf(user: User): string {
  return `${user}-token`;
}

/** How to reach a control plane; plain data, so that a test runner can hand it to its workers. */
export interface ControlPlaneAccess {
  /** https://127.0.0.1:port */
  readonly url: string;
  /** One context per user; the current one is admin. */
  readonly kubeconfig: string;
  /** PEM of the authority that signed the server's certificate, and the file it is in. */
  readonly ca: string;
  readonly caFile: string;
  readonly adminToken: string;
  readonly kubectlPath: string;
  /** Scratch folder, gone after stop. */
  readonly directory: string;
}

export interface KubectlOptions {
  /** Standard input, for `-f -`. */
  readonly input?: string;
  readonly user?: User;
  readonly timeoutMs?: number;
}

/** Runs kubectl to its end and gives its exit code and output; a refusal by the server is a result, not an exception. */
export function kubectl(access: ControlPlaneAccess, args: readonly string[], options: KubectlOptions = {}): Promise<CommandResult> {
  const { input = "", user = "admin", timeoutMs = 60_000 } = options;
  const command = [access.kubectlPath, `--kubeconfig=${access.kubeconfig}`, `--context=${user}`, ...args] as const;
  const env = { KUBECACHEDIR: join(access.directory, "kubectl-cache"), KUBECTL_COMMAND_HEADERS: "false" };
  return attempt(command, { stdin: input, timeoutMs, env });
}

/** The same, giving standard output; anything but exit code 0 rejects with what kubectl said. */
export async function kubectlOutput(access: ControlPlaneAccess, args: readonly string[], options: KubectlOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await kubectl(access, args, options);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: exit code ${code}\n${stderr}${stdout}`);
  return stdout;
}
