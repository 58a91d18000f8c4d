import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { EXAMPLES } from "../../support/systems/running-example.ts";

/** Each system's subscriptions; where Secrets are named the chart's default wants them opened to the operator. */
const SYSTEMS = [
  { name: "pipe", subscriptions: ["json", "form", "storage"], secrets: false },
  { name: "perculus", subscriptions: ["session-report", "single-video", "session-status"], secrets: true },
  { name: "aioz-stream", subscriptions: ["signed", "token"], secrets: true },
  { name: "pipeforce", subscriptions: ["pipeline"], secrets: false },
] as const;

/** An API server of its own, for cluster policies reach every namespace. Under the rights of the chart's ServiceAccount. */
describeOnControlPlane("the four systems on a cluster", () => {
  let controlPlane: ControlPlane;
  let operator: KubeconfigOperator;

  beforeAll(async () => {
    controlPlane = await ControlPlane.start();
    const { operatorKubeconfig, bindingHint } = await installChart(controlPlane);
    operator = await KubeconfigOperator.start({ kubeconfig: operatorKubeconfig, bindingHint });
  });
  afterAll(async () => {
    await operator?.stop();
    await controlPlane?.stop();
  });

  it.each(SYSTEMS)("$name is applied by kubectl as it is, and its subscriptions are Ready", async ({ name, subscriptions, secrets }) => {
    const applied = await controlPlane.kubectlOutput(["apply", "--filename", join(EXAMPLES, name)]);
    expect(applied.split("\n").filter((line) => /^webhooksubscription\S+ created$/.test(line))).toHaveLength(subscriptions.length);
    for (const one of subscriptions) {
      if (!secrets) continue;
      await operator.until(() => operator.condition(name, one, "ResolvedRefs")?.reason === "SecretAccessDenied");
    }
    if (secrets) {
      // As their README says; the command is the one that the condition shows.
      const { message = "" } = operator.condition(name, subscriptions[0], "ResolvedRefs") ?? {};
      const command = /kubectl (-n \S+ create rolebinding .*)$/.exec(message)?.[1] ?? "";
      await controlPlane.kubectlOutput(command.split(" "));
    }
    const wait = subscriptions.map((one) => `whsub/${one}`);
    const ready = await controlPlane.kubectlOutput(["wait", "--for=condition=Ready", "--timeout=30s", "--namespace", name, ...wait]);
    expect(ready.trim().split("\n")).toHaveLength(subscriptions.length);
    for (const one of subscriptions) expect(operator.condition(name, one, "Accepted")?.status).toBe("True");
  });

  it("clamps nothing, and selects Pipe's cluster policy for Pipe alone", () => {
    for (const { name, subscriptions } of SYSTEMS) {
      for (const one of subscriptions) {
        const policy = operator.object(name, one)?.status?.effectivePolicy;
        expect(policy?.clamped ?? []).toEqual([]);
        expect(policy?.cluster?.name).toBe(name === "pipe" ? "pipe" : undefined);
      }
    }
  });
});
