import { expect, it } from "vitest";
import { HookSettingsBook } from "../../../src/app/hook-settings-book.ts";
import type { SecretObject } from "../../../src/controller/objects.ts";
import { differsForUs } from "../../../src/provider/cluster-kinds.ts";

function secret(
  hooks: string | undefined,
  change: { readonly uid?: string; readonly name?: string; readonly namespace?: string } = {},
): SecretObject {
  const { uid = "u1", name = "github", namespace = "shop" } = change;
  return {
    kind: "Secret",
    metadata: { name, namespace, uid, ...(hooks === undefined ? {} : { annotations: { "postrider.dev/hooks": hooks } }) },
    type: "Opaque",
    data: {},
    controllerUid: undefined,
  };
}

function setup() {
  const told: string[] = [];
  const book = new HookSettingsBook({ recordEvent: (_object, note) => void told.push(`${note.type} ${note.reason} ${note.message}`) });
  return { book, told };
}

const GOOD = "{token: X-Key}";
const WRONG = "{tokn: X-Other}";

it("keeps the last good settings of a Secret while a wrong edit is in it, and says so once", () => {
  const { book, told } = setup();
  expect(book.of(secret(GOOD))?.token).toEqual(["x-key"]);
  expect(book.of(secret(WRONG))?.token).toEqual(["x-key"]);
  expect(book.of(secret(WRONG))?.token).toEqual(["x-key"]);
  expect(told).toEqual([
    "Warning HookSettingsInvalid the annotation postrider.dev/hooks: tokn is unknown, did you mean token?. The annotation is refused as a whole: the last good settings stay in force",
  ]);
  // A second mistake does not lose them, and taking the annotation away does.
  expect(book.of(secret("[1"))?.token).toEqual(["x-key"]);
  expect(book.of(secret(undefined))).toBeUndefined();
  expect(book.of(secret(WRONG))).toBeUndefined();
  expect(book.of(secret("{token: X-New}"))?.token).toEqual(["x-new"]);
});

it("starts with none where they are wrong from the beginning", () => {
  const { book, told } = setup();
  expect(book.of(secret(WRONG))).toBeUndefined();
  expect(told[0]).toContain("no settings are in force for hooks with its tokens");
});

it("gives no other Secret's settings: not of one made again under the name, of one that was deleted, nor of another namespace", () => {
  const { book } = setup();
  book.of(secret(GOOD));
  expect(book.of(secret(WRONG, { uid: "u2" }))).toBeUndefined();
  book.of(secret(GOOD));
  book.note("shop", "github", undefined);
  expect(book.of(secret(WRONG))).toBeUndefined();
  book.of(secret(GOOD));
  expect(book.of(secret(WRONG, { namespace: "bank" }))).toBeUndefined();
  book.forget("shop");
  expect(book.of(secret(WRONG))).toBeUndefined();
});

it("says no more than an Event can hold", () => {
  const { book, told } = setup();
  book.of(secret(`{${Array.from({ length: 200 }, (_, n) => `zebra${n}: 1`).join(", ")}}`));
  expect(told[0]?.length).toBeLessThan(1_024);
});

it("is followed on a cluster: an annotation of ours is a change of the Secret, another's is none", () => {
  expect(differsForUs(secret(GOOD), secret(WRONG))).toBe(true);
  const other: SecretObject = {
    ...secret(GOOD),
    metadata: { ...secret(GOOD).metadata, annotations: { "postrider.dev/hooks": GOOD, "example.com/a": "1" } },
  };
  expect(differsForUs(secret(GOOD), other)).toBe(false);
});
