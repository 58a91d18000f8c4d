import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manifestFile, namespace, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const isRoot = process.geteuid?.() === 0;
/** The chart's podSecurityContext. */
const USER = 65_532;
const VOLUME_GROUP = 70_000;

let directory: string;
let store: string;
let manifests: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "postrider-files-"));
  [store, manifests] = [join(directory, "store"), join(directory, "manifests")];
  for (const one of [directory, store, manifests]) {
    mkdirSync(one, { recursive: true });
    chmodSync(one, 0o755);
  }
  const orders = subscription({ name: "orders", types: ["*"], url: "https://receiver.example.com/", signing: "{}" });
  writeFileSync(join(manifests, "a.yaml"), manifestFile(namespace("shop"), orders));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Found {
  readonly name: string;
  readonly isFolder: boolean;
  readonly mode: string;
}

function filesOf(folder: string): readonly Found[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return { name: relative(folder, path), isFolder: entry.isDirectory(), mode: (statSync(path).mode & 0o777).toString(8) };
  });
}

async function accepted(operator: OperatorProcess): Promise<void> {
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"a","data":{}}',
  });
  expect(answer.status).toBe(202);
}

describe("what `run` writes", { timeout: 60_000 }, () => {
  it("is nobody else's to read: store, reserve and signing keys, whatever umask it was started under", async () => {
    const operator = await OperatorProcess.start({
      manifests,
      store: `sqlite:${store}`,
      under: ["sh", "-c", 'umask 000; exec "$@"', "sh"],
    });
    await accepted(operator);
    const found = filesOf(store);
    await operator.signal("SIGTERM");
    expect(found.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["postrider.db", "postrider.db-wal", "lock.db", "reserve.bin", ".keys", ".keys/shop.orders-signing.json"]),
    );
    expect(found.filter(({ isFolder, mode }) => mode !== (isFolder ? "700" : "600"))).toEqual([]);
  });

  it.skipIf(!isRoot)("may lie on a volume whose root belongs to root and to the volume's group", async () => {
    chownSync(store, 0, VOLUME_GROUP);
    chmodSync(store, 0o2775);
    const under = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, `--groups=${VOLUME_GROUP}`, "--"];
    for (const start of ["first", "second"]) {
      const operator = await OperatorProcess.start({ manifests, store: `sqlite:${store}`, under });
      await accepted(operator);
      expect(
        filesOf(store).filter(({ isFolder, mode }) => !isFolder && mode !== "600"),
        start,
      ).toEqual([]);
      await operator.signal("SIGTERM");
    }
    expect(statSync(store)).toMatchObject({ uid: 0, gid: VOLUME_GROUP });
    expect(statSync(store).mode & 0o7777).toBe(0o2775);
  });
});
