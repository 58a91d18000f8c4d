import { expect, it } from "vitest";
import { type Route, RouteTable } from "../../../src/core/route-table.ts";
import { NameBook, SAME_NAME_MAX } from "../../../src/ingest/name-book.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { StoreError } from "../../../src/store/store.ts";
import { route } from "../../support/ingest/running-ingest.ts";
import { settle } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

const DAY_MS = 86_400_000;
const log = silentLog;
const TABLE = RouteTable.build([route("alpha", ["a"]), route("beta", ["b"])]);

/** A subscription of the name alpha under this uid. */
function alphaOf(uid: string): Route {
  const alpha = route("alpha", ["a"]);
  return { ...alpha, subscription: { ...alpha.subscription, uid } };
}

async function opened(fault?: () => StoreError | undefined): Promise<MemoryStore> {
  const store = new MemoryStore(fault === undefined ? {} : { fault });
  await store.open({ owner: "test", nowMs: 0, idempotencyTtlMs: 0 });
  return store;
}

it("names a subscription that is gone, in the next process too", async () => {
  const store = await opened();
  const book = new NameBook(store, log);
  book.note(TABLE);
  book.note(RouteTable.empty);
  expect(book.nameOf("uid-alpha")).toBe("alpha");
  const next = new NameBook(store, log);
  await next.load();
  expect([next.nameOf("uid-alpha"), next.nameOf("uid-beta"), next.nameOf("uid-other")]).toEqual(["alpha", "beta", undefined]);
});

it("writes what is new and nothing twice, and again what could not be written", async () => {
  let broken = true;
  const store = await opened(() => (broken ? new StoreError("unavailable", "down") : undefined));
  const written: string[] = [];
  const watched = {
    listState: () => Promise.resolve([]),
    deleteState: () => Promise.resolve(),
    putState: (entries: Parameters<MemoryStore["putState"]>[0]) => {
      written.push(entries.map(({ key }) => key).join(" "));
      return store.putState(entries);
    },
  };
  const book = new NameBook(watched, log);
  book.note(RouteTable.build([route("alpha", ["a"])]));
  await settle();
  broken = false;
  book.note(TABLE);
  await settle();
  book.note(TABLE);
  expect(written).toEqual(["uid-alpha", "uid-alpha uid-beta"]);
  expect(await store.listState("name")).toEqual([
    { key: "uid-alpha", value: '"shop/alpha"' },
    { key: "uid-beta", value: '"shop/beta"' },
  ]);
});

it("lets go of a name when no result of its subscription can be left, in memory and in the store", async () => {
  const store = await opened();
  const book = new NameBook(store, log);
  book.note(TABLE);
  book.note(RouteTable.build([route("alpha", ["a"])]));
  await book.tidy(0);
  const next = new NameBook(store, log);
  await next.load();
  next.note(RouteTable.build([route("alpha", ["a"])]));
  await next.tidy(30 * DAY_MS);
  expect(next.nameOf("uid-beta")).toBe("beta");
  await next.tidy(31 * DAY_MS);
  expect([next.nameOf("uid-alpha"), next.nameOf("uid-beta")]).toEqual(["alpha", undefined]);
  expect(await store.listState("name")).toEqual([{ key: "uid-alpha", value: '"shop/alpha"' }]);
});

it("knows everyone who has or had a name in a namespace, in the next process too, until nothing is left of them", async () => {
  const store = await opened();
  const book = new NameBook(store, log);
  const tableOf = (uid: string): RouteTable => RouteTable.build([alphaOf(uid)]);
  book.note(tableOf("first"));
  book.note(tableOf("second"));
  await book.tidy(0);
  book.note(tableOf("third"));
  await settle();
  expect(book.uidsOf("shop", "alpha")).toEqual(["first", "second", "third"]);
  expect(book.uidsOf("bank", "alpha")).toEqual([]);
  expect(book.uidsOf("shop", "beta")).toEqual([]);
  const next = new NameBook(store, log);
  await next.load();
  expect([...next.uidsOf("shop", "alpha")].sort()).toEqual(["first", "second", "third"]);
  next.note(tableOf("third"));
  await next.tidy(32 * DAY_MS);
  await next.tidy(64 * DAY_MS);
  expect(next.uidsOf("shop", "alpha")).toEqual(["third"]);
});

it("finds what version 0.1 has left, whose names say no namespace, and writes the namespace once it is known", async () => {
  const store = await opened();
  await store.putState([{ kind: "name", key: "uid-alpha", value: '"alpha"' }]);
  const book = new NameBook(store, log);
  await book.load();
  expect([book.nameOf("uid-alpha"), book.uidsOf("anywhere", "alpha")]).toEqual(["alpha", ["uid-alpha"]]);
  book.note(TABLE);
  await settle();
  expect([book.nameOf("uid-alpha"), book.uidsOf("anywhere", "alpha"), book.uidsOf("shop", "alpha")]).toEqual(["alpha", [], ["uid-alpha"]]);
  expect(await store.listState("name")).toContainEqual({ key: "uid-alpha", value: '"shop/alpha"' });
});

it("searches for at most a thousand of one name", async () => {
  const book = new NameBook(await opened(), log);
  const routes = Array.from({ length: SAME_NAME_MAX + 7 }, (_, n) => alphaOf(`uid-${n}`));
  book.note(RouteTable.build(routes));
  expect(book.uidsOf("shop", "alpha")).toHaveLength(SAME_NAME_MAX);
  expect(book.uidsOf("shop", "alpha").at(-1)).toBe(`uid-${SAME_NAME_MAX + 6}`);
});
