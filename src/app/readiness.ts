import type { Controller } from "../controller/controller.ts";
import type { Engine } from "../delivery/engine.ts";
import type { StoreWatch } from "../ingest/store-watch.ts";
import type { HealthCheck } from "../observe/health-server.ts";
import { FileProvider } from "../provider/file.ts";
import type { Certificates } from "./certificates.ts";
import type { ManifestSource } from "./manifest-source.ts";

export interface ReadinessParts extends Pick<ManifestSource, "provider" | "gate" | "lostSight"> {
  readonly controller: Controller;
  readonly engine: Engine;
  readonly storeWatch: StoreWatch;
  readonly certificates: Certificates;
}

export interface ReadinessChecks {
  readonly ready: readonly HealthCheck[];
  readonly started: readonly HealthCheck[];
  readonly alive: readonly HealthCheck[];
}

/**
 * Ready: requests can be answered. A full disk is no reason: not ready, a Pod alone is behind no Service, and producers would find nobody instead of
 * 507, nor anybody the API. Nor is a stop: a Pod that goes and is ready is used as long as there is no other.
 */
export function readinessChecks(parts: ReadinessParts): ReadinessChecks {
  const { controller, engine, storeWatch, provider, certificates, gate, lostSight } = parts;
  const ready: HealthCheck[] = [
    {
      name: "routes",
      reason: () =>
        controller.ready ? undefined : `subscriptions have not been read yet (${controller.missing() ?? "the last are looked at"})`,
      note: () => notRead(controller.missing()),
    },
    { name: "engine", reason: () => (engine.ready ? undefined : "the store's deliveries have not been read yet") },
  ];
  // None of these is a reason to fail: what was good before stays in force, and on a full disk deliveries continue.
  ready.push({ name: "disk", reason: () => undefined, note: () => storeWatch.fullNote() });
  if (provider instanceof FileProvider) ready.push({ name: "manifests", reason: () => undefined, note: () => provider.refusedNote() });
  if (lostSight !== undefined) ready.push({ name: "watches", reason: () => undefined, note: lostSight });
  const alive = [{ name: "store", reason: () => storeWatch.hanging() }];
  const others = certificates.check === undefined ? [] : [certificates.check];
  return provider instanceof FileProvider
    ? { ready: [...ready, ...others], started: [...ready, ...others], alive }
    : { ready: [...gate.checks(ready), ...others], started: [...gate.started(ready), ...others], alive };
}

function notRead(missing: string | undefined): string | undefined {
  return missing === undefined ? undefined : `starting: waiting for what has not been read yet: ${missing}`;
}
