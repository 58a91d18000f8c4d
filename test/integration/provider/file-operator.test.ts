import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "vitest";
import type { TestContext } from "vitest";
import { QUIET } from "../../support/controller/fake-deliveries.ts";
import { FileOperator } from "../../support/controller/file-operator.ts";
import { SPEC, subscriptionYaml } from "../../support/manifests.ts";

type Finished = TestContext["onTestFinished"];

async function start(onTestFinished: Finished, files: Readonly<Record<string, string>>): Promise<FileOperator> {
  const operator = await FileOperator.start(files);
  onTestFinished(() => operator.end());
  return operator;
}

async function restart(onTestFinished: Finished, operator: FileOperator): Promise<FileOperator> {
  const next = await operator.restart();
  onTestFinished(() => next.stop());
  return next;
}

const secret = (name: string, value: string, label = true): string => `apiVersion: v1
kind: Secret
metadata: {name: ${name}, namespace: shop${label ? ', labels: {postrider.dev/use: "true"}' : ""}}
stringData: {token: ${value}}
`;

const WITH_AUTH = `  events: {types: [order.paid]}
  endpoint: {url: "https://example.com/hooks", auth: {bearer: {secretRef: {name: api, key: token}}}}`;

describe.concurrent("subscriptions from files", () => {
  it("generates a signing key once, keeps it 0600, and the same key signs after a restart", async ({ expect, onTestFinished }) => {
    const first = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    await first.until(() => first.route("orders")?.subscription.target !== undefined);
    const key = first.route("orders")?.subscription.target?.keys[0]?.key.export().toString("base64");
    expect(key).toHaveLength(44);
    const mode = (await stat(join(first.directory, "secrets", "shop.orders-signing.json"))).mode & 0o777;
    expect(mode).toBe(0o600);
    await first.until(() => first.condition("orders", "Ready")?.status === "True");
    expect(first.status("orders")).toMatchObject({
      endpointHost: "example.com",
      signingSecretName: "orders-signing",
      observedGeneration: 1,
    });

    const second = await restart(onTestFinished, first);
    await second.until(() => second.route("orders")?.subscription.target !== undefined);
    expect(second.route("orders")?.subscription.target?.keys[0]?.key.export().toString("base64")).toBe(key);
  });

  it("says that files have nobody who makes a ServiceAccount's token", async ({ expect, onTestFinished }) => {
    const auth = "{serviceAccountToken: {serviceAccountName: till, audience: receiver.test}}";
    const spec = `  events: {types: [order.paid]}\n  endpoint: {url: "https://example.com/hooks", auth: ${auth}}\n  signing: {scheme: None}`;
    const operator = await FileOperator.start({ "orders.yaml": subscriptionYaml("orders", spec) });
    onTestFinished(() => operator.end());
    await operator.until(() => operator.condition("orders", "ResolvedRefs")?.status === "False");
    expect(operator.condition("orders", "ResolvedRefs")).toMatchObject({
      reason: "RefAccessDenied",
      message: expect.stringContaining("use auth.bearer or auth.oauth2ClientCredentials"),
    });
    expect(operator.route("orders")?.subscription.target).toBeUndefined();
  });

  it("says that a mistyped kind of ours is none, and leaves other groups' manifests alone", async ({ expect, onTestFinished }) => {
    const mistyped = subscriptionYaml("orders", SPEC).replace("kind: WebhookSubscription", "kind: WebhookSubscripton");
    const other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n";
    const operator = await start(onTestFinished, { "a.yaml": mistyped, "b.yaml": other });
    await operator.provider.rescan();
    expect(operator.provider.problems()).toMatchObject([{ file: "a.yaml", line: 2, field: "kind", reason: "NotSupported" }]);
  });

  it("says where a broken file is wrong and goes on with its last good state", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    expect(operator.route("orders")).toBeDefined();
    await operator.write("a.yaml", subscriptionYaml("orders", `${SPEC}\n  colour: red`));
    await operator.provider.rescan();
    expect(operator.provider.problems()).toMatchObject([{ file: "a.yaml", line: 9, field: "spec.colour", reason: "UnknownField" }]);
    expect(operator.route("orders")?.draining).toBe(false);
    await operator.write("a.yaml", subscriptionYaml("orders", SPEC.replace("order.paid", "order.sent")));
    await operator.until(() => operator.route("orders")?.subscription.spec.types[0] === "order.sent");
    expect(operator.provider.problems()).toEqual([]);
  });

  it.for<[string, (text: string) => string, RegExp]>([
    ["a misspelt field", (text) => text.replace("endpoint:", "endpont:"), /^a\.yaml:\d+: .*did you mean endpoint\?/],
    ["broken YAML", (text) => text.replace("spec:", "spec: ]"), /^its file is not read: a\.yaml:\d+: /],
    ["a misspelt kind", (text) => text.replace("WebhookSubscription", "WebhookSubscripton"), /did you mean WebhookSubscription\?/],
  ])("shows %s in the status, names the last good state, and heals", async ([, breaks, message], { expect, onTestFinished }) => {
    const good = subscriptionYaml("orders", SPEC);
    const operator = await start(onTestFinished, { "a.yaml": good, "b.yaml": subscriptionYaml("other", SPEC) });
    await operator.until(() => operator.condition("orders", "Ready")?.status === "True");
    await operator.write("a.yaml", breaks(good));
    await operator.until(() => operator.condition("orders", "Accepted")?.status === "False");
    const accepted = operator.condition("orders", "Accepted");
    expect(accepted?.message).toMatch(message);
    expect(accepted?.message).toContain("generation 1, the last accepted one, stays in force until this is fixed");
    for (const [type, status] of [
      ["Ready", "False"],
      ["Stalled", "True"],
      ["Programmed", "True"],
    ] as const)
      expect(operator.condition("orders", type)?.status).toBe(status);
    expect(operator.route("orders")?.subscription.target).toBeDefined();
    expect(operator.condition("other", "Accepted")?.status).toBe("True");
    expect(operator.provider.refusedNote()).toMatch(/^1 manifest is rejected, and the last good state stays in force: .*a\.yaml:\d+: /);
    await operator.write("a.yaml", good);
    await operator.until(() => operator.condition("orders", "Ready")?.status === "True");
    expect(operator.provider.refusedNote()).toBeUndefined();
  });

  it("shows in a whole object's status that it waits for another one of its file; one that has not changed does not wait", async ({
    expect,
    onTestFinished,
  }) => {
    const file = (orders: string, mail: string, rest = SPEC): string =>
      [subscriptionYaml("orders", orders), subscriptionYaml("mail", mail), subscriptionYaml("rest", rest)].join("---\n");
    const operator = await start(onTestFinished, { "a.yaml": file(SPEC, SPEC) });
    await operator.write("a.yaml", file(`${SPEC}\n  colour: red`, SPEC.replace("order.paid", "order.sent")));
    const accepted = (name: string): string | undefined => operator.condition(name, "Accepted")?.status;
    await operator.until(() => accepted("mail") === "False" && accepted("orders") === "False" && accepted("rest") === "True");
    expect(operator.condition("mail", "Accepted")?.message).toMatch(/^its file is not read: a\.yaml:\d+: .*colour/);
    expect(operator.condition("orders", "Accepted")?.message).toMatch(/^a\.yaml:\d+: .*colour/);
    expect(operator.route("mail")?.subscription.spec.types).toEqual(["order.paid"]);
  });

  it("shows a broken policy in its status", async ({ expect, onTestFinished }) => {
    const policy = (spec: string): string =>
      `apiVersion: postrider.dev/v1alpha1\nkind: DeliveryPolicy\nmetadata: {name: calm, namespace: shop}\nspec: ${spec}\n`;
    const operator = await start(onTestFinished, { "p.yaml": policy("{timeout: 5s}") });
    await operator.until(() => operator.condition("calm", "Accepted", "DeliveryPolicy")?.status === "True");
    await operator.write("p.yaml", policy("{timeout: 5 sec}"));
    await operator.until(() => operator.condition("calm", "Accepted", "DeliveryPolicy")?.status === "False");
    expect(operator.condition("calm", "Accepted", "DeliveryPolicy")?.message).toMatch(
      /must be a duration from 100ms to 5m.*stays in force until this is fixed/,
    );
    await operator.write("p.yaml", policy("{timeout: 6s}"));
    await operator.until(() => operator.condition("calm", "Accepted", "DeliveryPolicy")?.status === "True");
  });

  it("never loses an event by a typo: the last accepted spec goes on, over a restart too, and heals", async ({
    expect,
    onTestFinished,
  }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    await operator.write("a.yaml", subscriptionYaml("orders", SPEC.replace("}\n", ', filter: "event.!!"}\n')));
    await operator.until(() => operator.condition("orders", "Accepted")?.status === "False");
    expect(operator.condition("orders", "Accepted")).toMatchObject({ reason: "InvalidFilter" });
    expect(operator.condition("orders", "Accepted")?.message).toContain("not a CEL expression");
    expect(operator.route("orders")?.filter).toBeUndefined();

    const next = await restart(onTestFinished, operator);
    await next.until(() => next.condition("orders", "Accepted")?.status === "False");
    expect(next.route("orders")?.subscription.target?.url).toBe("https://example.com/hooks");
    await next.write("a.yaml", subscriptionYaml("orders", SPEC));
    await next.until(() => next.condition("orders", "Ready")?.status === "True");
  });

  it("does not match what was never accepted", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("inner", SPEC.replace("example.com", "127.0.0.1")) });
    await operator.until(() => operator.condition("inner", "Accepted") !== undefined);
    expect(operator.condition("inner", "Accepted")).toMatchObject({ status: "False", reason: "EgressDenied" });
    expect(operator.condition("inner", "Accepted")?.message).toContain("127.0.0.1");
    expect(operator.route("inner")).toBeUndefined();
    await operator.write(
      "policy.yaml",
      "apiVersion: postrider.dev/v1alpha1\nkind: ClusterDeliveryPolicy\nmetadata: {name: base}\nspec: {egress: {allowedCIDRs: [127.0.0.0/8]}}\n",
    );
    await operator.until(() => operator.condition("inner", "Ready")?.status === "True");
    expect(operator.status("inner")?.effectivePolicy).toMatchObject({
      kind: "ClusterDeliveryPolicy",
      name: "base",
      cluster: { name: "base" },
    });
  });

  it("lets deliveries wait while a Secret is missing, unlabelled or has another key, and heals", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", WITH_AUTH) });
    // The key is made first; until then it is what is waited for.
    await operator.until(() => operator.route("orders")?.subscription.blocked?.reason === "SecretNotFound");
    expect(operator.route("orders")?.subscription.target).toBeUndefined();
    await operator.write("s.yaml", secret("api", "one", false));
    await operator.until(() => operator.route("orders")?.subscription.blocked?.reason === "RefNotPermitted");
    expect(operator.route("orders")?.subscription.blocked?.message).toContain("kubectl label secret api postrider.dev/use=true -n shop");
    await operator.write("s.yaml", secret("api", "one"));
    await operator.until(() => operator.route("orders")?.subscription.target?.authorization === "Bearer one");
    await operator.write("s.yaml", secret("api", "two"));
    await operator.until(() => operator.route("orders")?.subscription.target?.authorization === "Bearer two");
  });

  it("never sends under another policy than the one named", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", `${SPEC}\n  policyRef: {name: careful}`) });
    expect(operator.route("orders")?.subscription.blocked?.reason).toBe("PolicyNotFound");
    await operator.write(
      "p.yaml",
      "apiVersion: postrider.dev/v1alpha1\nkind: DeliveryPolicy\nmetadata: {name: careful, namespace: shop}\nspec: {maxInFlight: 3}\n",
    );
    await operator.until(() => operator.route("orders")?.subscription.blocked === undefined);
    expect(operator.route("orders")?.subscription.policy.maxInFlight).toBe(3);
    await operator.until(() => operator.condition("careful", "Accepted", "DeliveryPolicy")?.status === "True");
  });

  it("drains a removed subscription: no new events, pending ones go on until they have ended", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    const uid = operator.route("orders")?.subscription.uid ?? "";
    operator.deliveries.pendings.set(uid, 2);
    await operator.remove("a.yaml");
    await operator.until(() => operator.route("orders")?.draining === true);
    expect(operator.deliveries.ended).toEqual([]);
    operator.deliveries.pendings.set(uid, 0);
    operator.deliveries.tell(uid, "counters");
    await operator.until(() => operator.route("orders") === undefined);
    expect(operator.deliveries.ended).toEqual([{ uid, how: "dead-letter" }]);
  });

  it("drains what was removed while nobody was running, unless what it needs is gone too", async ({ expect, onTestFinished }) => {
    const token = "  endpoint: {url: https://example.com/x, auth: {bearer: {secretRef: {name: gone, key: token}}}}";
    const secret =
      "apiVersion: v1\nkind: Secret\nmetadata: {name: gone, namespace: shop, labels: {postrider.dev/use: 'true'}}\nstringData: {token: abc}\n";
    const operator = await start(onTestFinished, {
      "a.yaml": subscriptionYaml("orders", SPEC),
      "b.yaml": `${subscriptionYaml("needy", `  events: {types: [b]}\n  signing: {scheme: None}\n${token}`)}\n---\n${secret}`,
    });
    await operator.until(
      () => operator.route("needy")?.subscription.target !== undefined && operator.route("orders")?.subscription.target !== undefined,
    );
    const [orders = "", needy = ""] = ["orders", "needy"].map((name) => operator.route(name)?.subscription.uid);
    await operator.stop();
    await operator.remove("a.yaml");
    await operator.remove("b.yaml");
    const next = new FileOperator(operator.directory, operator.stored);
    onTestFinished(() => next.stop());
    for (const uid of [orders, needy]) next.deliveries.pendings.set(uid, 2);
    next.run();
    await next.until(() => next.route("orders")?.subscription.target !== undefined && next.route("needy") === undefined);
    expect(next.route("orders")?.draining).toBe(true);
    expect(next.deliveries.ended).toEqual([{ uid: needy, how: "dead-letter" }]);
    next.deliveries.pendings.set(orders, 0);
    next.deliveries.tell(orders, "counters");
    await next.until(() => next.route("orders") === undefined);
  });

  it("ends what was listed at the start and is gone before its first look", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    const uid = operator.route("orders")?.subscription.uid ?? "";
    await operator.until(() => operator.stored.has(uid));
    await operator.stop();
    const next = new FileOperator(operator.directory, operator.stored);
    onTestFinished(() => next.stop());
    const get = next.provider.get.bind(next.provider);
    let looks = 0;
    // The first look is for what is missing in the listing.
    next.provider.get = (kind, namespace, name) => (kind === "WebhookSubscription" && looks++ > 0 ? undefined : get(kind, namespace, name));
    next.run();
    await expect.poll(() => next.deliveries.ended, { timeout: 8_000 }).toEqual([{ uid, how: "dead-letter" }]);
  });

  it("discards at once when the spec says so, and gives up draining a suspended one", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, {
      "a.yaml": subscriptionYaml("orders", `${SPEC}\n  deletionPolicy: Discard`),
      "b.yaml": subscriptionYaml("paused", `${SPEC}\n  suspend: true`),
    });
    const uids = ["orders", "paused"].map((name) => operator.route(name)?.subscription.uid ?? "");
    for (const uid of uids) operator.deliveries.pendings.set(uid, 5);
    await operator.remove("a.yaml");
    await operator.remove("b.yaml");
    await operator.until(() => operator.table.size === 0);
    expect(new Map(operator.deliveries.ended.map(({ uid, how }) => [uid, how]))).toEqual(
      new Map([
        [uids[0], "discard"],
        [uids[1], "dead-letter"],
      ]),
    );
  });

  it("obeys a resume annotation once, and shows suspensions", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    const uid = operator.route("orders")?.subscription.uid ?? "";
    operator.deliveries.healths.set(uid, {
      ...QUIET,
      suspension: { reason: "EndpointGone", message: "the receiver said 410", sinceMs: 1 },
    });
    operator.deliveries.tell(uid, "transition");
    await operator.until(() => operator.condition("orders", "Suspended")?.reason === "EndpointGone");
    expect(operator.condition("orders", "Ready")?.status).toBe("True");
    await operator.write("a.yaml", subscriptionYaml("orders", SPEC, '  annotations: {postrider.dev/resume: "1"}\n'));
    await operator.until(() => operator.status("orders")?.lastHandledResume === "1");
    expect(operator.deliveries.resumed).toEqual([uid]);
    const next = await restart(onTestFinished, operator);
    await next.until(() => next.condition("orders", "Ready") !== undefined);
    expect(next.deliveries.resumed).toEqual([]);
  });

  it("obeys a resume annotation that comes while the engine is still reading, once it has read", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, { "a.yaml": subscriptionYaml("orders", SPEC) });
    const uid = operator.route("orders")?.subscription.uid ?? "";
    operator.deliveries.ready = false;
    await operator.write("a.yaml", subscriptionYaml("orders", SPEC, '  annotations: {postrider.dev/resume: "1"}\n  labels: {seen: "1"}\n'));
    await operator.until(() => operator.provider.get("WebhookSubscription", "shop", "orders")?.metadata.labels?.["seen"] === "1");
    expect(operator.deliveries.resumed).toEqual([]);
    operator.deliveries.ready = true;
    await operator.until(() => operator.status("orders")?.lastHandledResume === "1");
    expect(operator.deliveries.resumed).toEqual([uid]);
  });

  it("ends what is owed to a subscription that nobody knows any more", async ({ expect, onTestFinished }) => {
    const directory = await FileOperator.prepare({ "a.yaml": subscriptionYaml("orders", SPEC) });
    const operator = new FileOperator(directory);
    onTestFinished(() => operator.end());
    operator.deliveries.ready = false;
    operator.deliveries.pendings.set("stranger", 2);
    operator.run();
    await operator.until(() => operator.controller.ready);
    const uid = operator.route("orders")?.subscription.uid ?? "";
    operator.deliveries.pendings.set(uid, 3);
    expect(operator.deliveries.ended).toEqual([]);
    operator.deliveries.ready = true;
    await expect.poll(() => operator.deliveries.ended, { timeout: 8_000 }).toEqual([{ uid: "stranger", how: "dead-letter" }]);
  });

  it("does not see subscriptions of another class, dotfiles, backups or other kinds", async ({ expect, onTestFinished }) => {
    const operator = await start(onTestFinished, {
      "a.yaml": subscriptionYaml("other", `${SPEC}\n  className: other`),
      ".hidden.yaml": subscriptionYaml("hidden", SPEC),
      "b.yaml~": subscriptionYaml("backup", SPEC),
      "deep/er/c.yaml": subscriptionYaml("deep", SPEC),
      "d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
    });
    expect([...operator.table.routes()].map(({ subscription }) => subscription.name)).toEqual(["deep"]);
    expect(operator.provider.problems()).toEqual([]);
  });
});
