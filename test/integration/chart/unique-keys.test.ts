import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manifestsIn, one, renderChart, type Rendered } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);
const RUNS = 25;

/** Keys of ours, of Helm and of others, so that maps meet often. Not helm.sh/hook: with it the object is meant to leave the release. */
const KEYS = [
  "app.kubernetes.io/name",
  "app.kubernetes.io/instance",
  "app.kubernetes.io/version",
  "app.kubernetes.io/managed-by",
  "app.kubernetes.io/component",
  "helm.sh/chart",
  "helm.sh/resource-policy",
  "kubectl.kubernetes.io/default-container",
  "rbac.authorization.k8s.io/aggregate-to-view",
  "grafana_dashboard",
  "team",
] as const;
const map = fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom("a", "true", "0.10", "null", "1e3"), { maxKeys: 6 });
const marked = fc.record({ labels: map, annotations: map });

/** Everything on, with labels and annotations wherever the values have a place for them. */
const values = fc
  .record({
    common: map,
    pod: marked,
    job: marked,
    service: marked,
    monitor: marked,
    rule: marked,
    claim: marked,
    route: marked,
    account: marked,
    set: marked,
    crds: map,
    budget: map,
    certificate: map,
    dashboards: marked,
  })
  .map((given) => ({
    commonLabels: given.common,
    podLabels: given.pod.labels,
    podAnnotations: given.pod.annotations,
    statefulSet: given.set,
    crds: { annotations: given.crds },
    ingest: {
      service: given.service,
      ingress: { enabled: true, hosts: ["a.example.com"], ...given.route },
      httpRoute: { enabled: true, parentRefs: [{ name: "public" }], ...given.route },
    },
    api: { service: given.service },
    metrics: { auth: "kubernetes", service: given.service },
    tls: { metrics: { certManager: { enabled: true, issuerRef: { name: "ca" }, annotations: given.certificate } } },
    serviceMonitor: { enabled: true, ...given.monitor },
    prometheusRule: { enabled: true, ...given.rule, extraRuleLabels: given.common, extraRuleAnnotations: given.pod.annotations },
    dashboards: {
      enabled: true,
      annotations: given.dashboards.annotations,
      labels: { grafana_dashboard: "1", ...given.dashboards.labels },
    },
    networkPolicy: { enabled: true },
    persistence: given.claim,
    serviceAccount: given.account,
    rbac: { aggregate: { history: "edit" } },
    uninstall: { podLabels: given.job.labels, podAnnotations: given.job.annotations, serviceAccount: given.account },
    podDisruptionBudget: { enabled: true, annotations: given.budget },
  }));

const matches = (selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>> = {}) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

function check(objects: readonly Rendered[]): void {
  for (const { kind, metadata } of objects) {
    expect(metadata.labels, `${kind} ${metadata.name}`).toMatchObject({
      "app.kubernetes.io/name": "postrider",
      "app.kubernetes.io/instance": "pr",
      "app.kubernetes.io/managed-by": "Helm",
    });
    const texts = Object.values({ ...metadata.labels, ...metadata.annotations });
    expect(texts.filter((text) => typeof text !== "string")).toEqual([]);
  }
  const pod = one(objects, "StatefulSet").spec.template.metadata.labels;
  const job = one(objects, "Job").spec.template.metadata.labels;
  for (const { spec } of objects.filter(({ kind }) => kind === "Service")) {
    expect([matches(spec.selector, pod), matches(spec.selector, job)]).toEqual([true, false]);
  }
  expect(matches(one(objects, "StatefulSet").spec.selector.matchLabels, pod)).toBe(true);
  expect(matches(one(objects, "NetworkPolicy", "pr-postrider-uninstall").spec.podSelector.matchLabels, job)).toBe(true);
  const monitored = objects.filter(
    ({ kind, metadata }) => kind === "Service" && matches(one(objects, "ServiceMonitor").spec.selector.matchLabels, metadata.labels),
  );
  expect(monitored.map(({ metadata }) => metadata.name)).toEqual(["pr-postrider-metrics"]);
  for (const [kind, name] of [["Job"], ["Role", "pr-postrider-uninstall"]] as const)
    expect(one(objects, kind, name).metadata.annotations).toMatchObject({ "helm.sh/hook": "pre-delete" });
  expect(one(objects, "ServiceAccount", "pr-postrider-uninstall").metadata.annotations).toMatchObject({ "helm.sh/hook": "pre-delete" });
}

describe("labels and annotations", () => {
  it("never make a key appear twice, nor change what selectors and Helm look for", { timeout: 180_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(values, async (given) => check(await renderChart(HELM, given))),
      { numRuns: RUNS },
    );
  });

  it("the reader of manifests refuses a key that appears twice", () => {
    expect(() => manifestsIn("metadata:\n  labels: {team: a}\n---\nlabels:\n  team: a\n  team: b\n")).toThrow(/Map keys must be unique/);
  });

  it.each([
    ["123", "456"],
    ["1e3", "0.1"],
    ["true", "null"],
  ])("names that YAML reads as something else stay names: release %s", async (name, label) => {
    const namespace = name.replace(".", "");
    const named = {
      className: namespace,
      namespaces: ["7", "false"],
      commonLabels: { team: label },
      persistence: { storageClassName: "1" },
    };
    for (const { kind, metadata } of await renderChart(HELM, { ...named, fullnameOverride: "99" }, { name, namespace })) {
      const texts = [metadata.name, metadata.namespace ?? "", ...Object.values(metadata.labels ?? {})];
      expect(
        texts.filter((text) => typeof text !== "string"),
        `${kind} ${metadata.name}`,
      ).toEqual([]);
    }
  });
});
