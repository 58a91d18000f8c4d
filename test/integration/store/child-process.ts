import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const CHILD = resolve(import.meta.dirname, "write-load-child.ts");

export function storeDirectory(): string {
  return mkdtempSync(join(tmpdir(), "postrider-store-"));
}

export interface Child {
  readonly process: ChildProcess;
  readonly lines: string[];
  /** Resolves with the first line that begins so; rejects when the process ends without it. */
  readonly said: (prefix: string, times?: number) => Promise<string>;
  readonly ended: Promise<number | null>;
}

/** Starts the writing child, under a tracer when one is given. */
export function startChild(args: readonly string[], tracer: readonly string[] = []): Child {
  const [command = "", ...rest] = [...tracer, process.execPath, CHILD, ...args];
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "ignore"], env: { PATH: process.env["PATH"] ?? "" } });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => {
    lines.push(line);
    for (const listener of listeners) listener();
  });
  const ended = new Promise<number | null>((done) =>
    reader.once("close", () => (child.exitCode === null && child.signalCode === null ? child.once("exit", done) : done(child.exitCode))),
  );
  const said = (prefix: string, times = 1): Promise<string> =>
    new Promise((found, missing) => {
      const look = (): void => {
        const hit = lines.filter((line) => line.startsWith(prefix))[times - 1];
        if (hit !== undefined) found(hit);
      };
      listeners.add(look);
      look();
      void ended.then(() => missing(new Error(`the child ended without saying '${prefix}': ${lines.slice(-3).join(" | ")}`)));
    });
  return { process: child, lines, said, ended };
}

/** True when strace can attach here (it may be absent, or refused in a container). */
export function canTrace(): boolean {
  return spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "true"]).status === 0;
}
