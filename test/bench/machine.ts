import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");
const TICKS_PER_SECOND = 100;

/** Whether processes can be pinned to cores here (Linux with taskset). */
export const CAN_PIN = process.platform === "linux" && ["/usr/bin/taskset", "/bin/taskset"].some((path) => existsSync(path));

/** Starts a program, on one core if `core` is given and the machine can. */
export function startPinned(
  core: number | undefined,
  command: string,
  args: readonly string[],
  { environment = {}, root = ROOT }: { readonly environment?: Readonly<Record<string, string>>; readonly root?: string } = {},
): ChildProcess {
  const pinned = core !== undefined && CAN_PIN;
  const options: SpawnOptions = { stdio: ["pipe", "pipe", "inherit"], cwd: root, env: { ...process.env, ...environment } };
  const child = pinned ? spawn("taskset", ["-c", String(core), command, ...args], options) : spawn(command, [...args], options);
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.removeListener("exit", end));
  return child;
}

/** CPU seconds of a process, all threads. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident set in MiB. */
export function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1_024;
}

/** Proportional set (what several processes map counts by shares) and what is the process's own and from no file, MiB. */
export function shareMiB(pid: number): { readonly pss: number; readonly anonymous: number } {
  const said = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(said)?.[1] ?? 0) / 1_024;
  return { pss: of("Pss"), anonymous: of("Anonymous") };
}

/** The next line of a child's stdout, as JSON. */
export function lineReader(child: ChildProcess): () => Promise<Record<string, unknown>> {
  let buffer = "";
  const waiting: ((line: string) => void)[] = [];
  const ready: string[] = [];
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    buffer += chunk;
    for (let end = buffer.indexOf("\n"); end >= 0; end = buffer.indexOf("\n")) {
      const line = buffer.slice(0, end);
      buffer = buffer.slice(end + 1);
      const next = waiting.shift();
      if (next === undefined) ready.push(line);
      else next(line);
    }
  });
  return () =>
    new Promise((resolve, reject) => {
      const take = (line: string): void => {
        child.removeListener("exit", gone);
        try {
          resolve(JSON.parse(line) as Record<string, unknown>);
        } catch {
          reject(new Error(`not a JSON line: ${line}`));
        }
      };
      const gone = (code: number | null): void =>
        reject(new Error(`${child.spawnargs.slice(0, 4).join(" ")} ended with ${code} before its line came`));
      child.once("exit", gone);
      const line = ready.shift();
      if (line === undefined) waiting.push(take);
      else take(line);
    });
}

/** Builds the load generator once; kept outside the checkout, anew when its sources are newer. */
export function buildLoadgen(): string {
  const sources = join(ROOT, "test/bench/loadgen");
  const directory = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "postrider", "bench");
  const digest = createHash("sha256");
  for (const name of readdirSync(sources).toSorted()) digest.update(name).update(readFileSync(join(sources, name)));
  // Checkouts share the cache: one's generator must not measure for another.
  const binary = join(directory, `loadgen-${digest.digest("hex").slice(0, 16)}`);
  if (!existsSync(binary)) {
    mkdirSync(directory, { recursive: true });
    process.stderr.write("building the load generator (go build)…\n");
    execFileSync("go", ["build", "-o", binary, "."], { cwd: sources, stdio: "inherit" });
  }
  return binary;
}
