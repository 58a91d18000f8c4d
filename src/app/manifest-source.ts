import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { ServiceAccountTokens } from "../attempt/token/token-issuer.ts";
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import type { ObjectRef, Resources, ResultSink } from "../controller/objects.ts";
import type { SystemClock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { FileProvider } from "../provider/file.ts";
import { tokenLabels } from "./authenticators.ts";
import { ClassGate } from "./class-gate.ts";

export type Provider = Resources & ResultSink & Service;

/** Where manifests come from, who makes tokens of ServiceAccounts there, and who may serve them. */
export interface ManifestSource {
  readonly provider: Provider;
  readonly serviceAccounts: ServiceAccountTokens | undefined;
  /** Lets go of what was read because somebody named it; with files everything stays as long as its file. */
  readonly retainNamed: ((isNamed: (ref: ObjectRef) => boolean) => void) | undefined;
  readonly gate: ClassGate;
  /** Absent with files: nobody else serves the same folder. */
  readonly lease: Service | undefined;
  /** Manifests may be judged from now on. */
  readonly onJudged: () => void;
  /** What cannot be followed now, for people; with files `refusedNote` says it. */
  readonly lostSight: (() => string | undefined) | undefined;
}

export interface ManifestSourceParts {
  readonly clock: SystemClock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** This process, unlike any other. */
  readonly owner: string;
}

/** @throws ConfigError when there is no such folder, or no credentials of a cluster */
export function manifestSource(config: Config, parts: ManifestSourceParts): Promise<ManifestSource> {
  return config.provider === "file" ? folderSource(config, parts) : clusterSource(config, parts);
}

async function folderSource(config: Config, { clock, log, metrics }: ManifestSourceParts): Promise<ManifestSource> {
  const directory = config.manifests ?? ".";
  // Misspelt, it would be made for the keys below, and every event would match nothing. Later a missing folder is trouble that deletes nothing.
  if (!(await stat(directory).catch(() => undefined))?.isDirectory()) throw new ConfigError([`--manifests ${directory}: no such folder`]);
  const kept = config.store.kind === "sqlite" ? config.store.directory : directory;
  const onRefused = (count: number): void => metrics.manifestsRefused.set(count);
  return {
    provider: new FileProvider({ directory, secretsDirectory: join(kept, ".keys"), clock, log, onRefused }),
    serviceAccounts: undefined,
    retainNamed: undefined,
    gate: new ClassGate(false, log, metrics),
    lease: undefined,
    onJudged: () => undefined,
    lostSight: undefined,
  };
}

async function clusterSource(config: Config, { clock, random, log, metrics, owner }: ManifestSourceParts): Promise<ManifestSource> {
  // Loaded here only: the Kubernetes client alone holds more memory than everything else.
  const [{ kubernetesCredentials }, { KubeTransport }, { ClusterProvider }, { KubeServiceAccountTokens }, { ClassLease }] =
    await Promise.all([
      import("../kube/credentials.ts"),
      import("../kube/transport.ts"),
      import("../provider/cluster.ts"),
      import("../kube/service-account-tokens.ts"),
      import("../kube/class-lease.ts"),
    ]);
  const credentials = kubernetesCredentials(config.kubeconfig);
  const transport = new KubeTransport(credentials, clock);
  const gate = new ClassGate(true, log, metrics);
  const provider = new ClusterProvider({
    heldBack: () => gate.heldBack(),
    transport,
    clock,
    random,
    log,
    metrics,
    className: config.class,
    namespaces: config.namespace,
    instance: hostname(),
    bindingHint: config["secrets-binding-hint"],
    tokensBindingHint: config["tokens-binding-hint"],
    systemNamespace: config["system-namespace"],
    tokenLabels: tokenLabels(config),
  });
  const lease = new ClassLease({
    transport: new KubeTransport(credentials, clock),
    clock,
    className: config.class,
    namespace: config["class-lease-namespace"],
    me: { installation: installationOf(config), pod: hostname(), process: owner, namespaces: config.namespace },
    onStanding: (standing) => gate.note(standing),
  });
  return {
    provider,
    serviceAccounts: new KubeServiceAccountTokens({ transport, clock, bindingHint: config["tokens-binding-hint"] }),
    retainNamed: (isNamed) => provider.retainNamed(isNamed),
    gate,
    lease,
    onJudged: () => provider.released(),
    lostSight: () => provider.lostSight(),
  };
}

/** The same after every restart; the chart names the release. */
function installationOf(config: Config): string {
  return config.installation ?? `${config["system-namespace"]}/${hostname()}`;
}
