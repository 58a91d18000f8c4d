import { describe, expect, it } from "vitest";
import { one, renderChart, type Rendered } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);

const render = (values?: object) => renderChart(HELM, values);

describe("rights", () => {
  const rulesOf = (objects: readonly Rendered[]) =>
    objects.flatMap(({ metadata, rules }) =>
      (rules ?? []).map(({ apiGroups = [], resources = [], nonResourceURLs = [], verbs }) => ({
        role: metadata.name,
        apiGroups,
        resources,
        nonResourceURLs,
        verbs,
      })),
    );
  const modes: [string, object][] = [
    ["optIn", {}],
    ["cluster", { secretAccess: "cluster" }],
    ["namespaces", { namespaces: ["a", "b"] }],
    ["namespaces with Secrets", { namespaces: ["a"], secretAccess: "cluster" }],
    ["without reviews", { ingest: { auth: ["static"] }, api: { auth: ["static"] } }],
  ];

  it.each(modes)("hold no *: %s", async (_mode, values) => {
    const rules = rulesOf(await render(values));
    expect(rules.length).toBeGreaterThan(5);
    for (const { apiGroups, resources, nonResourceURLs, verbs } of rules) {
      expect([...apiGroups, ...resources, ...nonResourceURLs, ...verbs].join()).not.toContain("*");
    }
  });

  it("are, for the operator, exactly these", async () => {
    expect(one(await render(), "ClusterRole", "hooks:pr-postrider").rules).toEqual([
      { apiGroups: ["postrider.dev"], resources: ["webhooksubscriptions"], verbs: ["get", "list", "watch", "patch"] },
      { apiGroups: ["postrider.dev"], resources: ["deliverypolicies", "deliveryreplays"], verbs: ["get", "list", "watch"] },
      {
        apiGroups: ["postrider.dev"],
        resources: ["webhooksubscriptions/status", "deliverypolicies/status", "deliveryreplays/status"],
        verbs: ["patch"],
      },
      { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"] },
      { apiGroups: ["postrider.dev"], resources: ["clusterdeliverypolicies"], verbs: ["get", "list", "watch"] },
      { apiGroups: ["postrider.dev"], resources: ["clusterdeliverypolicies/status"], verbs: ["patch"] },
      { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list", "watch"] },
      { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
      { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
      { nonResourceURLs: ["/.well-known/openid-configuration", "/openid/v1/jwks"], verbs: ["get"] },
    ]);
  });

  it.each([{}, { namespaces: ["a", "b"] }])("hold one Lease by name, and no other: %j", async (values) => {
    const objects = await render({ ...values, className: "second", classLeaseNamespace: "platform" });
    expect(one(objects, "Role", "hooks:pr-postrider:class")).toMatchObject({
      metadata: { namespace: "platform" },
      rules: [
        {
          apiGroups: ["coordination.k8s.io"],
          resources: ["leases"],
          resourceNames: ["postrider-class-second"],
          verbs: ["get", "create", "update"],
        },
      ],
    });
    expect(rulesOf(objects).filter(({ resources }) => resources.includes("leases"))).toHaveLength(1);
  });

  it("for callers lie ready in roles that nothing binds", async () => {
    const objects = await render();
    expect(one(objects, "ClusterRole", "hooks:pr-postrider:publisher").rules).toEqual([
      { apiGroups: ["postrider.dev"], resources: ["webhooksubscriptions"], verbs: ["publish"] },
    ]);
    const verbs = (role: string) =>
      one(objects, "ClusterRole", role).rules?.flatMap((rule) => rule.resources?.map((resource) => [resource, rule.verbs.join()]));
    const read = [
      ["deliveries", "get,list"],
      ["attempts", "get,list"],
      ["events", "get,list"],
    ];
    expect(verbs("hooks:pr-postrider:history-reader")).toEqual([...read, ["webhooksubscriptions", "get,list"]]);
    expect(verbs("hooks:pr-postrider:history-operator")).toEqual([
      ...read,
      ["deliveries/resend", "create"],
      ["deliverytests", "create"],
      ["webhooksubscriptions", "get,list"],
    ]);
    expect(objects.filter(({ roleRef }) => /:(publisher|history-reader|history-operator)$/.test(roleRef?.name ?? ""))).toEqual([]);
  });

  it("read Secrets only through a role that nothing binds, unless asked", async () => {
    const bindings = (objects: readonly Rendered[]) =>
      objects.filter(({ roleRef }) => roleRef?.name.endsWith(":secrets")).map(({ kind }) => kind);
    const withSecrets = (objects: readonly Rendered[]) =>
      rulesOf(objects)
        .filter(({ resources }) => resources.includes("secrets"))
        .map(({ role }) => role);
    const optIn = await render();
    expect(withSecrets(optIn)).toEqual(["hooks:pr-postrider:secrets"]);
    expect(bindings(optIn)).toEqual([]);
    expect(bindings(await render({ secretAccess: "cluster" }))).toEqual(["ClusterRoleBinding"]);
    expect(bindings(await render({ secretAccess: "cluster", namespaces: ["a", "b"] }))).toEqual(["RoleBinding", "RoleBinding"]);
  });

  it("read Services and ConfigMaps through that same role and no other", async () => {
    for (const values of [{}, { secretAccess: "cluster" }, { namespaces: ["a"] }]) {
      const named = rulesOf(await render(values)).filter(({ resources }) => resources.some((name) => /^(services|configmaps)$/.test(name)));
      expect(named.map(({ role, resources, verbs }) => `${role} ${resources.join()} ${verbs.join()}`)).toEqual([
        "hooks:pr-postrider:secrets services,configmaps get,list,watch",
      ]);
    }
  });

  it("make tokens of ServiceAccounts only through a role that nothing binds", async () => {
    for (const values of [{}, { secretAccess: "cluster" }, { namespaces: ["a"] }]) {
      const objects = await render(values);
      const withTokens = rulesOf(objects).filter(({ resources }) => resources.some((name) => name.startsWith("serviceaccounts")));
      expect(withTokens.map(({ role, resources, verbs }) => `${role} ${resources.join()} ${verbs.join()}`)).toEqual([
        "hooks:pr-postrider:tokens serviceaccounts get,list,watch",
        "hooks:pr-postrider:tokens serviceaccounts/token create",
      ]);
      expect(objects.filter(({ roleRef }) => roleRef?.name.endsWith(":tokens"))).toEqual([]);
    }
  });

  it("are Roles when only some namespaces are served", async () => {
    const objects = await render({ namespaces: ["a", "b"] });
    expect(one(objects, "ClusterRole", "hooks:pr-postrider").rules?.flatMap(({ resources = [] }) => resources)).toEqual([
      "clusterdeliverypolicies",
      "clusterdeliverypolicies/status",
      "namespaces",
      "tokenreviews",
      "subjectaccessreviews",
    ]);
    const roles = objects.filter(({ kind, metadata }) => kind === "Role" && metadata.namespace !== "hooks");
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(["kube-system", "a", "b"]);
    expect(roles[1]?.rules?.map(({ resources }) => resources?.[0])).toContain("webhooksubscriptions");
    expect(objects.filter(({ kind }) => kind === "ClusterRoleBinding").map(({ metadata }) => metadata.name)).toEqual([
      "hooks:pr-postrider",
    ]);
  });

  it("include reviews only when a port asks for them", async () => {
    const reviews = (objects: readonly Rendered[]) =>
      rulesOf(objects).flatMap(({ resources }) => resources.filter((name) => name.endsWith("reviews")));
    const [none, asks] = [{ auth: ["static"] }, { auth: ["kubernetes"] }];
    expect(reviews(await render())).toEqual(["tokenreviews", "subjectaccessreviews"]);
    expect(reviews(await render({ ingest: none, api: none }))).toEqual([]);
    expect(reviews(await render({ ingest: asks, api: none }))).toEqual(["tokenreviews", "subjectaccessreviews"]);
    expect(reviews(await render({ ingest: none, api: asks }))).toEqual(["tokenreviews", "subjectaccessreviews"]);
  });

  it("let the uninstall Job stop this one StatefulSet and touch subscriptions, no more", async () => {
    const objects = await render();
    expect(one(objects, "Role", "pr-postrider-uninstall").rules).toEqual([
      { apiGroups: ["apps"], resources: ["statefulsets/scale"], resourceNames: ["pr-postrider"], verbs: ["get", "patch"] },
    ]);
    expect(one(objects, "ClusterRole", "hooks:pr-postrider:uninstall").rules).toEqual([
      { apiGroups: ["postrider.dev"], resources: ["webhooksubscriptions"], verbs: ["get", "list", "patch"] },
    ]);
    expect(one(objects, "Job").metadata.annotations).toMatchObject({ "helm.sh/hook": "pre-delete" });
  });

  it("are gone with rbac.create=false", async () => {
    expect(rulesOf(await render({ rbac: { create: false } }))).toEqual([]);
  });
});
