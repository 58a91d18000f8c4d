import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { ClassLease, type ClassLeaseBounds } from "../../../src/kube/class-lease.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, installRights, type InstalledChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { until } from "../../support/until.ts";

const QUICK: Partial<ClassLeaseBounds> = { durationMs: 3_000, renewEveryMs: 500, retryEveryMs: 200 };
const LEASE = ["lease", "postrider-class-postrider", "--namespace", "kube-system"];

/** The binary under the rights of the chart. */
describeOnControlPlane("one installation per class", () => {
  let controlPlane: ControlPlane;
  let chart: InstalledChart;
  const running = new Set<OperatorProcess>();
  const folders: string[] = [];

  beforeAll(async () => {
    controlPlane = await ControlPlane.start();
    chart = await installChart(controlPlane);
    await controlPlane.kubectlOutput(["create", "namespace", "shop"]);
  });

  afterEach(async () => {
    for (const operator of running) await operator.signal("SIGKILL");
    running.clear();
    await controlPlane.kubectl(["delete", ...LEASE]);
  });

  afterAll(async () => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    await controlPlane?.stop();
  });

  const folder = (): string => {
    folders.push(mkdtempSync(join(tmpdir(), "postrider-class-")));
    return folders.at(-1) ?? "";
  };

  async function operator(installation: string, store = folder(), flags: readonly string[] = []): Promise<OperatorProcess> {
    const process = await OperatorProcess.start({
      kubeconfig: chart.operatorKubeconfig,
      store: `sqlite:${store}`,
      auth: ["--ingest-auth", "none", "--api-auth", "none"],
      flags: ["--installation", installation, "--drain-timeout", "1s", ...flags],
    });
    running.add(process);
    return process;
  }

  const readiness = async (operator: OperatorProcess, page = "readyz"): Promise<{ status: number; text: string }> => {
    const answer = await fetch(`${operator.ready.metrics}/${page}`);
    return { status: answer.status, text: await answer.text() };
  };
  const isReady = (operator: OperatorProcess) => until(async () => (await readiness(operator)).status === 200);
  const isInUse = (operator: OperatorProcess) => until(async () => (await readiness(operator)).text.includes("ClassInUse"));
  const publish = async (operator: OperatorProcess): Promise<number> => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ type: "a", data: {} });
    return (await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, { method: "POST", headers, body })).status;
  };
  const holder = async (): Promise<string> => controlPlane.kubectlOutput(["get", ...LEASE, "-o", "jsonpath={.spec.holderIdentity}"]);

  it("lets the second one serve nothing, and begin when the first has stopped", async () => {
    const first = await operator("hooks/first");
    await isReady(first);
    expect(await holder()).toBe("hooks/first");
    const second = await operator("hooks/second");
    await isInUse(second);
    const { status, text } = await readiness(second);
    expect(status).toBe(503);
    expect(text).toMatch(
      /^\[-\] class failed: ClassInUse: class postrider is served by installation hooks\/first \(Pod .+, since 20\d\d-/m,
    );
    expect((await readiness(second, "startupz")).status).toBe(200);
    expect((await readiness(second, "livez")).status).toBe(200);
    expect(await publish(second)).toBe(503);
    expect((await fetch(`${second.ready.api}/v1/namespaces/shop/subscriptions`)).status).toBe(503);
    expect(second.stderr()).toContain("ClassInUse");
    expect(await publish(first)).toBe(202);
    expect(await first.signal("SIGTERM")).toBe(0);
    running.delete(first);
    await isReady(second);
    expect(await holder()).toBe("hooks/second");
    expect(await publish(second)).toBe(202);
    expect(await second.signal("SIGTERM")).toBe(0);
    expect(await holder()).toBe("");
    running.delete(second);
  });

  it("lets a killed Pod's successor go on at once", async () => {
    const store = folder();
    const old = await operator("hooks/first", store);
    await isReady(old);
    await old.signal("SIGKILL");
    running.delete(old);
    expect(await holder()).toBe("hooks/first");
    const startedMs = performance.now();
    const next = await operator("hooks/first", store);
    await isReady(next);
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  });

  it("ends a process that has lost its class, which waits when it is started again", async () => {
    const store = folder();
    const first = await operator("hooks/first", store);
    await isReady(first);
    const other = JSON.stringify({ spec: { holderIdentity: "other/thief", renewTime: "2026-01-01T00:00:00.000000Z" } });
    await controlPlane.kubectlOutput(["patch", ...LEASE, "--type=merge", "--patch", other]);
    expect(await first.exited).toBe(69);
    running.delete(first);
    expect(first.stderr()).toContain("served by installation other/thief");
    const again = await operator("hooks/first", store);
    await isInUse(again);
    expect(await publish(again)).toBe(503);
    expect(await again.signal("SIGTERM")).toBe(0);
    running.delete(again);
  });

  it("lets two serve that watch other namespaces, under Roles, and refuses a third that watches one of theirs", async () => {
    const rights = await installRights(controlPlane, "scoped", { namespaces: ["shop"] });
    const start = async (name: string, namespace: string): Promise<OperatorProcess> => {
      const options = { kubeconfig: rights.operatorKubeconfig, store: `sqlite:${folder()}` };
      const process = await OperatorProcess.start({ ...options, flags: ["--installation", `hooks/${name}`, "--namespace", namespace] });
      running.add(process);
      return process;
    };
    const shop = await start("shop", "shop");
    await isReady(shop);
    const bank = await start("bank", "bank");
    await until(async () => (await holder()).split(",").length === 2);
    await isInUse(await start("thief", "shop"));
    await isInUse(await operator("hooks/all"));
    expect((await readiness(shop)).text).toContain("[+] class ok");
    expect((await readiness(bank)).text).toContain("[+] class ok");
  });

  it("says which permission is missing, and begins when it is given", async () => {
    await controlPlane.kubectlOutput(["create", "namespace", "elsewhere"]);
    const blind = await operator("hooks/blind", folder(), ["--class-lease-namespace", "elsewhere"]);
    await until(async () => (await readiness(blind)).text.includes("kubectl -n elsewhere create role postrider-class-postrider"));
    expect((await readiness(blind, "startupz")).status).toBe(200);
    const name = "postrider-class-postrider";
    const role = ["create", "role", name, "--verb=get,create,update", "--resource=leases.coordination.k8s.io", `--resource-name=${name}`];
    await controlPlane.kubectlOutput(["--namespace", "elsewhere", ...role]);
    await controlPlane.kubectlOutput([
      "--namespace",
      "elsewhere",
      "create",
      "rolebinding",
      name,
      `--role=${name}`,
      "--serviceaccount=hooks:pr-postrider",
    ]);
    await isReady(blind);
  });

  it("says that the namespace of the Lease does not exist", async () => {
    const lease = new ClassLease({
      transport: new KubeTransport(kubernetesCredentials(controlPlane.access.kubeconfig), new SystemClock()),
      clock: new SystemClock(),
      className: "nowhere",
      namespace: "does-not-exist",
      me: { installation: "hooks/one", pod: "one-0", process: "a", namespaces: [] },
      onStanding: () => undefined,
      bounds: QUICK,
    });
    const abort = new AbortController();
    const done = lease.run(abort.signal);
    await until(() => lease.standing.kind === "forbidden");
    expect(lease.standing.message).toContain('namespaces "does-not-exist" not found');
    abort.abort();
    await done;
  });

  it("is decided by the API server when ten begin at the same moment, and when no one renews", async () => {
    const abort = new AbortController();
    const held = new Map<string, string>();
    const leases = Array.from({ length: 10 }, (_, n) => {
      const clock = new SystemClock();
      return new ClassLease({
        transport: new KubeTransport(kubernetesCredentials(chart.operatorKubeconfig), clock),
        clock,
        className: "postrider",
        namespace: "kube-system",
        me: { installation: `hooks/i${n}`, pod: `p${n}`, process: `${n}`, namespaces: [] },
        onStanding: ({ kind }) => held.set(`hooks/i${n}`, kind),
        bounds: QUICK,
      });
    });
    const holders = (): string[] => [...held].filter(([, kind]) => kind === "held").map(([name]) => name);
    const done = Promise.all(leases.map((lease) => lease.run(abort.signal)));
    await until(() => held.size === 10 && [...held.values()].every((kind) => kind === "held" || kind === "in-use"));
    expect(holders()).toEqual([await holder()]);
    await controlPlane.kubectlOutput(["delete", ...LEASE]);
    await until(async () => (await controlPlane.kubectl(["get", ...LEASE])).code === 0);
    await until(async () => holders().length === 1 && holders()[0] === (await holder()));
    abort.abort();
    await done;
    expect(await holder()).toBe("");
  });
});
