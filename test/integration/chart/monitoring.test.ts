import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { CHART, one, renderChart, type Rendered } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);
const render = (values?: object) => renderChart(HELM, values);

describe("what Prometheus and Grafana are given", () => {
  it("is every rule, with the runbooks where they are published", async () => {
    const rule = one(
      await render({ prometheusRule: { enabled: true, runbookBaseURL: "https://wiki.example.com/rb/" } }),
      "PrometheusRule",
      "pr-postrider",
    );
    const file = parse(readFileSync(join(CHART, "rules/alerts.yaml"), "utf8")) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    const rules = rule.spec.groups[0].rules as { alert: string; expr: string; annotations: { runbook_url: string; description: string } }[];
    expect(rules.map(({ alert, expr }) => ({ alert, expr }))).toEqual(file.groups[0]?.rules.map(({ alert, expr }) => ({ alert, expr })));
    expect(rules.map(({ annotations }) => annotations.runbook_url)).toEqual(
      rules.map(({ alert }) => `https://wiki.example.com/rb/${alert}`),
    );
    // Prometheus' own placeholders must survive Helm's.
    expect(rules.some(({ annotations }) => annotations.description.includes("{{ $value | humanizePercentage }}"))).toBe(true);
  });

  it("is each dashboard, byte for byte, under the label that Grafana's sidecar looks for", async () => {
    const objects = await render({ dashboards: { enabled: true, annotations: { grafana_folder: "Postrider" } } });
    for (const name of ["fleet", "subscription"]) {
      const map = one(objects, "ConfigMap", `pr-postrider-dashboard-${name}`) as Rendered & { data: Record<string, string> };
      expect(map.metadata.labels?.["grafana_dashboard"]).toBe("1");
      expect(map.metadata.annotations).toEqual({ grafana_folder: "Postrider" });
      const file = readFileSync(join(CHART, `dashboards/${name}.json`), "utf8");
      expect(JSON.parse(map.data[`postrider-${name}.json`] ?? "")).toEqual(JSON.parse(file));
    }
  });

  it("links panels to the runbooks where they are published", async () => {
    const base = { prometheusRule: { runbookBaseURL: "https://wiki.example.com/rb/" } };
    const maps = (await render({ ...base, dashboards: { enabled: true } })).filter(({ kind }) => kind === "ConfigMap");
    const texts = maps.map((map) => Object.values((map as Rendered & { data?: Record<string, string> }).data ?? {}).join(""));
    expect(texts.filter((text) => text.includes('"query": "https://wiki.example.com/rb"')).length).toBe(2);
    expect(texts.filter((text) => text.includes("https://postrider.dev/runbooks"))).toEqual([]);
  });

  it("keeps the subscription's own namespace label, and scrapes once", async () => {
    expect(one(await render({ serviceMonitor: { enabled: true } }), "ServiceMonitor").spec.endpoints[0].honorLabels).toBe(true);
    const monitor = one(await render({ podMonitor: { enabled: true } }), "PodMonitor");
    expect(monitor.spec.podMetricsEndpoints[0]).toMatchObject({ port: "metrics", honorLabels: true });
    await expect(render({ podMonitor: { enabled: true }, serviceMonitor: { enabled: true } })).rejects.toThrow(/choose one/);
  });

  it("metrics with authentication: the flag, the rights to ask, a role for scrapers, and what the monitors send", async () => {
    const auth = { metrics: { auth: "kubernetes" }, ingest: { auth: ["static"] }, api: { auth: ["static"] } };
    const objects = await render({ ...auth, serviceMonitor: { enabled: true } });
    const args = (all: readonly Rendered[]): string => one(all, "StatefulSet").spec.template.spec.containers[0].args.join(" ");
    expect(args(objects)).toContain("--metrics-auth=kubernetes");
    expect(args(await render())).not.toContain("--metrics-auth");
    expect(one(objects, "ClusterRole", "hooks:pr-postrider").rules?.flatMap(({ resources = [] }) => resources)).toContain("tokenreviews");
    expect(one(objects, "ClusterRole", "hooks:pr-postrider:metrics-reader").rules).toEqual([
      { nonResourceURLs: ["/metrics"], verbs: ["get"] },
    ]);
    expect((await render()).filter(({ metadata }) => metadata.name.endsWith(":metrics-reader"))).toEqual([]);
    const file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    expect(one(objects, "ServiceMonitor").spec.endpoints[0]).toMatchObject({ bearerTokenFile: file });
    const authorization = { credentials: { name: "scrape", key: "token" } };
    const named = one(await render({ ...auth, serviceMonitor: { enabled: true, authorization } }), "ServiceMonitor").spec.endpoints[0];
    expect([named.authorization, named.bearerTokenFile]).toEqual([authorization, undefined]);
    const pods = one(await render({ ...auth, podMonitor: { enabled: true, authorization } }), "PodMonitor").spec.podMetricsEndpoints[0];
    expect(pods.authorization).toEqual(authorization);
    await expect(render({ ...auth, podMonitor: { enabled: true } })).rejects.toThrow(/podMonitor.authorization/);
    expect(one(await render({ serviceMonitor: { enabled: true } }), "ServiceMonitor").spec.endpoints[0]).not.toHaveProperty(
      "bearerTokenFile",
    );
  });
});

describe("monitors", () => {
  const all = {
    enabled: true,
    annotations: { note: "x" },
    relabelings: [{ targetLabel: "cluster", replacement: "one" }],
    metricRelabelings: [{ action: "drop", sourceLabels: ["__name__"], regex: "nodejs_.*" }],
  };
  const PAGE = { sourceLabels: ["__metrics_path__"], targetLabel: "metrics_path" };
  const kinds = [
    ["serviceMonitor", "ServiceMonitor", "endpoints"],
    ["podMonitor", "PodMonitor", "podMetricsEndpoints"],
  ] as const;

  it.each(kinds)(
    "%s scrapes both pages, told apart by a label, and one where nothing is shown per subscription",
    async (value, kind, endpoints) => {
      const pages = async (perSubscription?: string | false): Promise<readonly (readonly [string, object])[]> => {
        const metrics = perSubscription === undefined ? {} : { metrics: { perSubscription } };
        const found = one(await render({ ...metrics, [value]: { enabled: true } }), kind).spec[endpoints] as {
          path: string;
          relabelings: object;
        }[];
        return found.map(({ path, relabelings }) => [path, relabelings]);
      };
      const both = [
        ["/metrics", [PAGE]],
        ["/metrics/per-subscription", [PAGE]],
      ];
      expect(await pages()).toEqual(both);
      expect(await pages("counters")).toEqual(both);
      for (const off of ["off", false] as const) expect(await pages(off)).toEqual([both[0]]);
    },
  );

  it.each(kinds)("%s carries relabelings, and looks into the release's namespace from another one", async (value, kind, endpoints) => {
    const monitor = one(await render({ [value]: { ...all, namespace: "monitoring" } }), kind);
    expect(monitor.metadata).toMatchObject({ namespace: "monitoring", annotations: { note: "x" } });
    expect(monitor.spec.namespaceSelector).toEqual({ matchNames: ["hooks"] });
    expect(monitor.spec[endpoints][0]).toMatchObject({
      scheme: "http",
      relabelings: [PAGE, ...all.relabelings],
      metricRelabelings: all.metricRelabelings,
    });
    expect(one(await render({ [value]: all }), kind).spec).not.toHaveProperty("namespaceSelector");
  });

  it.each(kinds)("%s speaks TLS when the metrics port does", async (value, kind, endpoints) => {
    const tls = { metrics: { secretName: "metrics-tls" } };
    const [endpoint] = one(await render({ tls, [value]: all }), kind).spec[endpoints];
    expect(endpoint).toMatchObject({
      scheme: "https",
      tlsConfig: { serverName: "pr-postrider-metrics.hooks.svc", ca: { secret: { name: "metrics-tls", key: "ca.crt" } } },
    });
    const own = { ...all, namespace: "monitoring", tlsConfig: { insecureSkipVerify: true } };
    expect(one(await render({ tls, [value]: own }), kind).spec[endpoints][0].tlsConfig).toEqual({ insecureSkipVerify: true });
    await expect(render({ tls, [value]: { ...all, namespace: "monitoring" } })).rejects.toThrow(
      `${value}.tlsConfig is empty: in namespace monitoring the monitor cannot read the Secret metrics-tls of namespace hooks`,
    );
  });
});

describe("rules", () => {
  const rules = async (prometheusRule: object) => {
    const rule = one(await render({ prometheusRule: { enabled: true, ...prometheusRule } }), "PrometheusRule", "pr-postrider");
    return rule.spec.groups.flatMap((group: { rules: object[] }) => group.rules) as {
      alert: string;
      expr: string;
      for: string;
      labels: Record<string, string>;
      annotations: Record<string, string>;
    }[];
  };

  it("link to no page that does not exist: without a base they name the file", async () => {
    for (const { alert, annotations } of await rules({})) {
      expect(annotations).not.toHaveProperty("runbook_url");
      const [, file = ""] = /^(docs\/runbooks\/\w+\.md) in Postrider 0\.2\.0$/.exec(annotations["runbook"] ?? "") ?? [];
      expect(readFileSync(join(CHART, "../..", file), "utf8")).toContain(`# ${alert}`);
    }
  });

  it("are switched off, delayed and labelled one by one", async () => {
    const before = await rules({});
    const after = await rules({
      rules: { PostriderAbsent: { enabled: false }, PostriderDiskFull: { for: "10m", labels: { severity: "warning" } } },
      extraRuleLabels: { team: "platform", severity: "page" },
      extraRuleAnnotations: { dashboard: "x" },
    });
    expect(after.map(({ alert }) => alert)).toEqual(before.map(({ alert }) => alert).filter((name) => name !== "PostriderAbsent"));
    const full = after.find(({ alert }) => alert === "PostriderDiskFull");
    expect(full).toMatchObject({ for: "10m", labels: { team: "platform", severity: "warning" }, annotations: { dashboard: "x" } });
    expect(after.filter(({ alert }) => alert !== "PostriderDiskFull").every(({ labels }) => labels["severity"] === "page")).toBe(true);
  });

  it("take other thresholds, in what is asked and in what is said; the others stay", async () => {
    const before = await rules({});
    const after = await rules({
      rules: { PostriderDiskNearlyFull: { thresholds: { factor: 3.5 } }, PostriderLogLong: { thresholds: { bytes: 1_073_741_824 } } },
    });
    const of = (all: typeof after, name: string) => all.find(({ alert }) => alert === name);
    expect(of(before, "PostriderDiskNearlyFull")?.expr).toContain("< 2 * postrider_store_free_min_bytes");
    expect(of(after, "PostriderDiskNearlyFull")?.expr).toContain("< 3.5 * postrider_store_free_min_bytes");
    expect(of(after, "PostriderDiskNearlyFull")?.annotations["description"]).toContain("less than {{ 3.5 }} times");
    expect(Number(/> (.+)$/.exec(of(after, "PostriderLogLong")?.expr ?? "")?.[1])).toBe(1_073_741_824);
    const changed = after.filter((rule, i) => JSON.stringify(rule) !== JSON.stringify(before[i])).map(({ alert }) => alert);
    expect(changed).toEqual(["PostriderDiskNearlyFull", "PostriderLogLong"]);
  });

  it("refuse a threshold that an alert does not have, with those it has", async () => {
    await expect(rules({ rules: { PostriderDiskNearlyFull: { thresholds: { share: 3 } } } })).rejects.toThrow(
      /PostriderDiskNearlyFull\.thresholds\.share is not a threshold of this alert: use one of factor/,
    );
    await expect(rules({ rules: { PostriderDiskFull: { thresholds: { share: 3 } } } })).rejects.toThrow(/it has none/);
    await expect(rules({ rules: { PostriderDiskNearlyFull: { thresholds: { factor: "many" } } } })).rejects.toThrow(/factor/);
  });

  it("link to the dashboard of what they are about, where Grafana's address is known", async () => {
    for (const { annotations } of await rules({})) expect(annotations).not.toHaveProperty("dashboard_url");
    const linked = await rules({ dashboardBaseURL: "https://grafana.internal/" });
    for (const { alert, expr, annotations } of linked) {
      const url = annotations["dashboard_url"] ?? "";
      expect(url, alert).toMatch(/^https:\/\/grafana\.internal\/d\/postrider-(fleet|subscription)\?/);
      if (url.includes("/d/postrider-subscription"))
        expect(expr, alert).toMatch(/subscription|endpoint|pending|dead_letters|filter_errors/);
    }
    expect(linked.find(({ alert }) => alert === "PostriderEndpointDown")?.annotations["dashboard_url"]).toBe(
      "https://grafana.internal/d/postrider-subscription?var-job={{ $labels.job | urlquery }}&var-namespace={{ $labels.namespace | urlquery }}&var-subscription={{ $labels.subscription | urlquery }}",
    );
  });

  it("refuse a name that is no alert, with those there are", async () => {
    await expect(rules({ rules: { PostriderDiskFul: { enabled: false } } })).rejects.toThrow(
      /prometheusRule\.rules\.PostriderDiskFul is not an alert of this chart: use one of PostriderAbsent, /,
    );
  });
});

describe("objectives", () => {
  interface SloRule {
    readonly record?: string;
    readonly alert?: string;
    readonly expr: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  }
  const slo = async (prometheusRule: object): Promise<SloRule[]> => {
    const rule = one(await render({ prometheusRule: { enabled: true, ...prometheusRule } }), "PrometheusRule", "pr-postrider-slo");
    return rule.spec.groups.flatMap((group: { rules: object[] }) => group.rules) as SloRule[];
  };

  it("are the file's, byte for byte, unless a target is given", async () => {
    const file = parse(readFileSync(join(CHART, "rules/slo.yaml"), "utf8")) as { groups: { rules: SloRule[] }[] };
    const all = file.groups.flatMap((group) => group.rules);
    expect((await slo({})).map(({ record, alert, expr }) => [record, alert, expr])).toEqual(
      all.map(({ record, alert, expr }) => [record, alert, expr]),
    );
    const changed = await slo({ slo: { targets: { dispatch: 0.99999 }, badEventsMin: 3 } });
    const differ = changed
      .filter(({ expr }, i) => expr !== all[i]?.expr)
      .map(({ record, labels, expr }) => [record, labels?.["slo"], expr]);
    expect(differ).toEqual([
      ["postrider:slo_objective", "dispatch", "vector(0.99999)"],
      ["postrider:slo_bad_events_min", undefined, "vector(3)"],
    ]);
  });

  it("are left out one by one with the target 0, or all of them", async () => {
    const left = await slo({ slo: { targets: { delivered: 0 } } });
    expect(left.filter(({ labels }) => labels?.["slo"] === "delivered")).toEqual([]);
    expect(left.filter(({ labels }) => labels?.["slo"] === "accept").length).toBeGreaterThan(3);
    const none = await render({ prometheusRule: { enabled: true, slo: { enabled: false } } });
    expect(none.filter(({ kind }) => kind === "PrometheusRule").map(({ metadata }) => metadata.name)).toEqual(["pr-postrider"]);
  });

  it("carry labels, annotations and the runbooks' place like every alert; records keep their own labels", async () => {
    const given = { extraRuleLabels: { team: "hooks" }, extraRuleAnnotations: { note: "x" }, runbookBaseURL: "https://wiki.example.com" };
    const [records, alerts] = [(await slo(given)).filter(({ record }) => record), (await slo(given)).filter(({ alert }) => alert)];
    expect(alerts.length).toBe(7);
    for (const { alert, labels, annotations } of alerts) {
      expect(labels).toMatchObject({ team: "hooks" });
      expect(annotations).toMatchObject({ note: "x", runbook_url: `https://wiki.example.com/${String(alert)}` });
    }
    expect(records.filter(({ labels }) => labels?.["team"] !== undefined)).toEqual([]);
  });

  it("refuse a target that leaves no budget", async () => {
    await expect(slo({ slo: { targets: { accept: 1 } } })).rejects.toThrow(/accept/);
    await expect(slo({ slo: { targets: { accept: 99.95 } } })).rejects.toThrow(/accept/);
  });
});
