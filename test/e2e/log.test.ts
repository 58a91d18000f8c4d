import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, it } from "vitest";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** A line is out this long after its time at the latest; what a kill may cost. */
const OUT_WITHIN_MS = 250;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Line {
  readonly level: string;
  readonly event?: string;
  readonly msg: string;
  readonly time: string;
  readonly seenMs: number;
}

/** The binary and its log, each line with the moment at which it was seen. */
function started(manifest: string): {
  readonly child: ChildProcess;
  readonly lines: Line[];
  readonly ready: Promise<string>;
  readonly manifests: string;
} {
  const directory = mkdtempSync(join(tmpdir(), "postrider-log-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const manifests = join(directory, "manifests");
  mkdirSync(manifests);
  writeFileSync(join(manifests, "all.yaml"), manifest);
  const listen = ["ingest", "api", "metrics"].flatMap((name) => [`--${name}-listen`, "127.0.0.1:0"]);
  const flags = ["--provider", "file", "--manifests", manifests, "--store", `sqlite:${join(directory, "store")}`, "--store-reserve", "1Mi"];
  const auth = ["--ingest-auth", "none", "--api-auth", "none"];
  const child = spawn(process.execPath, ["src/main.ts", "run", ...flags, ...listen, ...auth], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  cleanups.push(() => void child.kill("SIGKILL"));
  const lines: Line[] = [];
  createInterface({ input: child.stderr }).on("line", (text) => lines.push({ ...(JSON.parse(text) as Line), seenMs: Date.now() }));
  const ready = new Promise<string>((done) =>
    createInterface({ input: child.stdout }).on("line", (text) => done((JSON.parse(text) as { ingest: string }).ingest)),
  );
  return { child, lines, ready, manifests };
}

const delayOf = ({ time, seenMs }: Line): number => seenMs - Date.parse(time);

it("tells what it does while it does it: the first line at once, not when 4 KiB have gathered", async () => {
  const { lines, ready } = started(manifests("https://192.0.2.1/hooks"));
  await ready;
  await expect.poll(() => lines.filter(({ event }) => event === "store.opened"), { interval: 10 }).toHaveLength(1);
  expect(Math.max(...lines.map(delayOf))).toBeLessThan(OUT_WITHIN_MS);
});

it("a kill costs no line that is older", async () => {
  let answered = (): void => undefined;
  const isAnswered = new Promise<void>((done) => (answered = done));
  const receiver = createServer((incoming, response) => incoming.resume().on("end", () => response.writeHead(500).end(answered)));
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  cleanups.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const { child, lines, ready } = started(manifests(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`));
  const ingest = await ready;
  const post = (): Promise<Response> =>
    fetch(`${ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"type":"a.b"}',
    });
  expect((await post()).status).toBe(202);
  const attempts = (): Line[] => lines.filter(({ event }) => event === "delivery.attempted");
  await isAnswered;
  await new Promise((done) => setTimeout(done, 300));
  child.kill("SIGKILL");
  await once(child, "close");
  expect(attempts()).toHaveLength(1);
  expect(Math.max(...lines.map(delayOf))).toBeLessThan(OUT_WITHIN_MS);
});

function manifests(url: string): string {
  return manifestFile(loopbackPolicy(), subscription({ name: "orders", types: ["a.*"], url }));
}
