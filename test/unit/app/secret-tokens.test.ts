import { describe, expect, it } from "vitest";
import { SecretTokens } from "../../../src/app/secret-tokens.ts";
import { INGEST_TOKEN_LABEL, type ObjectRef, type SecretObject } from "../../../src/controller/objects.ts";
import { tokenDigest } from "../../../src/core/access-token.ts";

function secret(
  name: string,
  data: Record<string, string>,
  change: { type?: string; label?: string; namespace?: string } = {},
): SecretObject {
  return {
    kind: "Secret",
    metadata: { name, namespace: change.namespace ?? "shop", uid: name, labels: { [INGEST_TOKEN_LABEL]: change.label ?? "true" } },
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
  const tokens = new SecretTokens(provider as unknown as ConstructorParameters<typeof SecretTokens>[0], INGEST_TOKEN_LABEL);
  const put = (one: SecretObject): void => {
    held.set(`${one.metadata.namespace}/${one.metadata.name}`, one);
    change({ kind: "Secret", namespace: one.metadata.namespace ?? "", name: one.metadata.name });
  };
  const knows = (namespace: string, token: string): boolean =>
    tokens.tokens(namespace).some((digest) => Buffer.compare(digest, tokenDigest(token)) === 0);
  return { told, put, knows, synced: () => change(undefined) };
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
    expect(told).toEqual([["one", "TokenIgnored", expect.stringContaining("under 16 bytes can be guessed: bad")]]);
    expect(JSON.stringify(told)).not.toContain(short);
    put(secret("one", { good: A }));
    expect(told).toHaveLength(1);
    put(secret("tls", { x: A }, { type: "kubernetes.io/tls" }));
    expect(told[1]).toEqual(["tls", "TokenIgnored", expect.stringContaining("type Opaque only")]);
  });
});
