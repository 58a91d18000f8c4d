import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { FileOperator } from "../../support/controller/file-operator.ts";
import { SPEC, subscriptionYaml } from "../../support/manifests.ts";

const ORDERS = subscriptionYaml("orders", SPEC);
const BILLS = subscriptionYaml("bills", SPEC);
/** Cut off in the middle, as a copy that is under way leaves it. */
const HALF = ORDERS.slice(0, ORDERS.indexOf("endpoint") + 14);
const FENCE = `apiVersion: postrider.dev/v1alpha1
kind: ClusterDeliveryPolicy
metadata: {name: fence}
spec: {egress: {allowedHosts: [example.com]}}
`;

/** A first life with these files; then they are changed while nobody runs, and a second one begins. */
async function secondLife(
  files: Readonly<Record<string, string>>,
  change: (operator: FileOperator) => Promise<void>,
): Promise<FileOperator> {
  const first = await FileOperator.start(files);
  onTestFinished(() => first.end());
  await first.until(() => first.condition("orders", "Ready")?.status === "True");
  await first.stop();
  await change(first);
  const next = new FileOperator(first.directory, first.stored);
  next.run();
  onTestFinished(() => next.stop());
  await next.until(() => next.controller.ready && next.route("orders") !== undefined);
  return next;
}

const generations = (operator: FileOperator): string[] => [...operator.stored.values()].map(({ name }) => name).toSorted();

describe("a folder that can be read by half at the start", () => {
  it("lets nothing go that may stand in a half-written file, and judges what is whole", async () => {
    const operator = await secondLife({ "a.yaml": ORDERS, "b.yaml": BILLS }, async (first) => {
      await first.write("a.yaml", HALF);
    });
    await operator.until(() => operator.condition("bills", "Ready")?.status === "True");
    await operator.provider.rescan();
    expect(operator.route("orders")).toMatchObject({ draining: false, subscription: { blocked: { reason: "Starting" } } });
    expect(operator.deliveries.ended).toEqual([]);
    expect(generations(operator)).toEqual(["bills", "orders"]);
    await operator.write("a.yaml", ORDERS);
    await operator.provider.rescan();
    await operator.until(() => operator.condition("orders", "Ready")?.status === "True");
    expect(operator.route("orders")?.subscription.blocked).toBeUndefined();
  });

  it("lets go what does not stand there once the half-written file is whole or gone", async () => {
    const operator = await secondLife({ "a.yaml": ORDERS, "b.yaml": BILLS }, async (first) => {
      await first.write("a.yaml", HALF);
    });
    await operator.remove("a.yaml");
    await operator.provider.rescan();
    await operator.until(() => operator.route("orders") === undefined);
    expect(operator.deliveries.ended).toMatchObject([{ how: "dead-letter" }]);
  });

  it.each([
    ["half-written", async (first: FileOperator) => first.write("fence.yaml", FENCE.slice(0, -3))],
    ["wrong", async (first: FileOperator) => first.write("fence.yaml", FENCE.replace("allowedHosts", "allowedHost"))],
    [
      "unreadable",
      async (first: FileOperator) => {
        await first.remove("fence.yaml");
        // What root may not look at either: a link in a circle.
        await symlink("fence.yaml", join(first.directory, "manifests", "fence.yaml"));
      },
    ],
    [
      "in a folder that is unreadable",
      async (first: FileOperator) => {
        await first.remove("fence.yaml");
        await symlink("team", join(first.directory, "manifests", "team"));
      },
    ],
  ] as const)("judges nobody while a file that may hold policies is %s, and names it", async (_how, spoil) => {
    const operator = await secondLife({ "a.yaml": ORDERS, "b.yaml": BILLS, "fence.yaml": FENCE }, async (first) => {
      await spoil(first);
      // Inside the built-in rules, outside the fence.
      await first.write("a.yaml", ORDERS.replace("example.com", "example.net"));
    });
    await operator.provider.rescan();
    await operator.provider.rescan();
    expect([operator.status("orders"), operator.status("bills")]).toEqual([undefined, undefined]);
    expect(operator.route("orders")?.subscription).toMatchObject({
      blocked: { reason: "Starting" },
      egress: { allowedHosts: ["example.com"] },
    });
    expect(operator.controller.missing()).toMatch(
      /^manifest file \S+\/manifests\/(fence\.yaml|team): .+; it may contain policies, so no subscription is checked until it is valid: fix or remove it$/,
    );
    // At no moment is all valid and the fence away: the folder is watched, and that would be a fence that somebody took down.
    const manifests = join(operator.directory, "manifests");
    await writeFile(join(manifests, "fence.new"), FENCE);
    await rename(join(manifests, "fence.new"), join(manifests, "fence.yaml"));
    await rm(join(manifests, "team"), { force: true });
    await mkdir(join(manifests, "team"));
    await operator.provider.rescan();
    await operator.until(() => operator.condition("orders", "Accepted")?.reason === "EgressDenied");
    expect(operator.route("orders")?.subscription.target?.url).toBe("https://example.com/hooks");
    expect(operator.controller.missing()).toBeUndefined();
  });
});
