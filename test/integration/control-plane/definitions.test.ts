import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { CRD_FOLDER } from "../../support/kube/global-setup.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

const EXAMPLES = join(import.meta.dirname, "../../../examples");
const NAMESPACE = "definitions";

interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly names: { readonly plural: string; readonly shortNames: readonly string[]; readonly kind: string } };
}

const definitions = readdirSync(CRD_FOLDER).map((file) => parse(readFileSync(join(CRD_FOLDER, file), "utf8")) as Definition);

const subscription = (name: string, rest: object = {}): string =>
  JSON.stringify({
    apiVersion: "postrider.dev/v1alpha1",
    kind: "WebhookSubscription",
    metadata: { name, namespace: NAMESPACE },
    spec: { events: { types: ["order.paid"] }, endpoint: { url: "https://example.com/hooks" } },
    ...rest,
  });

const STATUS = {
  observedGeneration: 1,
  endpointHost: "example.com",
  effectivePolicy: { kind: "DeliveryPolicy", name: "careful", generation: 1, cluster: { name: "fence", generation: 1 } },
  conditions: [
    { type: "Ready", status: "True", reason: "Programmed", message: "in the routing table", lastTransitionTime: "2026-01-01T00:00:00Z" },
    { type: "EndpointHealthy", status: "False", reason: "CircuitOpen", message: "20 failures", lastTransitionTime: "2026-01-01T00:00:00Z" },
    { type: "Suspended", status: "True", reason: "BySpec", message: "spec.suspend is true", lastTransitionTime: "2026-01-01T00:00:00Z" },
  ],
  delivery: { pending: 7, failed: 3, lastAttempt: { statusCode: 503 } },
};

describeOnControlPlane("custom resource definitions", (controlPlane) => {
  beforeAll(async () => {
    await controlPlane.kubectlOutput(["create", "namespace", NAMESPACE]);
  });

  it("are four", () => {
    expect(definitions.map((one) => one.spec.names.kind).sort()).toEqual([
      "ClusterDeliveryPolicy",
      "DeliveryPolicy",
      "DeliveryReplay",
      "WebhookSubscription",
    ]);
  });

  it.each(definitions.map((one) => [one.metadata.name]))("%s is established, structural and under its own names", async (name) => {
    const { status } = JSON.parse(await controlPlane.kubectlOutput(["get", "crd", name, "--output=json"])) as {
      status: { conditions: { type: string; status: string }[] };
    };
    const conditions = Object.fromEntries(status.conditions.map((one) => [one.type, one.status]));
    // NonStructuralSchema, Terminating and the like must not be there at all.
    expect(conditions).toEqual({ NamesAccepted: "True", Established: "True" });
  });

  it.each(definitions.flatMap(({ spec: { names } }) => names.shortNames.map((short) => [short, names.plural] as const)))(
    "%s is short for %s",
    async (short, plural) => {
      expect((await controlPlane.kubectlOutput(["explain", short])).toLowerCase()).toContain(
        `kind:       ${plural.replace(/(ie)?s$/, "")}`,
      );
      const listed = await controlPlane.kubectl(["get", short, "--namespace", NAMESPACE]);
      const warning = short === "dreplay" ? "Warning: DeliveryReplay has no effect .*\n" : "";
      expect(listed).toMatchObject({ code: 0, stderr: expect.stringMatching(new RegExp(`^${warning}No resources found`)) as string });
    },
  );

  it("are listed together as webhooks, but for the kind that has no effect, whose warning would come with every list", async () => {
    const listed = await controlPlane.kubectlOutput(["api-resources", "--categories=webhooks", "--no-headers", "--output=name"]);
    const served = definitions.filter((one) => one.spec.names.kind !== "DeliveryReplay");
    expect(listed.trim().split("\n").sort()).toEqual(served.map((one) => one.metadata.name).sort());
    const all = await controlPlane.kubectl(["get", "webhooks", "--namespace", NAMESPACE]);
    expect(all).toMatchObject({ code: 0, stderr: expect.not.stringContaining("Warning") as string });
  });

  it("warn the one who applies a DeliveryReplay", async () => {
    const spec = { subscriptionRef: { name: "orders" }, from: "DeadLetter" };
    const replay = {
      apiVersion: "postrider.dev/v1alpha1",
      kind: "DeliveryReplay",
      metadata: { name: "again", namespace: NAMESPACE },
      spec,
    };
    const applied = await controlPlane.kubectl(["apply", "--filename=-"], { input: JSON.stringify(replay) });
    expect(applied).toMatchObject({ code: 0, stderr: expect.stringContaining("Warning: DeliveryReplay has no effect") as string });
  });

  describe("explain themselves", () => {
    it.each([
      ["whsub.spec.endpoint", ["url", "urlSecretRef", "serviceRef", "headers"], /exactly one/i],
      ["whsub.spec.signing", ["scheme", "secretRefs"], /sign/i],
      ["whsub.status.delivery", ["pending", "lastAttempt"], /./],
      ["dpol.spec.retry", ["maxAttempts", "schedule", "backoff"], /is retried/],
      ["cdpol.spec.egress", ["allowedCIDRs", "deniedCIDRs", "allowPlainHTTP"], /./],
      ["dreplay.spec", ["subscriptionRef", "from", "window"], /./],
    ] as const)("%s", async (path, fields, words) => {
      const text = await controlPlane.kubectlOutput(["explain", path]);
      for (const field of fields) expect(text).toMatch(new RegExp(`^ {2}${field}\t<`, "m"));
      expect(/DESCRIPTION:\n([\s\S]*?)\n\n/.exec(text)?.[1]).toMatch(words);
      expect(text).not.toContain("<empty>");
    });

    it.each(definitions.flatMap(({ spec: { names } }) => [`${names.plural}.spec`, `${names.plural}.status`]))("%s", async (path) => {
      const text = await controlPlane.kubectlOutput(["explain", path]);
      expect(text).toContain("FIELDS:");
      expect(text).not.toMatch(/<empty>|<no description>/);
    });
  });

  it("show the columns as designed", async () => {
    await controlPlane.kubectlOutput(["create", "--filename=-"], { input: subscription("columns") });
    await controlPlane.kubectlOutput([
      "patch",
      "whsub/columns",
      "--namespace",
      NAMESPACE,
      "--subresource=status",
      "--type=merge",
      `--patch=${JSON.stringify({ status: STATUS })}`,
    ]);
    const get = async (...args: string[]): Promise<string[][]> => {
      const table = await controlPlane.kubectlOutput(["get", "whsub/columns", "--namespace", NAMESPACE, ...args]);
      return table
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s{2,}/));
    };
    const [header, row] = await get();
    expect(header).toEqual(["NAME", "READY", "HEALTHY", "SUSPENDED", "ENDPOINT", "PENDING", "LAST-STATUS", "LAST-SUCCESS", "AGE"]);
    expect(row?.slice(0, 7)).toEqual(["columns", "True", "False", "True", "example.com", "7", "503"]);
    const [wideHeader, wideRow] = await get("--output=wide");
    expect(wideHeader?.slice(-6)).toEqual(["POLICY", "CLUSTER-POLICY", "HEALTH", "FAILED", "REASON", "MESSAGE"]);
    expect(wideRow?.slice(-6)).toEqual(["careful", "fence", "CircuitOpen", "3", "Programmed", "in the routing table"]);
  });

  it("can be waited for by condition, which a status of an older generation does not meet", async () => {
    await controlPlane.kubectlOutput(["create", "--filename=-"], { input: subscription("awaited") });
    const stale = JSON.stringify({ status: { ...STATUS, observedGeneration: 0 } });
    await controlPlane.kubectlOutput([
      "patch",
      "whsub/awaited",
      "--namespace",
      NAMESPACE,
      "--subresource=status",
      "--type=merge",
      `--patch=${stale}`,
    ]);
    const early = await controlPlane.kubectl(["wait", "whsub/awaited", "--namespace", NAMESPACE, "--for=condition=Ready", "--timeout=1s"]);
    expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining("timed out") as string });
    const waiting = controlPlane.kubectlOutput([
      "wait",
      "whsub/awaited",
      "--namespace",
      NAMESPACE,
      "--for=condition=Ready",
      "--timeout=20s",
    ]);
    await controlPlane.kubectlOutput([
      "patch",
      "whsub/awaited",
      "--namespace",
      NAMESPACE,
      "--subresource=status",
      "--type=merge",
      `--patch=${JSON.stringify({ status: STATUS })}`,
    ]);
    expect(await waiting).toContain("condition met");
  });

  it("keep status and spec apart: a writer of one never changes the other", async () => {
    await controlPlane.kubectlOutput(["create", "--filename=-"], { input: subscription("apart", { status: STATUS }) });
    const object = async () =>
      JSON.parse(await controlPlane.kubectlOutput(["get", "whsub/apart", "--namespace", NAMESPACE, "--output=json"])) as {
        metadata: { generation: number };
        spec: { suspend?: boolean };
        status?: { endpointHost?: string };
      };
    // Only the default that tells `kubectl wait` and kstatus that nobody has looked yet.
    expect((await object()).status).toEqual({ observedGeneration: -1 });
    const patch = JSON.stringify({ spec: { suspend: true }, status: STATUS });
    await controlPlane.kubectlOutput([
      "patch",
      "whsub/apart",
      "--namespace",
      NAMESPACE,
      "--subresource=status",
      "--type=merge",
      `--patch=${patch}`,
    ]);
    const afterStatus = await object();
    expect(afterStatus.status?.endpointHost).toBe("example.com");
    expect(afterStatus.spec.suspend).not.toBe(true);
    expect(afterStatus.metadata.generation).toBe(1);
    const both = JSON.stringify({ spec: { suspend: true }, status: { endpointHost: "elsewhere" } });
    await controlPlane.kubectlOutput(["patch", "whsub/apart", "--namespace", NAMESPACE, "--type=merge", `--patch=${both}`]);
    const afterSpec = await object();
    expect(afterSpec).toMatchObject({ metadata: { generation: 2 }, spec: { suspend: true }, status: { endpointHost: "example.com" } });
  });

  it("obey RBAC per namespace: a team edits its own subscriptions and no status", async () => {
    await controlPlane.kubectlOutput([
      "create",
      "role",
      "team",
      "--namespace",
      NAMESPACE,
      "--verb=get,list,create,patch",
      "--resource=webhooksubscriptions.postrider.dev",
    ]);
    await controlPlane.kubectlOutput(["create", "rolebinding", "team", "--namespace", NAMESPACE, "--role=team", "--group=team-a"]);
    const can = (user: "alice" | "bob", ...what: string[]) =>
      controlPlane.kubectl(["auth", "can-i", ...what, "--namespace", NAMESPACE], { user });
    expect((await can("alice", "create", "webhooksubscriptions.postrider.dev")).stdout.trim()).toBe("yes");
    expect((await can("alice", "patch", "webhooksubscriptions.postrider.dev", "--subresource=status")).stdout.trim()).toBe("no");
    expect((await can("bob", "get", "webhooksubscriptions.postrider.dev")).stdout.trim()).toBe("no");
    const refused = await controlPlane.kubectl(["create", "--filename=-"], { input: subscription("stolen"), user: "bob" });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("Forbidden") as string });
  });
});

describeOnControlPlane("examples", (controlPlane) => {
  const folders = readdirSync(EXAMPLES, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

  it("exist", () => {
    expect(folders.length).toBeGreaterThan(0);
  });

  it.each(folders)("%s passes kubectl apply --dry-run=server", async (folder) => {
    const path = join(EXAMPLES, folder);
    const documents = readdirSync(path, { recursive: true, encoding: "utf8" })
      .filter((file) => /\.ya?ml$/.test(file))
      .flatMap((file) => readFileSync(join(path, file), "utf8").split(/^---$/m))
      .map((text) => parse(text) as { metadata?: { namespace?: string } } | null);
    // A dry run creates no namespace, so the ones the example lives in must be there.
    const namespaces = new Set(documents.flatMap((one) => one?.metadata?.namespace ?? []));
    for (const name of namespaces) await controlPlane.kubectl(["create", "namespace", name]);
    const applied = await controlPlane.kubectlOutput(["apply", "--dry-run=server", "--recursive", "--filename", path]);
    expect(applied).toContain("(server dry run)");
  });
});
