import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { Condition } from "../../../src/core/conditions.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { QUIET } from "../../support/controller/fake-deliveries.ts";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { subscription, type SubscriptionManifest } from "../../support/manifests.ts";

const NAMESPACE = "subscriptions";
const CLASS = "subscriptions-test";
const UNSIGNED = "{scheme: None}";

/** Signed with a generated key unless `said` says otherwise. */
function manifest(name: string, said: Partial<SubscriptionManifest> = {}, className = CLASS): string {
  const { more = [], url = "https://example.com/hooks", ...rest } = said;
  const spec = { name, namespace: NAMESPACE, types: ["order.paid"], signing: "{}", ...rest };
  return subscription({ ...spec, url, more: [`className: ${className}`, ...more] });
}

describeOnControlPlane("subscriptions on a real API server", (controlPlane) => {
  let operator: KubeconfigOperator;

  const apply = (text: string): Promise<string> => controlPlane.kubectlOutput(["apply", "-f", "-"], { input: text });
  const run = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(["-n", NAMESPACE, ...args]);
  const route = (name: string): ReturnType<KubeconfigOperator["route"]> => operator.route(NAMESPACE, name);

  const operatorOf = (className: string, clock = new SystemClock()): KubeconfigOperator =>
    new KubeconfigOperator({ kubeconfig: controlPlane.kubeconfig, className, bindingHint: "kubectl create rolebinding", clock });

  async function condition(name: string, type: string): Promise<Condition | undefined> {
    const { status } = JSON.parse(await run("get", "whsub", name, "-o", "json")) as { status?: { conditions?: Condition[] } };
    return status?.conditions?.find((one) => one.type === type);
  }

  async function shows(name: string, type: string, reason: string): Promise<Condition> {
    return vi.waitFor(
      async () => {
        const found = await condition(name, type);
        if (found?.reason !== reason) throw new Error(`${name}: ${type} is ${JSON.stringify(found)}, not ${reason}`);
        return found;
      },
      { timeout: 15_000, interval: 200 },
    );
  }

  beforeAll(async () => {
    await vi.waitUntil(async () => (await controlPlane.kubectl(["get", "whsub,dpol,cdpol,dreplay"])).code === 0, {
      timeout: 30_000,
      interval: 200,
    });
    await controlPlane.kubectl(["create", "namespace", NAMESPACE]);
    operator = operatorOf(CLASS).run();
    await operator.until(() => operator.controller.ready);
  });
  afterAll(() => operator.stop());

  it("become Ready, with a key that is labelled for them and owned by no one, and a finalizer", async () => {
    await apply(manifest("orders"));
    await operator.until(() => route("orders")?.subscription.target !== undefined);
    await run("wait", "--for=condition=Ready", "whsub/orders", "--timeout=15s");
    const secret = JSON.parse(await run("get", "secret", "orders-signing", "-o", "json")) as {
      metadata: { ownerReferences?: object[]; labels: object };
      data: { secret: string };
    };
    expect(secret.metadata.labels).toMatchObject({ "postrider.dev/use": "true", "postrider.dev/signing-for": "orders" });
    expect(secret.metadata.ownerReferences).toBeUndefined();
    expect(Buffer.from(secret.data.secret, "base64").toString()).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    await vi.waitUntil(async () =>
      (await run("get", "whsub", "orders", "-o", "jsonpath={.metadata.finalizers}")).includes("drain.postrider.dev/"),
    );
    expect(await run("get", "whsub", "orders")).toMatch(/orders\s+True\s+Unknown\s+False\s+example\.com/);
  });

  it("follow an edit within a second, and do not lose what was accepted to a wrong one", async () => {
    await apply(manifest("edited", { signing: UNSIGNED }));
    await operator.until(() => route("edited")?.subscription.target !== undefined);
    const edited = operator.until(() => route("edited")?.subscription.spec.suspend === true);
    await run("patch", "whsub", "edited", "--type=merge", "-p", '{"spec":{"suspend":true}}');
    const doneMs = performance.now();
    await edited;
    expect(performance.now() - doneMs).toBeLessThan(1_000);
    await shows("edited", "Suspended", "BySpec");
    await run("patch", "whsub", "edited", "--type=merge", "-p", '{"spec":{"suspend":false,"events":{"filter":"event.data.("}}}');
    expect((await shows("edited", "Accepted", "InvalidFilter")).message).toContain("stays in force");
    expect(route("edited")?.subscription.generation).toBe(2);
    await run("patch", "whsub", "edited", "--type=merge", "-p", '{"spec":{"events":{"filter":"event.data.size > 1"}}}');
    await operator.until(() => route("edited")?.filter !== undefined);
    await shows("edited", "Ready", "Ready");
    const { stdout } = await controlPlane.kubectl(["-n", NAMESPACE, "events", "--for", "webhooksubscription/edited"]);
    expect(stdout).toMatch(/Warning\s+InvalidFilter/);
  });

  it("say what is wrong with a Secret, a policy or an address, and heal by themselves", async () => {
    await apply(manifest("unnamed", { signing: "{secretRefs: [{name: keys, key: secret}]}", more: ["policyRef: {name: careful}"] }));
    await shows("unnamed", "ResolvedRefs", "PolicyNotFound");
    await apply(
      `apiVersion: postrider.dev/v1alpha1\nkind: DeliveryPolicy\nmetadata: {name: careful, namespace: ${NAMESPACE}}\nspec: {maxInFlight: 2}\n`,
    );
    await shows("unnamed", "ResolvedRefs", "SecretNotFound");
    await run("create", "secret", "generic", "keys", `--from-literal=secret=whsec_${Buffer.alloc(32, 1).toString("base64")}`);
    const refused = await shows("unnamed", "ResolvedRefs", "RefNotPermitted");
    const command = /`kubectl (label [^`]+)`/.exec(refused.message)?.[1];
    expect(command).toBe(`label secret keys postrider.dev/use=true -n ${NAMESPACE}`);
    await controlPlane.kubectlOutput((command ?? "").split(" "));
    await operator.until(() => route("unnamed")?.subscription.target !== undefined);
    await shows("unnamed", "Ready", "Ready");
    expect(route("unnamed")?.subscription.policy.maxInFlight).toBe(2);

    await apply(manifest("inner", { signing: UNSIGNED, url: "https://10.1.2.3/" }));
    await shows("inner", "Ready", "EgressDenied");
    await run("patch", "whsub", "inner", "--type=merge", "-p", '{"spec":{"endpoint":{"url":"https://example.com/"}}}');
    await operator.until(() => route("inner") !== undefined);
    await shows("inner", "Ready", "Ready");
  });

  it("obey a resume annotation once and echo it", async () => {
    await apply(manifest("gone", { signing: UNSIGNED }));
    await operator.until(() => route("gone") !== undefined);
    const uid = route("gone")?.subscription.uid ?? "";
    operator.deliveries.healths.set(uid, {
      ...QUIET,
      suspension: { reason: "EndpointGone", message: "the receiver answered 410", sinceMs: 1 },
    });
    operator.deliveries.tell(uid, "transition");
    await shows("gone", "Suspended", "EndpointGone");
    await run("annotate", "whsub", "gone", "postrider.dev/resume=now");
    await vi.waitUntil(async () => (await run("get", "whsub", "gone", "-o", "jsonpath={.status.lastHandledResume}")) === "now", {
      timeout: 10_000,
    });
    expect(operator.deliveries.resumed.filter((one) => one === uid)).toHaveLength(1);
  });

  it("drain before they go, and are gone at once with Discard", async () => {
    await apply(manifest("leaving", { signing: UNSIGNED }));
    await operator.until(() => route("leaving") !== undefined);
    const uid = route("leaving")?.subscription.uid ?? "";
    await vi.waitUntil(async () => (await run("get", "whsub", "leaving", "-o", "jsonpath={.metadata.finalizers}")).includes("drain"));
    operator.deliveries.pendings.set(uid, 3);
    await run("delete", "whsub", "leaving", "--wait=false");
    await operator.until(() => route("leaving")?.draining === true);
    await shows("leaving", "Programmed", "Draining");
    operator.deliveries.pendings.set(uid, 0);
    operator.deliveries.tell(uid, "counters");
    await run("wait", "--for=delete", "whsub/leaving", "--timeout=15s");
    await operator.until(() => route("leaving") === undefined);
    await vi.waitUntil(() => !operator.stored.has(uid));

    await apply(manifest("dropped", { signing: UNSIGNED, more: ["deletionPolicy: Discard"] }));
    await operator.until(() => route("dropped") !== undefined);
    const dropped = route("dropped")?.subscription.uid ?? "";
    operator.deliveries.pendings.set(dropped, 3);
    await run("delete", "whsub", "dropped", "--timeout=15s");
    await operator.until(() => route("dropped") === undefined);
    expect(operator.deliveries.ended).toContainEqual({ uid: dropped, how: "discard" });
  });

  it("drain for their five minutes also where our clock is an hour ahead of the API server's", async () => {
    class AheadClock extends SystemClock {
      override trueMs = (): number => Date.now() + 3_600_000;
      override shownMs = (atMs: number): number => atMs + 3_600_000;
    }
    const className = `${CLASS}-ahead`;
    const ahead = operatorOf(className, new AheadClock()).run();
    try {
      await ahead.until(() => ahead.controller.ready);
      await apply(manifest("unhurried", { signing: UNSIGNED }, className));
      await ahead.until(() => ahead.route(NAMESPACE, "unhurried") !== undefined);
      const uid = ahead.route(NAMESPACE, "unhurried")?.subscription.uid ?? "";
      await vi.waitUntil(async () => (await run("get", "whsub", "unhurried", "-o", "jsonpath={.metadata.finalizers}")).includes("drain"));
      ahead.deliveries.pendings.set(uid, 3);
      await run("delete", "whsub", "unhurried", "--wait=false");
      await shows("unhurried", "Programmed", "Draining");
      // Looked at every second: it must not have been ended by then.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      expect(ahead.deliveries.ended).toEqual([]);
      ahead.deliveries.pendings.set(uid, 0);
      ahead.deliveries.tell(uid, "counters");
      await run("wait", "--for=delete", "whsub/unhurried", "--timeout=15s");
    } finally {
      await ahead.stop();
    }
  });

  it("accept one default policy of several", async () => {
    for (const name of ["a-default", "b-default"]) {
      await apply(
        `apiVersion: postrider.dev/v1alpha1\nkind: DeliveryPolicy\nmetadata: {name: ${name}, namespace: ${NAMESPACE}, labels: {postrider.dev/default: "true"}}\nspec: {}\n`,
      );
    }
    await run("wait", "--for=condition=Accepted", "dpol/a-default", "--timeout=15s");
    await run("wait", "--for=jsonpath={.status.conditions[0].reason}=Conflicted", "dpol/b-default", "--timeout=15s");
    const reasons = await run("get", "dpol", "a-default", "b-default", "-o", "jsonpath={.items[*].status.conditions[0].reason}");
    expect(reasons).toBe("Accepted Conflicted");
    await run("delete", "dpol", "a-default", "b-default");
  });
});
