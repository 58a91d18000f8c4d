import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, output } from "./command.ts";

/** What a node does to the machine it runs on, and how it is undone. */

/** The kubelet sets these for the whole machine; they are put back at the end. */
const MACHINE_SETTINGS = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
].map((name) => `/proc/sys/${name}`);

/** Of the network namespace and of the folder; the process id follows, so that what a killed run left behind is known as such. */
export const NAME_PREFIX = "postrider-node-";

/** Reads the settings as they are now; the function puts them back. */
export function rememberMachineSettings(): () => void {
  const before = MACHINE_SETTINGS.filter((file) => existsSync(file)).map((file) => [file, readFileSync(file, "utf8")] as const);
  return () => {
    for (const [file, value] of before) writeFileSync(file, value);
  };
}

/** Ends and removes what runs left behind whose process is gone. */
export async function sweepDead(log: (line: string) => void): Promise<void> {
  const { stdout } = await attempt(["ip", "netns", "list"]);
  const spaces = stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
  const names = new Set([...spaces, ...readdirSync(tmpdir())].filter((name) => name.startsWith(NAME_PREFIX)));
  for (const name of names) {
    if (existsSync(`/proc/${Number.parseInt(name.slice(NAME_PREFIX.length), 10)}`)) continue;
    log(`node: removing ${name}, left behind by a run that was killed`);
    await removeTraces(name);
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Kills what is left of a node's processes, unmounts what lies below its folder and deletes its network namespace. */
export async function removeTraces(name: string): Promise<void> {
  const directory = join(tmpdir(), name);
  const inside = await attempt(["ip", "netns", "pids", name]);
  // A shim outlives containerd, and may live in a Pod's network: its arguments name our folder.
  const left = new Set([...inside.stdout.split(/\s+/).filter(Boolean), ...processesNaming(`${directory}/`)]);
  for (const pid of left) await attempt(["kill", "-KILL", pid]);
  await unmountBelow(directory);
  await attempt(["ip", "netns", "delete", name]);
}

function processesNaming(text: string): string[] {
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(text));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // It has ended meanwhile.
    return "";
  }
}

/** Lazily, deepest last mounted first: a Pod may still hold one. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = (await output(["cat", "/proc/self/mounts"]))
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith(`${directory}/`));
  for (const target of mounts.toReversed()) await attempt(["umount", "--lazy", target]);
}
