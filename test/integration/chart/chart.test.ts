import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { readManifestFile } from "../../../src/api/manifest.ts";
import { isKind } from "../../../src/api/schema.ts";
import { uninstallCommand } from "../../../src/cli/uninstall.ts";
import { loadConfig } from "../../../src/config/config.ts";
import { LIST_SETTINGS, SETTINGS, type SettingName } from "../../../src/config/settings.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { CHART, helm, one, renderChart, withImage, type Rendered } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);
const ROOT = join(CHART, "../..");
const NAME_CHARS_MAX = 63;

const render = (values?: object, release?: { name?: string; namespace?: string }) => renderChart(HELM, values, release);
const container = (objects: readonly Rendered[], kind = "StatefulSet") => one(objects, kind).spec.template.spec.containers[0];

/** `--name=value` arguments as the settings read them; repeated flags become lists. */
function flagsOf(args: readonly string[]): Record<string, string | readonly string[]> {
  const values = new Map<string, string[]>();
  for (const arg of args) {
    const [, name = "", value = ""] = /^--([^=]+)=(.*)$/.exec(arg) ?? [];
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return Object.fromEntries(
    [...values].map(([name, given]) => [name, LIST_SETTINGS.has(name as SettingName) ? given : (given.at(-1) ?? "")]),
  );
}

describe("what is rendered", () => {
  it("passes helm lint --strict", async () => {
    await expect(helm(HELM, ["lint", "--strict", CHART])).resolves.toContain("0 chart(s) failed");
  });

  it("is, with the default values, these objects", async () => {
    const objects = await render();
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual(
      [
        "ClusterRole hooks:pr-postrider",
        "ClusterRole hooks:pr-postrider:admin",
        "ClusterRole hooks:pr-postrider:edit",
        "ClusterRole hooks:pr-postrider:view",
        "ClusterRole hooks:pr-postrider:history-operator",
        "ClusterRole hooks:pr-postrider:history-reader",
        "ClusterRole hooks:pr-postrider:publisher",
        "ClusterRole hooks:pr-postrider:secrets",
        "ClusterRole hooks:pr-postrider:tokens",
        "ClusterRole hooks:pr-postrider:uninstall",
        "ClusterRoleBinding hooks:pr-postrider",
        "ClusterRoleBinding hooks:pr-postrider:uninstall",
        "CustomResourceDefinition clusterdeliverypolicies.postrider.dev",
        "CustomResourceDefinition deliverypolicies.postrider.dev",
        "CustomResourceDefinition deliveryreplays.postrider.dev",
        "CustomResourceDefinition webhooksubscriptions.postrider.dev",
        "Job pr-postrider-uninstall",
        "PersistentVolumeClaim pr-postrider-data",
        "Role hooks:pr-postrider:class",
        "Role pr-postrider-uninstall",
        "RoleBinding hooks:pr-postrider:class",
        "RoleBinding pr-postrider-uninstall",
        "Service pr-postrider-api",
        "Service pr-postrider-ingest",
        "Service pr-postrider-metrics",
        "ServiceAccount pr-postrider",
        "ServiceAccount pr-postrider-uninstall",
        "StatefulSet pr-postrider",
      ].sort(),
    );
  });

  it("fits a release Secret, which holds 1 MiB", async () => {
    expect(Buffer.byteLength(await helm(HELM, ["template", "pr", CHART], withImage({})))).toBeLessThan(512 * 1024);
  });

  it("is refused when the grace period ends before the drain", async () => {
    await expect(render({ drainTimeoutSeconds: 45 })).rejects.toThrow(/terminationGracePeriodSeconds \(45\) must be longer/);
    // Nor may it end while what was cut off is written down and the store closes.
    await expect(render({ drainTimeoutSeconds: 36 })).rejects.toThrow(/longer than drainTimeoutSeconds \(36\) by at least 10 s/);
    await expect(render({ drainTimeoutSeconds: 35 })).resolves.toBeDefined();
  });
});

describe("the operator's arguments", () => {
  it.each([
    ["defaults", {}],
    [
      "every setting",
      {
        namespaces: ["a", "b"],
        ingest: { tokenInQuery: true, rateLimit: 1_000_000, deliveriesMax: 100_000, idempotencyTTL: "1h30m" },
        maxInFlight: 65_536,
      },
    ],
    [
      "the rest",
      {
        className: "second",
        drainTimeoutSeconds: 0,
        logLevel: "debug",
        logSuccessOneIn: 1_000_000,
        metrics: { perSubscription: false },
        extraArgs: ["--store-reserve=1Mi"],
      },
    ],
  ])("are understood by the binary: %s", async (_name, values) => {
    const [command, ...args] = container(await render(values)).args as string[];
    expect(command).toBe("run");
    const flags = flagsOf(args);
    expect(Object.keys(flags).filter((flag) => !(flag in SETTINGS))).toEqual([]);
    expect(() => loadConfig({ flags, env: {} })).not.toThrow();
  });

  it("say what the values say", async () => {
    const flags = flagsOf(container(await render({ className: "second", namespaces: ["a", "b"] })).args);
    expect(flags["tokens-binding-hint"]).toBe(
      "kubectl -n {namespace} create rolebinding hooks:pr-postrider:tokens --clusterrole=hooks:pr-postrider:tokens --serviceaccount=hooks:pr-postrider",
    );
    expect(flags["secrets-binding-hint"]).toBe(
      "kubectl -n {namespace} create rolebinding hooks:pr-postrider:secrets --clusterrole=hooks:pr-postrider:secrets --serviceaccount=hooks:pr-postrider",
    );
    expect(flags).toMatchObject({
      class: "second",
      installation: "hooks/pr-postrider",
      "class-lease-namespace": "kube-system",
      namespace: ["a", "b"],
      "system-namespace": "hooks",
      store: "sqlite:/data",
      provider: "cluster",
    });
  });

  it("listen where Services and probes look", async () => {
    const objects = await render();
    const config = loadConfig({ flags: flagsOf(container(objects).args.slice(1)), env: {} });
    const ports = Object.fromEntries(
      container(objects).ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
    );
    expect(ports).toEqual({ ingest: config["ingest-listen"].port, api: config["api-listen"].port, metrics: config["metrics-listen"].port });
    const targets = objects.filter(({ kind }) => kind === "Service").map(({ spec }) => String(spec.ports[0].targetPort));
    expect(targets.toSorted((a, b) => a.localeCompare(b))).toEqual(["api", "ingest", "metrics"]);
    for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) expect(container(objects)[probe].httpGet.port).toBe("metrics");
  });
});

describe("the uninstall Job's arguments", () => {
  it.each([{}, { className: "second", namespaces: ["a", "b"], uninstall: { timeoutSeconds: 3_600 } }])(
    "are understood by the binary: %j",
    async (values) => {
      const asked: string[] = [];
      const api = {
        request: async ({ path }: { path: string }) => {
          asked.push(path);
          return { status: 404, body: undefined, retryAfterMs: undefined };
        },
      };
      const [command, ...args] = container(await render(values), "Job").args as string[];
      expect(command).toBe("uninstall");
      await uninstallCommand(new SystemClock(), async () => api)
        .exitOverride()
        .parseAsync(args, { from: "user" });
      expect(asked[0]).toBe("/apis/apps/v1/namespaces/hooks/statefulsets/pr-postrider/scale");
      expect(asked.length).toBe("namespaces" in values ? 3 : 2);
    },
  );
});

describe("Pods", () => {
  it.each(["StatefulSet", "Job"])("keep to the restricted Pod security standard: %s", async (kind) => {
    const objects = await render();
    const { securityContext } = one(objects, kind).spec.template.spec;
    expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: "RuntimeDefault" } });
    expect(container(objects, kind).securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  it("never lead the operator's Services to the uninstall Job", async () => {
    const objects = await render();
    const selector = one(objects, "Service", "pr-postrider-ingest").spec.selector as Record<string, string>;
    const labels = one(objects, "Job").spec.template.metadata.labels as Record<string, string>;
    expect(Object.entries(selector).every(([name, value]) => labels[name] === value)).toBe(false);
    expect(one(objects, "StatefulSet").spec.template.metadata.labels).toMatchObject(selector);
  });

  it.each([
    [{}, "registry.example.com/postrider:0.2.0"],
    [{ registry: "registry.example.com/team/", repository: "postrider", tag: "v2" }, "registry.example.com/team/postrider:v2"],
    [{ tag: "v2", digest: `sha256:${"a".repeat(64)}` }, `registry.example.com/postrider@sha256:${"a".repeat(64)}`],
  ])("take their image from %j", async (image, reference) => {
    const objects = await render({ image });
    expect([container(objects).image, container(objects, "Job").image]).toEqual([reference, reference]);
  });

  it("carry what the values add", async () => {
    const objects = await render({
      image: { pullSecrets: ["pull"] },
      extraEnv: [{ name: "A", value: "b" }],
      podLabels: { team: "x" },
      podAnnotations: { note: "y" },
      nodeSelector: { disk: "ssd" },
      tolerations: [{ key: "k", operator: "Exists" }],
      affinity: { nodeAffinity: {} },
      priorityClassName: "high",
    });
    const { metadata, spec } = one(objects, "StatefulSet").spec.template;
    expect(metadata).toMatchObject({ labels: { team: "x" }, annotations: { note: "y" } });
    expect(spec).toMatchObject({
      imagePullSecrets: [{ name: "pull" }],
      nodeSelector: { disk: "ssd" },
      tolerations: [{ key: "k", operator: "Exists" }],
      affinity: { nodeAffinity: {} },
      priorityClassName: "high",
    });
    expect(spec.containers[0].env).toEqual([{ name: "A", value: "b" }]);
  });
});

describe("the volume", () => {
  it("is a claim that outlives the release", async () => {
    const claim = one(await render({ persistence: { storageClassName: "fast", size: "5Gi" } }), "PersistentVolumeClaim");
    expect(claim.metadata.annotations).toMatchObject({ "helm.sh/resource-policy": "keep" });
    expect(claim.spec).toEqual({
      accessModes: ["ReadWriteOncePod"],
      storageClassName: "fast",
      resources: { requests: { storage: "5Gi" } },
    });
  });

  it.each([
    [{ existingClaim: "mine" }, { persistentVolumeClaim: { claimName: "mine" } }],
    [{ enabled: false }, { emptyDir: {} }],
  ])("can be another: %j", async (persistence, source) => {
    const objects = await render({ persistence });
    expect(objects.filter(({ kind }) => kind === "PersistentVolumeClaim")).toEqual([]);
    expect(one(objects, "StatefulSet").spec.template.spec.volumes[0]).toEqual({ name: "data", ...source });
  });
});

describe("CRDs", () => {
  const files = globSync("crds/*.yaml", { cwd: ROOT }).map((file) => parse(readFileSync(join(ROOT, file), "utf8")) as Rendered);

  it("are those of crds/, kept at uninstallation", async () => {
    const rendered = (await render()).filter(({ kind }) => kind === "CustomResourceDefinition");
    expect(rendered).toHaveLength(4);
    for (const file of files) {
      const crd = one(rendered, "CustomResourceDefinition", file.metadata.name);
      expect(crd.spec).toEqual(file.spec);
      expect(crd.metadata.annotations).toEqual({ "helm.sh/resource-policy": "keep" });
    }
  });

  it("can be removed with the release, or left out", async () => {
    const removable = (await render({ crds: { keep: false } })).filter(({ kind }) => kind === "CustomResourceDefinition");
    expect(removable.map(({ metadata }) => metadata.annotations)).toEqual([undefined, undefined, undefined, undefined]);
    expect((await render({ crds: { enabled: false } })).filter(({ kind }) => kind === "CustomResourceDefinition")).toEqual([]);
  });
});

describe("names", () => {
  it("never pass 63 characters, nor 52 for a StatefulSet, and never meet", async () => {
    const releases = ["a", "b"].map((last) => `${"long-release-name-".repeat(3).slice(0, 52)}${last}`);
    const overrides = ["a", "b"].map((last) => `${"x".repeat(62)}${last}`);
    for (const [values, names] of [
      [() => ({}), releases],
      [(name: string) => ({ fullnameOverride: name }), overrides],
    ] as const) {
      const [first = [], second = []] = await Promise.all(
        names.map(async (name) =>
          (await render({ ...values(name), crds: { enabled: false } }, { name: name.slice(0, 53) })).map(
            ({ kind, metadata }) => `${kind} ${metadata.name}`,
          ),
        ),
      );
      expect(first.filter((name) => second.includes(name))).toEqual([]);
      for (const entry of [...first, ...second]) {
        const [kind = "", name = ""] = entry.split(" ");
        // Roles may be longer, and in kube-system they need the release's namespace in their name, as in the whole cluster.
        if (!kind.startsWith("Cluster") && !name.endsWith(":class"))
          expect(name.length, entry).toBeLessThanOrEqual(kind === "StatefulSet" ? 52 : NAME_CHARS_MAX);
      }
    }
  });

  it("of cluster-scoped objects never meet, whatever is in namespaces and releases", async () => {
    const releases = [
      { namespace: "a", name: "b-c" },
      { namespace: "a-b", name: "c" },
      { namespace: "a", name: "b" },
      { namespace: "a", name: "b-secrets" },
      { namespace: "a", name: "b-uninstall" },
    ];
    const names = await Promise.all(
      releases.map(async (release) =>
        (await render({ crds: { enabled: false }, fullnameOverride: release.name }, release))
          .filter(({ kind }) => kind.startsWith("Cluster"))
          .map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      ),
    );
    const all = names.flat();
    expect(all.length).toBeGreaterThan(40);
    expect(all.filter((name, index) => all.indexOf(name) !== index)).toEqual([]);
  });

  it("of cluster-scoped objects carry the namespace", async () => {
    const names = async (namespace: string) =>
      (await render({ crds: { enabled: false } }, { namespace }))
        .filter(({ kind }) => kind.startsWith("Cluster"))
        .map(({ metadata }) => metadata.name);
    const [first, second] = [await names("one"), await names("two")];
    expect(first.length).toBeGreaterThan(3);
    expect(first.filter((name) => second.includes(name))).toEqual([]);
  });
});

describe("the notes", () => {
  const notes = (values: object) =>
    helm(HELM, ["install", "pr", CHART, "--namespace", "hooks", "--dry-run=client", "--kubeconfig", "/dev/null"], withImage(values));

  it.each([{}, { secretAccess: "cluster" }])("show manifests that are good: %j", async (values) => {
    const blocks = [...(await notes(values)).matchAll(/<<'EOF'\n(.*?)\n +EOF/gs)].map((match) =>
      (match[1] ?? "").replaceAll(/^ {3}/gm, ""),
    );
    const kinds = blocks.flatMap((block) => {
      const { manifests, problems } = readManifestFile(block);
      expect(problems).toEqual([]);
      for (const { kind, object } of manifests) if (isKind(kind)) expect(readCustomResource(object)).toMatchObject({ ok: true });
      return manifests.map(({ kind }) => kind);
    });
    expect(kinds).toEqual(["ClusterDeliveryPolicy", "WebhookSubscription"]);
  });

  it("show the binding that opens a namespace's Secrets, and warn of what loses events", async () => {
    expect(await notes({})).toContain("create rolebinding hooks:pr-postrider:secrets");
    expect(await notes({ secretAccess: "cluster" })).not.toContain("-secrets --clusterrole");
    expect(await notes({})).toContain("create token default --audience postrider-ingest");
    expect(await notes({})).not.toContain("postrider.dev/ingest-token");
    expect(await notes({ ingest: { auth: ["static"] } })).toContain("postrider.dev/ingest-token=true");
    expect(await notes({ persistence: { enabled: false } })).toContain("Accepted events are lost when the Pod goes");
  });
});
