import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { subscription } from "../../support/manifests.ts";

const [ONE, TWO] = ["fences-one", "fences-two"] as const;
const [BLUE, RED] = ["fences-blue", "fences-red"] as const;

interface Read {
  readonly metadata: { readonly resourceVersion: string };
  readonly status: {
    readonly namespaces?: number;
    readonly observedGeneration: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }[];
  };
}

describeOnControlPlane("cluster policies on a real API server", (controlPlane) => {
  let operators: readonly KubeconfigOperator[] = [];
  const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);
  const apply = (object: object): Promise<string> => controlPlane.kubectlOutput(["apply", "-f", "-"], { input: JSON.stringify(object) });

  /** For the namespaces of this file only: others run next to it. */
  function policy(name: string, spec: object, label = "fences"): object {
    const namespaceSelector = { matchLabels: { suite: label } };
    return {
      apiVersion: "postrider.dev/v1alpha1",
      kind: "ClusterDeliveryPolicy",
      metadata: { name },
      spec: { namespaceSelector, ...spec },
    };
  }

  async function read(name: string): Promise<Read> {
    return JSON.parse(await kubectl("get", "cdpol", name, "-o", "json")) as Read;
  }

  async function shows(name: string, expected: string): Promise<void> {
    await vi.waitFor(
      async () => {
        const { status } = await read(name);
        const found = status.conditions?.find(({ type }) => type === "Shadowed");
        expect(`${found?.status} ${status.namespaces}`).toBe(expected);
      },
      { timeout: 45_000, interval: 300 },
    );
  }

  /** One object's columns by their names; the cells of a table may be empty. */
  async function columns(...args: string[]): Promise<Record<string, string>> {
    const [header = "", row = ""] = (await kubectl("get", ...args)).split("\n");
    const heads = [...header.matchAll(/\S+/g)];
    return Object.fromEntries(heads.map(({ 0: name, index }, at) => [name, row.slice(index, heads[at + 1]?.index).trim()]));
  }

  beforeAll(async () => {
    for (const name of [ONE, TWO]) {
      await kubectl("create", "namespace", name);
      await kubectl("label", "namespace", name, "suite=fences", `which=${name}`);
    }
    operators = await Promise.all(
      [BLUE, RED].map((className) => KubeconfigOperator.start({ kubeconfig: controlPlane.kubeconfig, className })),
    );
  }, 60_000);
  afterAll(async () => {
    await kubectl(
      "delete",
      "cdpol",
      "fences-all",
      "fences-newer",
      "fences-of-blue",
      "fences-of-green",
      "fences-fresh",
      "--ignore-not-found",
    );
    await Promise.all(operators.map((operator) => operator.stop()));
  });

  it("the older one stays in force, and the newcomer with an earlier name says that it applies nowhere", async () => {
    await apply(policy("fences-newer", { egress: { allowedHosts: ["inside.example.org"] } }));
    await shows("fences-newer", "False 2");
    // Times are whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await apply(policy("fences-all", { limits: { timeout: "30s" } }));
    await shows("fences-all", "True 0");
    await shows("fences-newer", "False 2");
    const shown = await columns("cdpol", "fences-all");
    expect(shown).toMatchObject({ NAME: "fences-all", PRIORITY: "0", NAMESPACES: "0", ACCEPTED: "True", SHADOWED: "True" });
    expect((await columns("cdpol", "fences-all", "-o", "wide"))["SHADOWED-BY"]).toContain("fences-newer in 2");
    await kubectl("wait", "cdpol/fences-all", "--for=condition=Ready", "--timeout=10s");
    expect((await read("fences-all")).status.conditions?.find(({ type }) => type === "Stalled")?.status).toBe("False");
  });

  it("a subscription shows the cluster policy that fences it, and the values that apply", async () => {
    const more = [`className: ${BLUE}`, "suspend: true", "policyRef: {name: careful}"];
    await apply({
      apiVersion: "postrider.dev/v1alpha1",
      kind: "DeliveryPolicy",
      metadata: { name: "careful", namespace: ONE },
      spec: { maxInFlight: 3 },
    });
    await controlPlane.kubectlOutput(["apply", "-f", "-"], {
      input: subscription({
        name: "orders",
        namespace: ONE,
        types: ["a"],
        signing: "{scheme: None}",
        url: "https://inside.example.org/",
        more,
      }),
    });
    await kubectl("-n", ONE, "wait", "--for=condition=Ready", "whsub/orders", "--timeout=20s");
    const shown = await columns("whsub", "orders", "-n", ONE, "-o", "wide");
    expect(shown).toMatchObject({ READY: "True", SUSPENDED: "True", POLICY: "careful", "CLUSTER-POLICY": "fences-newer", HEALTH: "Idle" });
    const effective = JSON.parse(
      await kubectl("get", "whsub", "orders", "-n", ONE, "-o", "jsonpath={.status.effectivePolicy.values}"),
    ) as object;
    expect(effective).toEqual({
      timeout: "15s",
      connectTimeout: "5s",
      maxAttempts: 10,
      maxAge: "96h",
      maxInFlight: 3,
      retention: { history: "72h", bodies: "72h", responseBytes: 4_096 },
    });
  });

  it("subscriptions are selected by class, suspension and policy, and replays by their subscription", async () => {
    const named = async (kind: string, selector: string): Promise<string> =>
      (await kubectl("get", kind, "-n", ONE, "--field-selector", selector, "-o", "name")).trim();
    const found = "webhooksubscription.postrider.dev/orders";
    for (const [selector, expected] of [
      [`spec.className=${BLUE}`, found],
      [`spec.className!=${BLUE}`, ""],
      ["spec.suspend=true", found],
      ["spec.suspend=false", ""],
      [`spec.suspend=true,spec.className=${RED}`, ""],
      ["spec.policyRef.name=careful", found],
      ["spec.policyRef.name=", ""],
    ] as const)
      expect([selector, await named("whsub", selector)]).toEqual([selector, expected]);
    const spec = { subscriptionRef: { name: "orders" }, from: "DeadLetter" };
    await apply({ apiVersion: "postrider.dev/v1alpha1", kind: "DeliveryReplay", metadata: { name: "again", namespace: ONE }, spec });
    expect(await named("dreplay", "spec.subscriptionRef.name=orders")).toBe("deliveryreplay.postrider.dev/again");
    expect(await named("dreplay", "spec.subscriptionRef.name=other")).toBe("");
    const other = await controlPlane.kubectl(["get", "whsub", "-n", ONE, "--field-selector", "spec.deletionPolicy=Drain"]);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("field label not supported") as string });
    await kubectl("-n", ONE, "wait", "--for=condition=Stalled", "dreplay/again", "--timeout=20s");
  });

  it("a policy of one class is obeyed by that class, a policy of a class that does not run by none, and neither is written by others", async () => {
    await apply(policy("fences-of-green", { className: "fences-green", priority: 9 }));
    await apply(policy("fences-of-blue", { className: BLUE, priority: 5, egress: { allowedHosts: ["*.example.org"] } }));
    await shows("fences-of-blue", "False 2");
    await shows("fences-newer", "True 2");
    const { conditions = [] } = (await read("fences-newer")).status;
    expect(conditions.find(({ type }) => type === "Shadowed")?.message).toMatch(
      /fences-of-blue \(className fences-blue\) in 2, fences-of-green \(className fences-green\) in 2/,
    );
    expect((await read("fences-of-green")).status).toEqual({ observedGeneration: -1 });
    const managers = JSON.parse(await kubectl("get", "cdpol", "fences-of-blue", "-o", "json", "--show-managed-fields")) as {
      metadata: { managedFields: { manager: string; subresource?: string }[] };
    };
    expect(managers.metadata.managedFields.filter(({ subresource }) => subresource === "status").map(({ manager }) => manager)).toEqual([
      `postrider-${BLUE}-status`,
    ]);
    await vi.waitFor(
      async () =>
        expect(await kubectl("get", "whsub", "orders", "-n", ONE, "-o", "jsonpath={.status.effectivePolicy.cluster.name}")).toBe(
          "fences-of-blue",
        ),
      { timeout: 15_000, interval: 300 },
    );
  });

  it("what two installations share does not flap, however often namespaces change", async () => {
    await apply(policy("fences-fresh", { priority: -1 }));
    await shows("fences-fresh", "True 0");
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const before = (await read("fences-fresh")).metadata.resourceVersion;
    const writes = operators.map(({ writes: made }) => made.filter(({ object }) => object.endsWith("/fences-fresh")).length);
    for (let at = 0; at < 6; at++) {
      await kubectl("label", "namespace", TWO, `turn=${at}`, "--overwrite");
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    expect((await read("fences-fresh")).metadata.resourceVersion).toBe(before);
    expect(operators.map(({ writes: made }) => made.filter(({ object }) => object.endsWith("/fences-fresh")).length)).toEqual(writes);
    await kubectl("label", "namespace", TWO, "suite-");
    await shows("fences-of-blue", "False 1");
    // One change is one or two writes of each, not a contest.
    const after = operators.map(({ writes: made }) => made.filter(({ object }) => object.endsWith("/fences-fresh")).length);
    for (const [at, count] of after.entries()) expect(count - (writes[at] ?? 0)).toBeLessThanOrEqual(2);
  }, 90_000);
});
