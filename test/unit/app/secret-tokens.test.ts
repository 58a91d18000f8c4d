import { describe, expect, it } from "vitest";
import { HookSettingsBook } from "../../../src/app/hook-settings-book.ts";
import { SecretTokens } from "../../../src/app/secret-tokens.ts";
import { INGEST_TOKEN_LABEL, type ObjectRef, type SecretObject } from "../../../src/controller/objects.ts";
import { tokenDigest } from "../../../src/core/access-token.ts";

function secret(
  name: string,
  data: Record<string, string>,
  change: { type?: string; label?: string; namespace?: string; producer?: string; hooks?: string } = {},
): SecretObject {
  return {
    kind: "Secret",
    metadata: {
      name,
      namespace: change.namespace ?? "shop",
      uid: name,
      labels: { [INGEST_TOKEN_LABEL]: change.label ?? "true" },
      annotations: {
        ...(change.producer === undefined ? {} : { "postrider.dev/producer": change.producer }),
        ...(change.hooks === undefined ? {} : { "postrider.dev/hooks": change.hooks }),
      },
    },
    type: change.type ?? "Opaque",
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value)])),
    controllerUid: undefined,
  };
}

function setup(...secrets: SecretObject[]) {
  const held = new Map(secrets.map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]));
  const told: [string, string, string][] = [];
  let change: (ref: ObjectRef | undefined) => void = () => undefined;
  const provider = {
    onChange: (callback: typeof change) => (change = callback),
    get: (_kind: string, namespace: string, name: string) => held.get(`${namespace}/${name}`),
    list: (_kind: string, namespace?: string) =>
      [...held.values()].filter((one) => namespace === undefined || one.metadata.namespace === namespace),
    recordEvent: (object: SecretObject, note: { reason: string; message: string }) =>
      told.push([object.metadata.name, note.reason, note.message]),
  };
  const parts = provider as unknown as ConstructorParameters<typeof SecretTokens>[0];
  const tokens = new SecretTokens(parts, INGEST_TOKEN_LABEL, new HookSettingsBook(parts));
  const put = (one: SecretObject): void => {
    held.set(`${one.metadata.namespace}/${one.metadata.name}`, one);
    change({ kind: "Secret", namespace: one.metadata.namespace ?? "", name: one.metadata.name });
  };
  const knows = (namespace: string, token: string): boolean =>
    tokens.tokens(namespace).some((digest) => Buffer.compare(digest, tokenDigest(token)) === 0);
  const producer = (token: string): string =>
    tokens.producerAt(
      "shop",
      tokens.tokens("shop").findIndex((digest) => Buffer.compare(digest, tokenDigest(token)) === 0),
    );
  const remove = (name: string): void => {
    held.delete(`shop/${name}`);
    change({ kind: "Secret", namespace: "shop", name });
  };
  const placesOf = (token: string): readonly string[] | undefined =>
    tokens.hooksAt(
      "shop",
      tokens.tokens("shop").findIndex((digest) => Buffer.compare(digest, tokenDigest(token)) === 0),
    )?.token;
  return { told, put, remove, knows, producer, placesOf, places: () => [...tokens.hookPlaces("shop")], synced: () => change(undefined) };
}

const [A, B, C] = ["a".repeat(16), "b".repeat(20), "c".repeat(64)];

describe("static tokens from Secrets", () => {
  it("are all values of all labelled Secrets of the namespace, without their trailing newline", () => {
    const { knows } = setup(secret("one", { x: `${A}\n`, y: B }), secret("two", { z: C }));
    expect([A, B, C, `${A}\n`].map((token) => knows("shop", token))).toEqual([true, true, true, false]);
    expect(knows("bank", A)).toBe(false);
  });

  it("are none of Secrets without the label's true, or of another type", () => {
    const { knows } = setup(secret("one", { x: A }, { label: "false" }), secret("two", { x: B }, { type: "kubernetes.io/basic-auth" }));
    expect([A, B].map((token) => knows("shop", token))).toEqual([false, false]);
  });

  it("follow their Secret", () => {
    const { knows, put } = setup(secret("one", { x: A }));
    expect(knows("shop", A)).toBe(true);
    put(secret("one", { x: B }));
    expect([A, B].map((token) => knows("shop", token))).toEqual([false, true]);
    put(secret("one", { x: B }, { label: "" }));
    expect(knows("shop", B)).toBe(false);
  });

  it("under 16 bytes are ignored, and an Event on the Secret names the key, never the value", () => {
    const short = "s".repeat(15);
    const { knows, put, told, synced } = setup(secret("one", { good: A, bad: `${short}\n` }));
    synced();
    expect(knows("shop", A)).toBe(true);
    expect(knows("shop", short)).toBe(false);
    expect(told).toEqual([
      ["one", "TokenIgnored", expect.stringContaining("under 16 bytes can be guessed and are ignored as tokens: bad")],
    ]);
    expect(JSON.stringify(told)).not.toContain(short);
    put(secret("one", { good: A }));
    expect(told).toHaveLength(1);
    put(secret("tls", { x: A }, { type: "kubernetes.io/tls" }));
    expect(told[1]).toEqual(["tls", "TokenIgnored", expect.stringContaining("only from Secrets of type Opaque")]);
  });
});

describe("how the hooks of its holder are read", () => {
  it("is said by the token's own Secret, whatever others of the namespace say", () => {
    const { placesOf, places } = setup(
      secret("one", { x: A, y: B }, { hooks: "{token: [X-One, Basic]}" }),
      secret("two", { z: C }),
      secret("three", { z: "e".repeat(20) }, { hooks: "{token: [X-Three, Basic]}" }),
      secret("bank", { z: "f".repeat(20) }, { hooks: "{token: X-Bank}", namespace: "bank" }),
      secret("not-meant", { z: "g".repeat(20) }, { hooks: "{token: X-Other}", label: "false" }),
    );
    expect([A, B, C, "e".repeat(20)].map(placesOf)).toEqual([["x-one", "basic"], ["x-one", "basic"], undefined, ["x-three", "basic"]]);
    expect(places()).toEqual(["x-one", "basic", "x-three"]);
  });

  it("follows the Secret, is told when it is wrong, and is forgotten with it", () => {
    const { placesOf, put, remove, told, synced } = setup(secret("one", { x: A }, { hooks: "{token: X-One}" }));
    synced();
    put(secret("one", { x: A }, { hooks: "{tokn: X-Two}" }));
    expect(placesOf(A)).toEqual(["x-one"]);
    expect(told).toEqual([["one", "HookSettingsInvalid", expect.stringContaining("the last good settings stay in force")]]);
    put(secret("one", { x: A }, { hooks: "{token: X-Two}" }));
    expect(placesOf(A)).toEqual(["x-two"]);
    remove("one");
    put(secret("one", { x: A }, { hooks: "{tokn: X-Two}" }));
    expect(placesOf(A)).toBeUndefined();
  });
});

describe("whose a static token is", () => {
  it("is the Secret's, whatever the key is called and whatever the value is", () => {
    const { producer, put } = setup(secret("one", { x: A, y: B }), secret("two", { z: C }));
    expect([A, B, C].map(producer)).toEqual(["secret:one", "secret:one", "secret:two"]);
    put(secret("one", { renamed: "d".repeat(20) }));
    expect(producer("d".repeat(20))).toBe("secret:one");
  });

  it("is whose the Secret says, so that several are one, and one with a ServiceAccount", () => {
    const till = "system:serviceaccount:shop:till";
    const { producer } = setup(
      secret("one", { x: A }, { producer: till }),
      secret("two", { x: B }, { producer: till }),
      secret("three", { x: C }, { producer: "" }),
    );
    expect([A, B, C].map(producer)).toEqual([`user:${till}`, `user:${till}`, "secret:three"]);
  });

  it("is the first one's by name where two Secrets hold the same value, in whatever order they came", () => {
    const both = [secret("b", { x: A }), secret("a", { x: A })];
    expect(setup(...both).producer(A)).toBe("secret:a");
    expect(setup(...both.toReversed()).producer(A)).toBe("secret:a");
  });
});
