import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { GuardedProcess } from "../../support/kube/guarded-process.ts";

const CHILD = join(import.meta.dirname, "../../support/kube/guarded-process-child.ts");

describe("a guarded process", () => {
  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("does not outlive a parent that ends by %s", async (signal) => {
    const parent = spawn(process.execPath, [CHILD], { stdio: ["ignore", "pipe", "ignore"] });
    // The server holds the same pipe: it closes only when parent, shell and server are all gone.
    const closed = once(parent.stdout, "close");
    const [said] = (await once(parent.stdout, "data")) as [Buffer];
    expect(said.toString()).toBe("started\n");
    parent.kill(signal);
    parent.stdout.resume();
    await closed;
  });

  it("is killed at once, also twice", async () => {
    const directory = mkdtempSync(join(tmpdir(), "guarded-process-"));
    const log = openSync(join(directory, "log"), "w");
    const server = new GuardedProcess(["sleep", "600"], log, directory);
    closeSync(log);
    expect(server.running).toBe(true);
    await server.kill();
    await server.kill();
    expect(server.running).toBe(false);
    expect(await server.ended()).toBe("SIGKILL");
    rmSync(directory, { recursive: true });
  });

  it("tells how it ended and what it said", async () => {
    const directory = mkdtempSync(join(tmpdir(), "guarded-process-"));
    const log = openSync(join(directory, "log"), "w");
    const server = new GuardedProcess(["sh", "-c", "echo no such flag >&2; exit 3"], log, directory);
    closeSync(log);
    expect(await server.ended()).toBe("exit code 3");
    expect(readFileSync(join(directory, "log"), "utf8")).toBe("no such flag\n");
    rmSync(directory, { recursive: true });
  });
});
