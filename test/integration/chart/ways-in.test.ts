import { describe, expect, it } from "vitest";
import { ADDRESS_RULES } from "../../../src/core/egress/address-rules.ts";
import { CHART, helm, one, renderChart, withImage, type Rendered } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";

const { helm: HELM } = await binaries(["helm"]);
const render = (values?: object) => renderChart(HELM, values);
const operator = (objects: readonly Rendered[]) => one(objects, "StatefulSet").spec.template.spec;

describe("Services", () => {
  const full = {
    type: "LoadBalancer",
    nodePort: 30_080,
    loadBalancerClass: "internal",
    loadBalancerIP: "10.0.0.1",
    loadBalancerSourceRanges: ["10.0.0.0/8"],
    externalTrafficPolicy: "Local",
    internalTrafficPolicy: "Local",
    sessionAffinity: "ClientIP",
    ipFamilyPolicy: "PreferDualStack",
    ipFamilies: ["IPv6", "IPv4"],
    trafficDistribution: "PreferClose",
  };

  it.each(["ingest", "api"])("of the %s carry every field, labels and annotations", async (port) => {
    const service = { ...full, annotations: { note: "x" }, labels: { team: "y" } };
    const { metadata, spec } = one(await render({ [port]: { service } }), "Service", `pr-postrider-${port}`);
    const { nodePort, ...fields } = full;
    expect(spec).toMatchObject(fields);
    expect(spec.ports).toMatchObject([{ name: "http", appProtocol: "http", nodePort, targetPort: port }]);
    expect(metadata).toMatchObject({ annotations: { note: "x" }, labels: { team: "y", "app.kubernetes.io/component": port } });
  });

  it.each([
    [
      { loadBalancerClass: "x" },
      "ingest.service.loadBalancerClass is set, but ingest.service.type is ClusterIP: set the type to LoadBalancer",
    ],
    [
      { loadBalancerSourceRanges: ["10.0.0.0/8"], type: "NodePort" },
      "ingest.service.loadBalancerSourceRanges is set, but ingest.service.type is NodePort",
    ],
    [
      { nodePort: 30_000 },
      "ingest.service.nodePort is set, but ingest.service.type is ClusterIP: set the type to NodePort or LoadBalancer",
    ],
    [{ externalTrafficPolicy: "Local" }, "ingest.service.externalTrafficPolicy is set, but ingest.service.type is ClusterIP"],
  ])("refuse what their type has no use for: %j", async (service, message) => {
    await expect(render({ ingest: { service } })).rejects.toThrow(message);
  });

  it("say which protocol they speak, also in words that a controller needs", async () => {
    const objects = await render({
      api: { service: { appProtocol: "kubernetes.io/h2c" } },
      metrics: { service: { ipFamilies: ["IPv6"] } },
    });
    const protocols = objects.filter(({ kind }) => kind === "Service").map(({ spec }) => String(spec.ports[0].appProtocol));
    expect(protocols.sort()).toEqual(["http", "http", "kubernetes.io/h2c"]);
    expect(one(objects, "Service", "pr-postrider-metrics").spec.ipFamilies).toEqual(["IPv6"]);
  });
});

describe("TLS", () => {
  const secrets = {
    ingest: { secretName: "a", clientCA: { secretName: "clients" } },
    api: { secretName: "b" },
    metrics: { secretName: "c" },
  };
  const tlsArgs = (objects: readonly Rendered[]) =>
    (operator(objects).containers[0].args as string[]).filter((arg) => arg.includes("-tls-"));

  it("is off without a word about it", async () => {
    const objects = await render();
    expect(tlsArgs(objects)).toEqual([]);
    expect(operator(objects).volumes.map(({ name }: { name: string }) => name)).toEqual(["data", "tmp"]);
    expect(operator(objects).containers[0].readinessProbe.httpGet.scheme).toBe("HTTP");
  });

  it("mounts each Secret as a folder, so that it is renewed, and names its files", async () => {
    const objects = await render({ tls: secrets });
    const folder = "/etc/postrider/tls";
    expect(tlsArgs(objects)).toEqual([
      ...["ingest", "api", "metrics"].flatMap((port) => [
        `--${port}-tls-certificate-file=${folder}/${port}/tls.crt`,
        `--${port}-tls-key-file=${folder}/${port}/tls.key`,
      ]),
      `--ingest-tls-client-ca-file=${folder}/ingest-clients/ca.crt`,
    ]);
    const { volumes, containers } = operator(objects);
    const secretOf = (path: string): string => {
      const { name, readOnly, subPath } = containers[0].volumeMounts.find(({ mountPath }: { mountPath: string }) => mountPath === path);
      expect([readOnly, subPath]).toEqual([true, undefined]);
      return volumes.find((volume: { name: string }) => volume.name === name).secret.secretName;
    };
    expect(["ingest", "api", "metrics", "ingest-clients"].map((name) => secretOf(`${folder}/${name}`))).toEqual(["a", "b", "c", "clients"]);
  });

  it("shows in probes, Services and notes", async () => {
    const objects = await render({ tls: secrets });
    for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
      expect(operator(objects).containers[0][probe].httpGet.scheme).toBe("HTTPS");
    }
    const ports = objects.filter(({ kind }) => kind === "Service").map(({ spec }) => `${spec.ports[0].name} ${spec.ports[0].appProtocol}`);
    expect(ports.sort()).toEqual(["https https", "https https", "metrics https"]);
    const args = ["install", "pr", CHART, "--namespace", "hooks", "--dry-run=client", "--kubeconfig", "/dev/null"];
    expect(await helm(HELM, args, withImage({ tls: secrets }))).toContain(
      "--cacert ca.crt -X POST https://pr-postrider-ingest.hooks.svc:8080",
    );
  });

  it("can come from cert-manager, for the names that callers use", async () => {
    const issuerRef = { name: "internal", kind: "ClusterIssuer" };
    const certManager = { enabled: true, issuerRef, dnsNames: ["hooks.example.com"], duration: "720h", spec: { revisionHistoryLimit: 2 } };
    const objects = await render({ tls: { ingest: { certManager }, metrics: { certManager: { enabled: true, issuerRef } } } });
    const { spec } = one(objects, "Certificate", "pr-postrider-ingest-tls");
    expect(spec).toMatchObject({
      secretName: "pr-postrider-ingest-tls",
      issuerRef: { ...issuerRef, group: "cert-manager.io" },
      duration: "720h",
      revisionHistoryLimit: 2,
      privateKey: { rotationPolicy: "Always" },
    });
    const host = "pr-postrider-ingest";
    expect(spec.dnsNames).toEqual([host, `${host}.hooks`, `${host}.hooks.svc`, `${host}.hooks.svc.cluster.local`, "hooks.example.com"]);
    expect(
      operator(objects)
        .volumes.map(({ secret }: { secret?: { secretName: string } }) => secret?.secretName)
        .filter(Boolean),
    ).toEqual(["pr-postrider-ingest-tls", "pr-postrider-metrics-tls"]);
  });

  it.each([
    [{ ingest: { certManager: { enabled: true } } }, "tls.ingest.certManager.issuerRef.name is empty: name an Issuer of namespace hooks"],
    [{ ingest: { clientCA: { secretName: "x" } } }, "tls.ingest.clientCA.secretName is set, but the ingest speaks plain HTTP"],
  ])("refuses what would not be: %j", async (tls, message) => {
    await expect(render({ tls })).rejects.toThrow(message);
  });
});

describe("ways in from outside", () => {
  it("do not exist until they are asked for", async () => {
    expect((await render()).filter(({ kind }) => /^(Ingress|HTTPRoute)$/.test(kind))).toEqual([]);
  });

  it.each(["ingest", "api"])("an Ingress and an HTTPRoute lead to the %s", async (port) => {
    const tls = [{ secretName: "t", hosts: ["a.example.com"] }];
    const objects = await render({
      [port]: {
        service: { port: 9000 },
        ingress: { enabled: true, className: "nginx", hosts: ["a.example.com", "b.example.com"], tls, annotations: { note: "x" } },
        httpRoute: {
          enabled: true,
          parentRefs: [{ name: "public", namespace: "gateways" }],
          hostnames: ["a.example.com"],
          timeouts: { request: "60s" },
        },
      },
    });
    const ingress = one(objects, "Ingress", `pr-postrider-${port}`);
    expect(ingress.spec).toMatchObject({ ingressClassName: "nginx", tls });
    const backend = { service: { name: `pr-postrider-${port}`, port: { number: 9000 } } };
    expect(ingress.spec.rules).toEqual(
      ["a.example.com", "b.example.com"].map((host) => ({ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } })),
    );
    const route = one(objects, "HTTPRoute", `pr-postrider-${port}`);
    expect(route.spec).toMatchObject({ parentRefs: [{ name: "public", namespace: "gateways" }], hostnames: ["a.example.com"] });
    expect(route.spec.rules).toEqual([
      {
        matches: [{ path: { type: "PathPrefix", value: "/" } }],
        timeouts: { request: "60s" },
        backendRefs: [{ name: `pr-postrider-${port}`, port: 9000 }],
      },
    ]);
  });

  it("refuse a rule for every host, and a route that no Gateway serves", async () => {
    await expect(render({ api: { ingress: { enabled: true } } })).rejects.toThrow("api.ingress.hosts is empty: name the hosts");
    await expect(render({ api: { httpRoute: { enabled: true } } })).rejects.toThrow("api.httpRoute.parentRefs is empty: name the Gateway");
  });
});

describe("the NetworkPolicy", () => {
  const policy = async (networkPolicy: object, name = "pr-postrider") =>
    one(await render({ networkPolicy: { enabled: true, ...networkPolicy } }), "NetworkPolicy", name).spec;
  const closed = (spec: { egress: { to: { ipBlock: { except: string[] } }[] }[] }) =>
    spec.egress[0]?.to.flatMap(({ ipBlock }) => ipBlock.except) ?? [];

  it.each(["pr-postrider", "pr-postrider-uninstall"])("%s closes every metadata address that the code refuses", async (name) => {
    const all = ADDRESS_RULES.metadata.map(({ cidr }) => cidr);
    expect(all.length).toBeGreaterThanOrEqual(10);
    expect(new Set(closed(await policy({}, name)))).toEqual(new Set(all));
  });

  it("opens each port to those who are named", async () => {
    const peers = [{ namespaceSelector: {} }];
    const { ingress } = await policy({ ingestFrom: peers, extraIngress: [{ ports: [{ port: 15_020 }] }] });
    expect(ingress).toContainEqual({ ports: [{ port: "ingest", protocol: "TCP" }], from: peers });
    expect(ingress).toContainEqual({ ports: [{ port: "api", protocol: "TCP" }] });
    expect(ingress).toContainEqual({ ports: [{ port: 15_020 }] });
  });

  it("closes more, opens more, or only what is named", async () => {
    const except = ["10.0.0.0/8", "fd00::/8"];
    const blocks = (await policy({ egressExcept: except })).egress[0].to.map(({ ipBlock }: { ipBlock: object }) => ipBlock);
    expect(blocks[0].except).toContain("10.0.0.0/8");
    expect(blocks[1].except).toContain("fd00::/8");
    expect(blocks[0].except).not.toContain("fd00::/8");
    const rule = { to: [{ ipBlock: { cidr: "10.0.0.0/8" } }] };
    expect((await policy({ extraEgress: [rule] })).egress).toHaveLength(2);
    expect((await policy({ egressToAll: false, extraEgress: [rule] })).egress).toEqual([rule]);
    await expect(policy({ egressToAll: false })).rejects.toThrow(/could reach neither the API server, nor DNS, nor a receiver/);
  });

  it("lets nothing in to the uninstall Job, whose Pod it covers", async () => {
    const objects = await render({ networkPolicy: { enabled: true } });
    const { ingress, podSelector, policyTypes } = one(objects, "NetworkPolicy", "pr-postrider-uninstall").spec;
    expect([ingress, policyTypes]).toEqual([[], ["Ingress", "Egress"]]);
    expect(one(objects, "Job").spec.template.metadata.labels).toMatchObject(podSelector.matchLabels);
    expect(one(objects, "NetworkPolicy", "pr-postrider-uninstall").metadata.annotations).toBeUndefined();
  });
});
