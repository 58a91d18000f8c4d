import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type * as files from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { NewSigningSecret, SecretObject } from "../../../src/controller/objects.ts";
import { SigningSecretFiles } from "../../../src/provider/signing-secret-files.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { until } from "../../support/until.ts";

/** What is done to the disk, in order. */
const done: string[] = [];

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof files>();
  return {
    ...real,
    open: async (path: string, flags: string, mode?: number) => {
      const handle = await real.open(path, flags, mode);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        await sync();
        done.push(`sync ${path.slice(path.lastIndexOf("/") + 1)}`);
      };
      return handle;
    },
    rename: async (from: string, to: string) => {
      await real.rename(from, to);
      done.push(`rename ${to.slice(to.lastIndexOf("/") + 1)}`);
    },
  };
});

const QUIET_MS = 1_000;
const TOGETHER = 32;
let folder = "";
let clock: ManualClock;

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "postrider-keys-")), ".keys");
  clock = new ManualClock();
  done.length = 0;
});
afterEach(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

async function opened(): Promise<{ keys: SigningSecretFiles; loaded: SecretObject[] }> {
  const keys = new SigningSecretFiles(folder, clock);
  return { keys, loaded: await keys.load() };
}

function secret(at: number): NewSigningSecret {
  const owner = { metadata: { namespace: "shop", name: `s${at}`, uid: `uid-${at}` } } as NewSigningSecret["owner"];
  return { owner, name: `s${at}-signing`, key: "secret", value: `whsec_${at}`, signingFor: `s${at}` };
}

const valuesOf = (secrets: readonly SecretObject[]) =>
  Object.fromEntries(secrets.map(({ metadata, data }) => [metadata.name, Buffer.from(data?.["secret"] ?? "").toString()]));
const expected = (from: number, to: number) =>
  Object.fromEntries(Array.from({ length: to - from }, (_, at) => [`s${from + at}-signing`, `whsec_${from + at}`]));
const packs = () => readdirSync(folder).filter((name) => name.startsWith("pack-"));
const own = () => readdirSync(folder).filter((name) => name.startsWith("shop."));

async function generated(keys: SigningSecretFiles, from: number, to: number): Promise<void> {
  const all = await Promise.all(Array.from({ length: to - from }, (_, at) => keys.create(secret(from + at))));
  expect(new Set(all.map(({ result }) => result.kind))).toEqual(new Set(["done"]));
  expect(valuesOf(all.flatMap((each) => each.secret ?? []))).toEqual(expected(from, to));
}

describe("keys that are generated together", () => {
  it("are on the disk before anyone is told, with two syncs", async () => {
    const { keys } = await opened();
    await generated(keys, 0, TOGETHER);
    expect(done).toEqual([expect.stringMatching(/^sync \.pack-/), expect.stringMatching(/^rename pack-/), "sync .keys"]);
    expect(statSync(join(folder, packs()[0] ?? "")).mode & 0o777).toBe(0o600);
    await keys.end();
  });

  it("get files of their own once no other is generated, and the pack goes after them", async () => {
    const { keys } = await opened();
    await generated(keys, 0, TOGETHER);
    await clock.advance(QUIET_MS - 1);
    expect(own()).toEqual([]);
    await clock.advance(1);
    await until(() => packs().length === 0);
    await keys.end();
    expect(own()).toHaveLength(TOGETHER);
    // Each was synced before it got its name, and all names before the pack went.
    for (const name of own()) expect(done.indexOf(`sync .${name.replace(/json$/, "new")}`)).toBeLessThan(done.indexOf(`rename ${name}`));
    expect(done.at(-1)).toBe("sync .keys");
    expect(valuesOf((await opened()).loaded)).toEqual(expected(0, TOGETHER));
  });

  it("are all there after a crash at any moment, also when it happens again", async () => {
    for (const [at, steps] of [0, 1, 7, TOGETHER].entries()) {
      const from = at * TOGETHER;
      const { keys, loaded } = await opened();
      expect(valuesOf(loaded)).toEqual(expected(0, from));
      await generated(keys, from, from + TOGETHER);
      await clock.advance(QUIET_MS);
      await until(() => own().length >= steps);
      await keys.end();
      writeFileSync(join(folder, ".shop.half.new"), "{");
    }
    expect(valuesOf((await opened()).loaded)).toEqual(expected(0, 4 * TOGETHER));
  });

  it("stay deleted: a pack that is there brings none of them back", async () => {
    const { keys } = await opened();
    await generated(keys, 0, 4);
    const [first] = (await opened()).loaded;
    if (first === undefined) throw new Error("no key was loaded");
    expect(await keys.delete(first)).toEqual({ kind: "done" });
    expect(done.at(-1)).toBe("sync .keys");
    await keys.end();
    expect(valuesOf((await opened()).loaded)).toEqual(
      Object.fromEntries(Object.entries(expected(0, 4)).filter(([name]) => name !== first.metadata.name)),
    );
  });

  it("can be adopted under another name while a pack holds them", async () => {
    const { keys, loaded } = await opened();
    expect(loaded).toEqual([]);
    await generated(keys, 0, 2);
    const [first] = (await opened()).loaded;
    if (first === undefined) throw new Error("no key was loaded");
    expect((await keys.adopt(first, "renamed"))?.result).toEqual({ kind: "done" });
    await keys.end();
    const again = (await opened()).loaded.find(({ metadata }) => metadata.name === first.metadata.name);
    expect(again?.metadata.labels?.["postrider.dev/signing-for"]).toBe("renamed");
  });

  it("are refused together where the folder cannot be written, and not told as generated", async () => {
    const { keys } = await opened();
    rmSync(folder, { recursive: true });
    const all = await Promise.all([0, 1, 2].map((at) => keys.create(secret(at))));
    for (const { result, secret: made } of all) {
      expect(made).toBeUndefined();
      expect(result).toMatchObject({ kind: "failed", message: expect.stringContaining(`cannot be stored in ${folder}`) as string });
    }
    await keys.load();
    await generated(keys, 0, 3);
    await keys.end();
  });

  it("a pack that is broken ends the start: another key would be generated otherwise", async () => {
    await opened();
    writeFileSync(join(folder, "pack-000001.json"), "[");
    await expect(opened()).rejects.toThrow(/JSON/);
  });
});

it("one key alone has its file at once", async () => {
  const { keys } = await opened();
  await generated(keys, 0, 1);
  expect(packs()).toEqual([]);
  expect(JSON.parse(readFileSync(join(folder, "shop.s0-signing.json"), "utf8"))).toMatchObject({ name: "s0-signing", value: "whsec_0" });
  expect(done).toEqual(["sync .shop.s0-signing.new", "rename shop.s0-signing.json", "sync .keys"]);
  await keys.end();
});
