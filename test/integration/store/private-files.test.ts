import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;

let directory: string;
let before: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "postrider-private-"));
  // As a volume's root or a folder that somebody made with mkdir.
  chmodSync(directory, 0o755);
  before = process.umask(0o022);
});
afterEach(() => {
  process.umask(before);
  rmSync(directory, { recursive: true, force: true });
});

const modes = (): Record<string, string> =>
  Object.fromEntries(readdirSync(directory).map((name) => [name, (statSync(join(directory, name)).mode & 0o777).toString(8)]));

async function opened<T>(look: () => T): Promise<T> {
  const store = new SqliteStore({ directory, reserveBytes: 65_536 });
  await store.open({ owner: "me", nowMs: 1_000, idempotencyTtlMs: 1_000 });
  try {
    await store.putState([{ kind: "meta", key: "a", value: "1" }]);
    return look();
  } finally {
    await store.close();
  }
}

describe("the store's files", () => {
  const PRIVATE = {
    "lock.db": "600",
    "lock.db-journal": "600",
    "postrider.db": "600",
    "postrider.db-wal": "600",
    "postrider.db-shm": "600",
    "reserve.bin": "600",
  };

  it("are nobody else's in a folder that everybody may read, whatever the umask; the folder stays as it is", async () => {
    expect(await opened(modes)).toEqual(PRIVATE);
    expect(statSync(directory).mode & 0o777).toBe(0o755);
  });

  it("of an older version are tightened when they are opened, those of a crash too", async () => {
    await opened(() => undefined);
    writeFileSync(join(directory, "postrider.db-wal"), "");
    writeFileSync(join(directory, "others.txt"), "");
    for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o644);
    expect(await opened(modes)).toEqual({ ...PRIVATE, "others.txt": "644" });
  });

  it("that are links lead to nothing that is changed", async () => {
    const victim = join(directory, "others.txt");
    writeFileSync(victim, "", { mode: 0o644 });
    symlinkSync(victim, join(directory, "reserve.bin"));
    await opened(() => undefined);
    expect(statSync(victim).mode & 0o777).toBe(0o644);
  });

  it.skipIf(!isRoot)("of another user are used as they are where they may be used", async () => {
    await opened(() => undefined);
    chownSync(join(directory, "postrider.db"), NOBODY, NOBODY);
    chmodSync(join(directory, "postrider.db"), 0o660);
    expect(await opened(modes)).toMatchObject({ "postrider.db": "660", "lock.db": "600" });
  });
});
