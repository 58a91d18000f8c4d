import { afterAll, beforeAll, expect, it } from "vitest";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import type { InstalledChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import type { Subscription } from "../../../src/core/subscription.ts";

const NS = "shop";
/** "An edited Secret takes effect within 5 s without a restart." */
const FOLLOW_MS = 5_000;
const certificates = makeCertificates();
const USE = { "postrider.dev/use": "true" };

/** An API server of its own, because cluster policies reach every namespace. Under the rights of the chart's ServiceAccount. */
describeOnControlPlane(
  "what endpoints name on a cluster",
  () => {
    let controlPlane: ControlPlane;
    let chart: InstalledChart;
    let operator: KubeconfigOperator;

    beforeAll(async () => {
      controlPlane = await ControlPlane.start({});
      chart = await installChart(controlPlane);
      for (const namespace of [NS, "postrider-system"]) await kubectl("create", "namespace", namespace);
      operator = await KubeconfigOperator.start({ kubeconfig: chart.operatorKubeconfig, bindingHint: chart.bindingHint });
    });

    afterAll(async () => {
      await operator?.stop();
      await controlPlane?.stop();
    });

    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);
    const apply = (kind: string, name: string, rest: object): Promise<string> => {
      const own = ["Service", "ConfigMap", "Secret"].includes(kind) ? "v1" : "postrider.dev/v1alpha1";
      const { metadata = {}, ...body } = rest as { metadata?: object };
      const scope = kind === "ClusterDeliveryPolicy" ? {} : { namespace: NS };
      const manifest = { apiVersion: own, kind, metadata: { name, ...scope, ...metadata }, ...body };
      return controlPlane.kubectlOutput(["apply", "--filename", "-"], { input: JSON.stringify(manifest) });
    };
    const subscribe = (name: string, endpoint: object): Promise<string> =>
      apply("WebhookSubscription", name, { spec: { events: { types: ["a"] }, signing: { scheme: "None" }, endpoint } });
    const subscription = (name: string): Subscription | undefined => operator.route(NS, name)?.subscription;
    const waitsFor = (name: string, reason: string): Promise<void> => operator.until(() => subscription(name)?.blocked?.reason === reason);
    const inTime = async (holds: () => boolean): Promise<void> => {
      const fromMs = performance.now();
      await operator.until(holds);
      expect(performance.now() - fromMs).toBeLessThan(FOLLOW_MS);
    };
    const service = (name: string, spec: object): Promise<string> => apply("Service", name, { spec: { selector: { app: name }, ...spec } });

    it("shows the command that opens them, and finds the Service once it was given", async () => {
      await service("receiver", { ports: [{ port: 8_080 }] });
      await subscribe("closed", { serviceRef: { name: "receiver", port: 8_080, path: "/in" } });
      await waitsFor("closed", "RefAccessDenied");
      const command = /kubectl (-n shop create rolebinding .*)$/.exec(subscription("closed")?.blocked?.message ?? "")?.[1];
      expect(command).toBeDefined();
      await kubectl(...(command ?? "").split(" "));
      await operator.until(() => subscription("closed")?.target !== undefined, 60_000);
      const clusterIp = await kubectl("get", "service", "receiver", "--namespace", NS, "--output=jsonpath={.spec.clusterIP}");
      expect(subscription("closed")?.target).toMatchObject({
        url: "http://receiver.shop.svc:8080/in",
        dial: { address: clusterIp, port: 8_080 },
      });
      await operator.until(() => operator.object(NS, "closed")?.status?.endpointHost === "receiver.shop.svc:8080");
    });

    it("follows a Service that comes, changes and goes", async () => {
      await subscribe("moving", { serviceRef: { name: "moving", port: 80 } });
      await waitsFor("moving", "ServiceNotFound");
      await service("moving", { ports: [{ port: 81 }] });
      await inTime(() => subscription("moving")?.blocked?.reason === "ServicePortNotFound");
      await service("moving", { ports: [{ port: 80 }] });
      await inTime(() => subscription("moving")?.target?.dial?.port === 80);
      const before = subscription("moving")?.target?.dial?.address;
      await kubectl("delete", "service", "moving", "--namespace", NS);
      await inTime(() => subscription("moving")?.blocked?.reason === "ServiceNotFound");
      // Another one takes the old address, so that the new Service gets a new one.
      await service("squatter", { clusterIP: before, ports: [{ port: 80 }] });
      await service("moving", { ports: [{ port: 80 }] });
      await inTime(() => subscription("moving")?.target?.dial !== undefined);
      expect(subscription("moving")?.target?.dial?.address).not.toBe(before);
    });

    it("refuses ExternalName and headless Services", async () => {
      await service("outside", { type: "ExternalName", externalName: "metadata.google.internal", ports: [{ port: 80 }] });
      await service("headless", { clusterIP: "None", ports: [{ port: 80 }] });
      for (const name of ["outside", "headless"]) {
        await subscribe(name, { serviceRef: { name, port: 80 } });
        await waitsFor(name, "ServiceNotDiallable");
      }
      expect(subscription("outside")?.blocked?.message).toContain("ExternalName");
      expect(subscription("headless")?.blocked?.message).toContain("headless");
    });

    it("dials a Service only while it has a selector, and the events wait", async () => {
      await service("led", { selector: null, ports: [{ port: 80, targetPort: 10_255 }] });
      await subscribe("led", { serviceRef: { name: "led", port: 80 } });
      await waitsFor("led", "EgressDenied");
      expect(subscription("led")?.target).toBeUndefined();
      await operator.until(() => operator.condition(NS, "led", "ResolvedRefs")?.status === "False");
      expect(operator.condition(NS, "led", "ResolvedRefs")?.message).toContain("spec.selector");
      await kubectl("patch", "service", "led", "--namespace", NS, "--type=merge", "--patch", '{"spec":{"selector":{"app":"led"}}}');
      await inTime(() => subscription("led")?.target?.dial?.port === 80);
      await kubectl("patch", "service", "led", "--namespace", NS, "--type=merge", "--patch", '{"spec":{"selector":null}}');
      await inTime(() => subscription("led")?.blocked?.reason === "EgressDenied");
      expect(subscription("led")?.target).toBeUndefined();
    });

    it.skipIf(certificates === undefined)("rotates authorities in a ConfigMap and a client certificate in a Secret", async () => {
      const { ca, selfSigned, clients } = certificates!;
      const tls = { caRef: { kind: "ConfigMap", name: "authorities" }, clientCertSecretRef: { name: "client" }, minVersion: "TLS13" };
      await subscribe("mutual", { url: "https://example.com/", tls });
      await waitsFor("mutual", "ConfigMapNotFound");
      await apply("ConfigMap", "authorities", { data: { "ca.crt": "none" } });
      await inTime(() => subscription("mutual")?.blocked?.reason === "ConfigMapInvalid");
      await apply("ConfigMap", "authorities", { data: { "ca.crt": ca } });
      await inTime(() => subscription("mutual")?.blocked?.reason === "SecretNotFound");
      const client = (index: 0 | 1): Promise<string> => {
        const { cert, key } = clients[index];
        return apply("Secret", "client", {
          type: "kubernetes.io/tls",
          metadata: { labels: USE },
          stringData: { "tls.crt": cert, "tls.key": key },
        });
      };
      await client(0);
      await operator.until(() => subscription("mutual")?.target !== undefined, 10_000);
      expect(subscription("mutual")?.target?.tls).toMatchObject({ clientCert: { cert: clients[0].cert.trimEnd() }, minVersion: "TLSv1.3" });
      expect(subscription("mutual")?.target?.tls?.ca).toBe(ca.trimEnd());
      await client(1);
      await inTime(() => subscription("mutual")?.target?.tls?.clientCert?.cert === clients[1].cert.trimEnd());
      await apply("ConfigMap", "authorities", { data: { "ca.crt": selfSigned.cert } });
      await inTime(() => subscription("mutual")?.target?.tls?.ca === selfSigned.cert.trimEnd());
    });

    it("holds everything back until the proxy that the cluster policy names is known", async () => {
      await subscribe("outward", { url: "https://example.com/" });
      await operator.until(() => subscription("outward")?.target !== undefined);
      await apply("ClusterDeliveryPolicy", "way-out", {
        spec: { egress: { services: "None", proxySecretRef: { name: "proxy", key: "url" } } },
      });
      await operator.until(() => subscription("outward")?.blocked?.reason === "SecretAccessDenied");
      const command = /kubectl (-n postrider-system create rolebinding .*)$/.exec(subscription("outward")?.blocked?.message ?? "")?.[1];
      await kubectl(...(command ?? "").split(" "));
      await operator.until(() => subscription("outward")?.blocked?.reason === "SecretNotFound", 60_000);
      const metadata = { namespace: "postrider-system", labels: USE };
      await apply("Secret", "proxy", { metadata, stringData: { url: "http://u:p@proxy.internal:3128" } });
      await operator.until(() => subscription("outward")?.target?.proxy !== undefined, 10_000);
      expect(subscription("outward")?.target?.proxy).toEqual({ url: "http://proxy.internal:3128", authorization: "Basic dTpw" });
      await apply("Secret", "proxy", { metadata, stringData: { url: "https://other.internal" } });
      await inTime(() => subscription("outward")?.target?.proxy?.url === "https://other.internal");
      // `services: None` holds for what was accepted before it, too.
      await operator.until(() => subscription("closed")?.blocked?.reason === "EgressDenied");
      expect(operator.condition(NS, "closed", "Accepted")?.message ?? "").toContain("egress.services is None");
    });
  },
  ["helm"],
);
