import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { one, renderChart, type Rendered } from "../../support/chart/rendered-chart.ts";
import { type Certificate, makeCertificates } from "../../support/delivery/certificates.ts";
import { binaries } from "../../support/kube/binaries.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, SYSTEM } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const VALUES = {
  tls: {
    ingest: { secretName: "ingest-pair", clientCA: { secretName: "producers" } },
    api: { secretName: "api-pair" },
    metrics: { secretName: "metrics-pair" },
  },
  serviceMonitor: { enabled: true },
};

interface Call {
  readonly ca?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

const made = makeCertificates();
if (made === undefined) throw new Error("these tests need the openssl command");
const { ca, chart: pair, clients } = made;

/** A Secret as the kubelet mounts it: files are links into `..data`, which is a link that is exchanged as a whole. */
class Mount {
  readonly folder: string;
  #version = 0;

  constructor(folder: string, { cert, key }: Certificate) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    this.exchange({ cert, key });
    for (const name of ["tls.crt", "tls.key", "ca.crt"]) symlinkSync(join("..data", name), join(folder, name));
  }

  exchange({ cert, key }: Certificate): void {
    const version = `..version-${this.#version++}`;
    mkdirSync(join(this.folder, version));
    for (const [name, content] of Object.entries({ "tls.crt": cert, "tls.key": key, "ca.crt": ca }))
      writeFileSync(join(this.folder, version, name), content);
    symlinkSync(version, join(this.folder, "..data_tmp"));
    renameSync(join(this.folder, "..data_tmp"), join(this.folder, "..data"));
  }
}

async function get(port: number, path: string, options: Call): Promise<{ readonly status: number; readonly text: string }> {
  const asked = request({ host: "127.0.0.1", port, path, agent: false, ...options }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, text: await text(answer) };
}

/** What the chart says and what the binary takes are one thing only if the binary is started with it. */
describeOnControlPlane(
  "the chart with tls",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "postrider-chart-tls-"));
    const mounts = new Map<string, Mount>();
    let controlPlane: ControlPlane;
    let objects: readonly Rendered[];
    let operator: OperatorProcess;
    let token: string;

    /** Where a path in the container is here. */
    const here = (path: string): string => join(folder, "root", path);
    const file = (name: string, content: string): string => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const portOf = (name: string): number => Number(new URL(operator.ready[name as "ingest" | "api" | "metrics"]).port);

    beforeAll(async () => {
      controlPlane = await ControlPlane.start();
      const { operatorKubeconfig } = await installChart(controlPlane);
      const { helm } = await binaries(["helm"]);
      objects = await renderChart(helm, VALUES, { namespace: SYSTEM });
      const { containers, volumes } = one(objects, "StatefulSet").spec.template.spec;
      const [{ args, volumeMounts }] = containers as [{ args: string[]; volumeMounts: { name: string; mountPath: string }[] }];
      for (const { name, mountPath } of volumeMounts) {
        const secret = (volumes as { name: string; secret?: { secretName: string } }[]).find((volume) => volume.name === name)?.secret;
        if (secret === undefined) mkdirSync(here(mountPath), { recursive: true });
        else mounts.set(secret.secretName, new Mount(here(mountPath), pair));
      }
      // Only what is the machine's differs: where the mounts are, which ports are free, and how the API server is found.
      const [command, ...flags] = args.map((arg) =>
        arg
          .replace(/^(--[a-z]+-listen)=.*$/, "$1=127.0.0.1:0")
          .replace(/^(--[a-z-]+-file=)(\/.*)$/, (_all, flag: string, path: string) => flag + here(path))
          .replace(/^(--store=sqlite:)(.*)$/, (_all, flag: string, path: string) => flag + here(path)),
      );
      expect(command).toBe("run");
      await controlPlane.kubectlOutput(["create", "namespace", "shop"]);
      await controlPlane.kubectlOutput(["create", "serviceaccount", "till", "--namespace", "shop"]);
      const role = ["--clusterrole=hooks:pr-postrider:publisher", "--serviceaccount=shop:till", "--namespace", "shop"];
      await controlPlane.kubectlOutput(["create", "rolebinding", "till-publishes", ...role]);
      token = await controlPlane.kubectlOutput(["create", "token", "till", "--namespace", "shop", "--audience", "postrider-ingest"]);
      operator = await OperatorProcess.run([...flags, `--kubeconfig=${operatorKubeconfig}`]);
    }, 120_000);
    afterAll(async () => {
      await operator?.kill();
      await controlPlane?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    it("mounts each Secret that it names, and no other", () => {
      expect([...mounts.keys()].sort()).toEqual(["api-pair", "ingest-pair", "metrics-pair", "producers"]);
    });

    it("starts the binary, and the kubelet's probes reach it", async () => {
      const [container] = one(objects, "StatefulSet").spec.template.spec.containers;
      for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
        const { path, port, scheme } = container[probe].httpGet;
        expect(scheme).toBe("HTTPS");
        // The kubelet checks no certificate.
        const status = async (): Promise<number> => (await get(portOf(port), path, { rejectUnauthorized: false })).status;
        await expect.poll(status, { timeout: 30_000, interval: 200 }).toBe(200);
      }
    });

    it("is published to over HTTPS with postrider publish --ca-file, and by nobody without a client certificate", async () => {
      const publish = async (...more: string[]): Promise<string> => {
        const to = ["--server", operator.ready.ingest, "--ca-file", file("ca.crt", ca), "--token", `@${file("token", token)}`];
        const child = spawn(process.execPath, ["src/main.ts", "publish", "-n", "shop", "--type", "order.paid", ...to, ...more], {
          cwd: ROOT,
        });
        const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
        return out + err;
      };
      const shown = ["--client-certificate-file", file("c.crt", clients[0].cert), "--client-key-file", file("c.key", clients[0].key)];
      expect(operator.ready.ingest).toMatch(/^https:/);
      expect(await publish(...shown)).toContain("stored");
      expect(await publish()).toContain("client_certificate_refused");
    });

    it("is scraped as its ServiceMonitor says, with the authority in the Secret that it names", async () => {
      const [endpoint] = one(objects, "ServiceMonitor").spec.endpoints;
      const { scheme, port, path, tlsConfig } = endpoint;
      expect([scheme, tlsConfig.ca.secret]).toEqual(["https", { name: "metrics-pair", key: "ca.crt" }]);
      const page = await get(portOf(port), path, { ca, servername: tlsConfig.serverName });
      expect([page.status, page.text.includes("postrider_build_info")]).toEqual([200, true]);
      await expect(get(portOf("api"), "/", { ca, servername: "another.hooks.svc" })).rejects.toThrow("altnames");
      const services = objects.filter(({ kind }) => kind === "Service").map(({ spec }) => String(spec.ports[0].appProtocol));
      expect(services).toEqual(["https", "https", "https"]);
    });

    it("serves what the kubelet exchanges in the Secret, without a restart", async () => {
      mounts.get("api-pair")?.exchange(made.selfSigned);
      const served = (): Promise<number> =>
        get(portOf("api"), "/", { ca: made.selfSigned.cert }).then(
          ({ status }) => status,
          () => 0,
        );
      await expect.poll(served, { timeout: 30_000, interval: 500 }).toBe(404);
    });
  },
  ["helm"],
);
