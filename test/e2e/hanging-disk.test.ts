import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const DRAIN_MS = 2_000;
/** Closing the ingest, giving up the engine's last writes and the store. */
const BEYOND_MS = 8_000;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const canTrace = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "true"]).status === 0;
if (!canTrace && process.env["CI"] !== undefined) throw new Error("strace is needed under CI: install it and allow ptrace");
if (!canTrace) console.warn("SKIPPED: a disk whose fsync hangs, because strace cannot run here");

/** From now on every fsync of the process takes two minutes. */
async function hangDisk(pid: number): Promise<() => void> {
  const inject = "inject=fsync,fdatasync:delay_enter=120000000";
  const strace = spawn("strace", ["-f", "-p", String(pid), "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const letGo = (): void => void strace.kill("SIGKILL");
  cleanups.push(letGo);
  await once(strace.stderr, "data");
  return letGo;
}

it.skipIf(!canTrace)(
  "a disk whose fsync hangs: /livez says so after 30 s, nothing is acknowledged, and a stop ends in time",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "postrider-hang-"));
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, "manifests"));
    writeFileSync(join(directory, "manifests", "all.yaml"), MANIFEST);
    const operator = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      flags: ["--drain-timeout", `${DRAIN_MS}ms`],
    });
    cleanups.push(() => operator.signal("SIGKILL"));
    const livez = async (): Promise<{ status: number; text: string }> => {
      const response = await fetch(`${operator.ready.metrics}/livez?verbose`);
      return { status: response.status, text: await response.text() };
    };
    expect(await livez()).toEqual({ status: 200, text: "[+] event-loop ok\n[+] store ok\nok\n" });

    const letGo = await hangDisk(operator.ready.pid);
    const postedMs = performance.now();
    const posted = fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"type":"a.b"}',
    });
    const answer = posted.then(
      async (response) => ({ status: response.status, code: ((await response.json()) as { code?: string }).code }),
      (error: unknown) => ({ status: 0, code: String(error) }),
    );
    await expect.poll(async () => (await livez()).status, { timeout: 60_000, interval: 250 }).toBe(503);
    expect(performance.now() - postedMs).toBeGreaterThan(30_000);
    expect((await livez()).text).toMatch(
      /^\[\+\] event-loop ok\n\[-\] store failed: a write has waited 3\d s for the disk, more than 30 s: look at the volume\n/,
    );
    expect(
      (await fetch(`${operator.ready.metrics}/metrics`).then((response) => response.text())).match(
        /^postrider_store_oldest_write_seconds 3\d/m,
      ),
    ).not.toBeNull();

    const stoppedMs = performance.now();
    operator.send("SIGTERM");
    // An ordinary exit would wait for the thread that hangs: it ends itself by a kill, and says so.
    await expect.poll(() => operator.stderr(), { timeout: 30_000, interval: 50 }).toContain('"event":"stopped.killed"');
    expect(performance.now() - stoppedMs).toBeLessThan(DRAIN_MS + BEYOND_MS);
    // A thread that is held by its tracer outlives even that.
    letGo();
    expect(await operator.exited).toBeNull();
    expect(await answer).toEqual({ status: 503, code: "outcome_unknown" });
  },
  120_000,
);

const MANIFEST = subscription({ name: "orders", types: ["a.*"], url: "https://192.0.2.1/hooks" });
