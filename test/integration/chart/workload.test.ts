import { describe, expect, it } from "vitest";
import { helm, CHART, IMAGE, one, renderChart, withImage, type Release, type Rendered } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);
const render = (values?: object, release?: Release) => renderChart(HELM, values, release);
const podOf = (objects: readonly Rendered[], kind = "StatefulSet") => one(objects, kind).spec.template.spec;
const notes = (values: object) =>
  helm(HELM, ["install", "pr", CHART, "--namespace", "hooks", "--dry-run=client", "--kubeconfig", "/dev/null"], withImage(values));

describe("the image", () => {
  it("without a repository is refused with what to do, and not pulled from a name that someone else may own", async () => {
    await expect(helm(HELM, ["template", "pr", CHART])).rejects.toThrow(
      /image\.repository is empty, and no registry holds an image of Postrider: build it with "docker build -t registry\.example\.com\/postrider:0\.2\.0 \."/,
    );
  });

  it("comes from the registry that all charts share, for both Pods", async () => {
    const objects = await render({
      global: { imageRegistry: "mirror.example.com/" },
      image: { registry: "registry.example.com", repository: "p" },
    });
    expect([podOf(objects), podOf(objects, "Job")].map(({ containers }) => containers[0].image)).toEqual(
      Array.from({ length: 2 }, () => "mirror.example.com/p:0.2.0"),
    );
  });

  it("is pulled with Secrets given as names and as objects, each once", async () => {
    const values = { global: { imagePullSecrets: ["shared", { name: "pull" }] }, image: { pullSecrets: ["pull", { name: "other" }] } };
    const objects = await render(values);
    const secrets = [{ name: "shared" }, { name: "pull" }, { name: "other" }];
    expect([podOf(objects).imagePullSecrets, podOf(objects, "Job").imagePullSecrets]).toEqual([secrets, secrets]);
  });
});

describe("where and how Pods run", () => {
  const shared = {
    priorityClassName: "high",
    runtimeClassName: "gvisor",
    schedulerName: "mine",
    hostUsers: false,
    dnsPolicy: "None",
    dnsConfig: { nameservers: ["10.0.0.10"] },
    hostAliases: [{ ip: "10.0.0.1", hostnames: ["receiver"] }],
    nodeSelector: { disk: "ssd" },
    tolerations: [{ key: "k", operator: "Exists" }],
    affinity: { nodeAffinity: {} },
  };

  it.each(["StatefulSet", "Job"])("is said for the %s", async (kind) => {
    expect(podOf(await render(shared), kind)).toMatchObject(shared);
    const bare = podOf(await render(), kind);
    expect(Object.keys(shared).filter((key) => key in bare)).toEqual([]);
  });

  it("labels and annotations reach both Pods, and the Job can have its own", async () => {
    const objects = await render({
      podLabels: { team: "x" },
      podAnnotations: { note: "y", "sidecar.istio.io/inject": "true" },
      uninstall: { podAnnotations: { "sidecar.istio.io/inject": "false" }, podLabels: { team: "z" } },
    });
    expect(one(objects, "StatefulSet").spec.template.metadata).toMatchObject({
      labels: { team: "x" },
      annotations: { "sidecar.istio.io/inject": "true" },
    });
    expect(one(objects, "Job").spec.template.metadata).toMatchObject({
      labels: { team: "z" },
      annotations: { note: "y", "sidecar.istio.io/inject": "false" },
    });
  });
});

describe("escape hatches", () => {
  const mount = { name: "ca", mountPath: "/etc/ca", readOnly: true };
  const hatches = {
    extraVolumes: [{ name: "ca", configMap: { name: "ca" } }],
    extraVolumeMounts: [mount],
    initContainers: [{ name: "wait", image: "busybox:1", command: ["true"] }],
    extraContainers: [{ name: "proxy", image: "envoy:1" }],
    envFrom: [{ secretRef: { name: "env" } }],
    extraEnv: [{ name: "A", value: "b" }],
    lifecycle: { preStop: { sleep: { seconds: 5 } } },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" }],
    statefulSet: { annotations: { "reloader.stakater.com/auto": "true" }, labels: { tier: "x" } },
  };

  it("reach the Pod next to what is there", async () => {
    const objects = await render(hatches);
    const set = one(objects, "StatefulSet");
    const { containers, initContainers, volumes, topologySpreadConstraints } = podOf(objects);
    expect(set.metadata).toMatchObject(hatches.statefulSet);
    expect(volumes.map(({ name }: { name: string }) => name)).toEqual(["data", "tmp", "ca"]);
    expect(containers.map(({ name }: { name: string }) => name)).toEqual(["postrider", "proxy"]);
    expect(containers[0].volumeMounts).toContainEqual(mount);
    expect(containers[0]).toMatchObject({ envFrom: hatches.envFrom, env: hatches.extraEnv, lifecycle: hatches.lifecycle });
    expect([initContainers, topologySpreadConstraints]).toEqual([hatches.initContainers, hatches.topologySpreadConstraints]);
  });

  it.each([
    [{ extraVolumes: [{ name: "data", emptyDir: {} }] }, /extraVolumes: the name data is in use: choose another one \(in use: data, tmp\)/],
    [{ extraVolumes: [{ name: "a" }, { name: "a" }] }, /extraVolumes: the name a is in use/],
    [{ extraVolumeMounts: [{ name: "a", mountPath: "/data/" }] }, /extraVolumeMounts: something is mounted at \/data already/],
    [{ extraContainers: [{ name: "postrider" }] }, /the name postrider is in use/],
    [{ initContainers: [{ name: "a" }], extraContainers: [{ name: "a" }] }, /the name a is in use/],
  ])("refuse what would meet a name in use: %j", async (values, message) => {
    await expect(render(values)).rejects.toThrow(message);
  });

  it("further manifests are rendered, as objects and as text", async () => {
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "{{ .Release.Name }}-a" }, data: { "1": "x" } };
    const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "postrider.fullname" . }}-b\n';
    const objects = await render({ extraObjects: [object, text] });
    expect(objects.filter(({ kind }) => kind === "ConfigMap").map(({ metadata }) => metadata.name)).toEqual(["pr-a", "pr-postrider-b"]);
  });
});

describe("on OpenShift", () => {
  const numbers = ["runAsUser", "runAsGroup", "fsGroup"];
  const given = async (values: object, flags: readonly string[] = []) => {
    const objects = await render({ securityContext: { runAsUser: 1 }, ...values }, { flags });
    return ["StatefulSet", "Job"].map((kind) => {
      const { securityContext, containers } = podOf(objects, kind);
      expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      return numbers.filter((key) => key in securityContext || key in containers[0].securityContext);
    });
  };
  const openshift = ["--api-versions", "security.openshift.io/v1"];

  it("users and groups are left to the namespace's range where the API is found, or where it is said", async () => {
    expect(await given({})).toEqual([numbers, numbers]);
    expect(await given({}, openshift)).toEqual([[], []]);
    expect(await given({ openshift: { adaptSecurityContext: "force" } })).toEqual([[], []]);
    expect(await given({ openshift: { adaptSecurityContext: "disabled" } }, openshift)).toEqual([numbers, numbers]);
  });
});

describe("a PodDisruptionBudget", () => {
  it("is not made for one Pod, unless asked for; then it blocks no drain", async () => {
    expect((await render()).filter(({ kind }) => kind === "PodDisruptionBudget")).toEqual([]);
    const objects = await render({ podDisruptionBudget: { enabled: true } });
    const { spec } = one(objects, "PodDisruptionBudget");
    expect(spec).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow" });
    expect(spec.selector).toEqual(one(objects, "StatefulSet").spec.selector);
  });

  it("that blocks drains is warned of, with the command that ends one", async () => {
    const text = await notes({ podDisruptionBudget: { enabled: true, maxUnavailable: 0 } });
    expect(text).toContain("kubectl -n hooks delete pod pr-postrider-0");
    expect(await notes({ podDisruptionBudget: { enabled: true } })).not.toContain("delete pod");
  });
});

describe("uninstallation without permissions of the chart's", () => {
  const hooks = (objects: readonly Rendered[]) => objects.filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] !== undefined);

  it("has no hook that must fail, and says so", async () => {
    expect(hooks(await render({ rbac: { create: false } }))).toEqual([]);
    expect(await notes({ rbac: { create: false } })).toContain("uninstall.serviceAccount.name");
    expect(await notes({})).not.toContain("uninstall.serviceAccount.name");
  });

  it("runs as the ServiceAccount that is named", async () => {
    const own = { rbac: { create: false }, uninstall: { serviceAccount: { create: false, name: "janitor" } } };
    const objects = hooks(await render(own));
    expect(objects.map(({ kind }) => kind)).toEqual(["Job"]);
    expect(podOf(objects, "Job").serviceAccountName).toBe("janitor");
    await expect(render({ uninstall: { serviceAccount: { create: false } } })).rejects.toThrow(
      /uninstall\.serviceAccount\.create is false and uninstall\.serviceAccount\.name is empty/,
    );
    const bound = await render({ uninstall: { serviceAccount: { name: "janitor" } } });
    const subjects = bound.filter(({ kind, metadata }) => kind.endsWith("Binding") && metadata.name.endsWith("uninstall"));
    expect(subjects.flatMap((binding) => binding.subjects?.map(({ name }) => name))).toEqual(["janitor", "janitor"]);
  });
});

describe("the claim", () => {
  it.each([
    [{}, {}],
    [{ storageClassName: "-" }, { storageClassName: "" }],
    [{ storageClassName: "fast" }, { storageClassName: "fast" }],
    [
      { volumeName: "pv-1", selector: { matchLabels: { a: "b" } } },
      { volumeName: "pv-1", selector: { matchLabels: { a: "b" } } },
    ],
    [{ dataSource: { kind: "PersistentVolumeClaim", name: "x" } }, { dataSource: { kind: "PersistentVolumeClaim", name: "x" } }],
  ])("with %j asks for %j", async (persistence, expected) => {
    expect(one(await render({ persistence }), "PersistentVolumeClaim").spec).toEqual({
      accessModes: ["ReadWriteOncePod"],
      resources: { requests: { storage: "10Gi" } },
      ...expected,
    });
  });

  it("belongs to an installation with room to start: 512Mi are asked for", async () => {
    expect(podOf(await render({ image: IMAGE })).containers[0].resources.requests.memory).toBe("512Mi");
  });
});
