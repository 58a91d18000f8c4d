import { beforeEach, describe, expect, it } from "vitest";
import type { SecretObject } from "../../../src/controller/objects.ts";
import { drainFinalizer } from "../../../src/core/drain-finalizer.ts";
import { SIGNING_FOR_LABEL, USE_LABEL } from "../../../src/controller/objects.ts";
import { signingForLabel, signingSecretName } from "../../../src/controller/subscription/signing-secret.ts";
import { Disk, Life, subscription, INSIDE } from "../../support/controller/controller-life.ts";
import { ControlledManifests, namespace } from "../../support/sim/controller-world.ts";

const KEY = `whsec_${Buffer.alloc(32, 3).toString("base64")}`;
const OTHER_KEY = `whsec_${Buffer.alloc(32, 4).toString("base64")}`;
const REFUSED = { kind: "failed", message: 'secrets "orders-signing" is forbidden', refused: true } as const;

interface Made {
  readonly labels?: Record<string, string>;
  readonly value?: string;
  readonly controllerUid?: string;
  readonly ownerName?: string;
  readonly uid?: string;
  readonly name?: string;
}

function secret({
  labels = {},
  value = KEY,
  controllerUid,
  ownerName,
  uid = "uid-secret",
  name = "orders-signing",
}: Made = {}): SecretObject {
  const metadata = { name, namespace: "shop", uid, labels: { [USE_LABEL]: "true", ...labels } };
  return { kind: "Secret", metadata, type: "Opaque", data: { secret: Buffer.from(value) }, controllerUid, ownerName };
}

const OURS = { [SIGNING_FOR_LABEL]: "orders" };
/** As version 0.1 wrote it. */
const OLD = { labels: { "app.kubernetes.io/managed-by": "postrider" }, controllerUid: "uid-old", ownerName: "orders" };

let cluster: ControlledManifests;
let disk: Disk;
let life: Life;

beforeEach(async () => {
  cluster = new ControlledManifests();
  cluster.apply(namespace("shop"));
  for (const list of cluster.lists()) cluster.arrive(...list);
  disk = await new Disk().open();
  life = await new Life(disk, cluster).begin();
});

const signed = (change: Parameters<typeof subscription>[2] = {}) =>
  subscription("orders", INSIDE, { signing: { scheme: "StandardWebhooks" }, ...change });
const target = (): string | undefined =>
  life
    .route("orders")
    ?.subscription.target?.keys.map(({ key }) => key.export().toString("base64"))
    .join();
const base64 = (key: string): string => key.slice("whsec_".length);
const told = (reason: string): string[] => cluster.events.filter(({ note }) => note.reason === reason).map(({ note }) => note.message);
const stored = (): SecretObject | undefined => cluster.get("Secret", "shop", "orders-signing");
const status = (): Record<string, unknown> =>
  (cluster.statuses.findLast(({ object }) => object === "WebhookSubscription/shop/orders")?.status ?? {}) as Record<string, unknown>;
const condition = (type: string) =>
  (status()["conditions"] as { type: string; reason: string; message: string }[]).find((one) => one.type === type);

/** Deletes it, as the API server does: the finalizer holds it. */
function deleting(change: Parameters<typeof subscription>[2] = {}): void {
  const deletionTimestamp = new Date(disk.clock.trueMs()).toISOString();
  cluster.apply(signed({ deletionTimestamp, finalizers: [drainFinalizer("postrider")], generation: 2, ...change }));
}

describe("the label", () => {
  it("says the name where it fits, else what fits of it and a hash; no two long names share one", () => {
    expect(signingForLabel("orders")).toBe("orders");
    expect(signingForLabel("a".repeat(63))).toBe("a".repeat(63));
    const [one, two] = [signingForLabel(`${"a".repeat(80)}b`), signingForLabel(`${"a".repeat(80)}c`)];
    expect(one).not.toBe(two);
    for (const label of [one, two, signingForLabel(`${"a".repeat(45)}.-${"b".repeat(60)}`)]) {
      expect(label).toMatch(/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])$/);
    }
    expect(signingSecretName(`${"a".repeat(80)}b`)).not.toBe(signingSecretName(`${"a".repeat(80)}c`));
  });
});

describe("a generated key", () => {
  it("is announced with its fingerprint, which status shows too, and never with its value", async () => {
    cluster.apply(signed());
    await life.pass();
    const value = stored()?.data["secret"]?.toString() ?? "";
    const [key] = status()["signingKeys"] as { fingerprint: string; secretName: string }[];
    expect(key).toEqual({ secretName: "orders-signing", fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) as string });
    expect(told("SigningKeyGenerated")).toEqual([expect.stringContaining(`fingerprint ${key?.fingerprint}`)]);
    expect(stored()?.metadata.labels?.[SIGNING_FOR_LABEL]).toBe("orders");
    expect(JSON.stringify([cluster.events, cluster.statuses])).not.toContain(base64(value));
  });

  it("is used again by a subscription of the same name: restored, replaced, created by GitOps", async () => {
    cluster.apply(signed());
    await life.pass();
    const before = target();
    // `kubectl replace --force`: the object is gone and there again under another uid.
    cluster.remove({ kind: "WebhookSubscription", namespace: "shop", name: "orders" });
    await life.pass();
    expect(stored()).toBeDefined();
    cluster.apply(signed({ uid: "uid-new" }));
    await life.pass();
    expect(target()).toBe(before);
    expect(cluster.signingSecrets).toEqual(["shop/orders-signing"]);
    expect(told("SigningKeyGenerated")).toHaveLength(1);
    expect(told("SigningKeyAdopted")).toEqual([expect.stringMatching(/orders-signing \(fingerprint [0-9a-f]{16}\)/)]);
    // Looked at again, it is not told again.
    cluster.apply(signed({ uid: "uid-new", generation: 2 }));
    await life.pass();
    expect(told("SigningKeyAdopted")).toHaveLength(1);
  });

  it.each<[string, Made]>([
    ["of a live subscription", { ...OLD, controllerUid: "uid-shop-orders" }],
    ["restored from a backup, whose owner's uid is dead", OLD],
    ["restored with an owner that has our label already", { ...OLD, labels: OURS }],
  ])("of version 0.1 is adopted without a change of the key: %s", async (_, made) => {
    cluster.apply(secret(made));
    cluster.apply(signed());
    await life.pass();
    expect(target()).toBe(base64(KEY));
    expect(stored()).toMatchObject({ ownerName: undefined, metadata: { labels: { [SIGNING_FOR_LABEL]: "orders" } } });
    expect(cluster.signingSecrets).toEqual([]);
    expect(life.accepted("orders")).toBe("Accepted");
  });

  it("that may not be adopted signs all the same; an Event says once what to run", async () => {
    cluster.secretWrites = REFUSED;
    cluster.apply(secret(OLD));
    cluster.apply(signed());
    await life.pass();
    cluster.apply(signed({ generation: 2 }));
    await life.pass();
    expect(target()).toBe(base64(KEY));
    expect(told("SecretNotAdopted")).toEqual([
      expect.stringContaining(
        `kubectl patch secret orders-signing -n shop --type merge -p '{"metadata":{"labels":{"postrider.dev/signing-for":"orders"},"ownerReferences":null}}'`,
      ),
    ]);
  });

  it.each([{ kind: "conflict" }, { kind: "failed", message: "the API server does not respond" }] as const)(
    "is adopted as soon as that works: $kind",
    async (answer) => {
      cluster.secretWrites = answer;
      cluster.apply(secret(OLD));
      cluster.apply(signed());
      await life.pass();
      expect(stored()?.ownerName).toBe("orders");
      cluster.secretWrites = undefined;
      await life.pass();
      await life.pass();
      expect(stored()?.ownerName).toBeUndefined();
      expect(told("SecretNotAdopted")).toEqual([]);
    },
  );

  it.each<[string, Record<string, string>]>([
    ["without our label", {}],
    ["with the label of another subscription", { [SIGNING_FOR_LABEL]: "billing" }],
  ])("is never taken from a Secret %s; the command that allows it works", async (_, labels) => {
    cluster.apply(secret({ labels }));
    cluster.apply(signed());
    await life.pass();
    expect(life.route("orders")?.subscription.blocked?.reason).toBe("SecretConflict");
    const { message = "" } = condition("ResolvedRefs") ?? {};
    expect(message).toContain(
      "kubectl label secret orders-signing postrider.dev/use=true postrider.dev/signing-for=orders --overwrite -n shop",
    );
    cluster.apply(secret({ labels: OURS }));
    await life.pass();
    expect(target()).toBe(base64(KEY));
  });

  it.each<[string, Record<string, string>]>([
    [USE_LABEL, { [USE_LABEL]: "", ...OURS }],
    [SIGNING_FOR_LABEL, {}],
  ])("whose label %s is taken away by hand signs nothing until it is back; the condition names that label", async (label, labels) => {
    cluster.apply(secret({ labels: OURS }));
    cluster.apply(signed());
    await life.pass();
    cluster.apply(secret({ labels }));
    await life.pass();
    expect(life.route("orders")?.subscription.blocked?.reason).toBe("SecretConflict");
    const { message = "" } = condition("ResolvedRefs") ?? {};
    expect(message).toContain(`(it lacks the label ${label}`);
    expect(message).toContain(
      "kubectl label secret orders-signing postrider.dev/use=true postrider.dev/signing-for=orders --overwrite -n shop",
    );
    expect(cluster.signingSecrets).toEqual([]);
    cluster.apply(secret({ labels: OURS }));
    await life.pass();
    expect([target(), life.route("orders")?.subscription.blocked]).toEqual([base64(KEY), undefined]);
    expect(told("SigningKeyChanged")).toEqual([]);
  });

  it("of another scheme says what to do, and a new one is generated where it never signed", async () => {
    cluster.apply(secret({ labels: OURS }));
    const ed25519 = { signing: { scheme: "StandardWebhooksEd25519" } };
    cluster.apply(signed(ed25519));
    await life.pass();
    expect(life.route("orders")?.subscription.blocked?.message).toMatch(/generated for another scheme; delete the Secret orders-signing/);
    cluster.remove({ kind: "Secret", namespace: "shop", name: "orders-signing" });
    await life.pass();
    expect(life.route("orders")?.subscription.target?.keys).toMatchObject([{ kind: "ed25519" }]);
    expect((status()["signingKeys"] as object[])[0]).toMatchObject({ publicKey: expect.stringMatching(/^whpk_/) as string });
    expect(told("SigningKeyGenerated")[0]).toMatch(/public key whpk_/);
  });

  it("that is replaced by another is told with both fingerprints", async () => {
    cluster.apply(secret({ labels: OURS }));
    cluster.apply(signed());
    await life.pass();
    cluster.apply(secret({ labels: OURS, value: OTHER_KEY }));
    await life.pass();
    expect(target()).toBe(base64(OTHER_KEY));
    expect(told("SigningKeyChanged")).toEqual([expect.stringMatching(/its fingerprint was [0-9a-f]{16} and is [0-9a-f]{16}/)]);
  });

  it("that is gone is not generated again while its subscription lives", async () => {
    cluster.apply(signed());
    await life.pass();
    cluster.remove({ kind: "Secret", namespace: "shop", name: "orders-signing" });
    await life.pass();
    expect(life.route("orders")?.subscription.blocked?.reason).toBe("SecretNotFound");
    expect(cluster.signingSecrets).toHaveLength(1);
  });
});

describe("secretDeletionPolicy: Delete", () => {
  const DELETE = { signing: { scheme: "StandardWebhooks", secretDeletionPolicy: "Delete" } };

  beforeEach(async () => {
    cluster.apply(signed(DELETE));
    await life.pass();
    expect(stored()).toBeDefined();
  });

  it("deletes the Secret once the drain has ended, and not before", async () => {
    life.deliveries.pendings.set("uid-shop-orders", 2);
    deleting(DELETE);
    await life.pass();
    expect(stored()).toBeDefined();
    life.deliveries.pendings.set("uid-shop-orders", 0);
    await life.pass();
    expect(stored()).toBeUndefined();
    expect(cluster.finalizers.at(-1)).toEqual({ object: "WebhookSubscription/shop/orders", present: false });
  });

  it("Retain keeps it, which is the default", async () => {
    cluster.apply(signed({ generation: 2 }));
    await life.pass();
    deleting({ generation: 3 });
    await life.pass();
    expect(cluster.get("WebhookSubscription", "shop", "orders")).toBeUndefined();
    expect(stored()).toBeDefined();
  });

  it("also when the subscription went while no one was running", async () => {
    await life.end();
    cluster.remove({ kind: "WebhookSubscription", namespace: "shop", name: "orders" });
    life = await new Life(disk, cluster).begin();
    await life.pass();
    expect(stored()).toBeUndefined();
  });

  it("keeps what a newer subscription of the name signs with already", async () => {
    cluster.remove({ kind: "WebhookSubscription", namespace: "shop", name: "orders" });
    cluster.apply(signed({ ...DELETE, uid: "uid-new" }));
    await life.pass();
    expect(stored()).toBeDefined();
    expect(life.route("orders")?.subscription).toMatchObject({ uid: "uid-new", blocked: undefined });
  });

  it("keeps what another subscription names", async () => {
    const names = { signing: { scheme: "StandardWebhooks", secretRefs: [{ name: "orders-signing", key: "secret" }] } };
    cluster.apply(subscription("copy", INSIDE, names));
    await life.pass();
    deleting(DELETE);
    await life.pass();
    expect(stored()).toBeDefined();
    expect(life.route("copy")?.subscription.blocked).toBeUndefined();
  });

  it("keeps a Secret that has lost its label: it is not ours", async () => {
    cluster.apply(secret());
    await life.pass();
    deleting(DELETE);
    await life.pass();
    expect(stored()).toBeDefined();
  });

  it("lets the subscription go where the Secret may not be deleted, and says so", async () => {
    cluster.secretWrites = REFUSED;
    deleting(DELETE);
    await life.pass();
    expect(cluster.get("WebhookSubscription", "shop", "orders")).toBeUndefined();
    expect(told("SecretNotDeleted")).toEqual([expect.stringContaining("kubectl delete secret orders-signing -n shop")]);
  });

  it("is repeated while the API server is away: the finalizer stays until then", async () => {
    cluster.secretWrites = { kind: "failed", message: "the API server does not respond" };
    deleting(DELETE);
    await life.pass();
    expect(cluster.get("WebhookSubscription", "shop", "orders")).toBeDefined();
    cluster.secretWrites = undefined;
    for (let second = 0; second < 5; second++) await life.pass();
    expect(cluster.get("WebhookSubscription", "shop", "orders")).toBeUndefined();
    expect(stored()).toBeUndefined();
  });
});
