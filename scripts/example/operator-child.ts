import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../..");

/** The addresses of its ready line, without trailing slashes. */
export interface Addresses {
  readonly ingest: string;
  readonly api: string;
}

export interface OperatorChild extends Addresses {
  /** Lets it finish what is in flight; answers its exit code. */
  readonly stop: () => Promise<number | null>;
}

/** Starts `postrider run` on the manifests in `directory`/manifests, with an SQLite store in `directory`/store. */
export async function startOperatorChild(directory: string, auth: readonly string[]): Promise<OperatorChild> {
  const place = ["--manifests", join(directory, "manifests"), "--store", `sqlite:${join(directory, "store")}`, "--store-reserve", "1Mi"];
  const listen = ["ingest", "api", "metrics"].flatMap((name) => [`--${name}-listen`, "127.0.0.1:0"]);
  const args = [
    "--scavenger-max-new-space-capacity-mb=8",
    "--heap-growing-percent=60",
    "src/main.ts",
    "run",
    "--provider",
    "file",
    ...place,
    ...listen,
    ...auth,
    "--log-level",
    "error",
  ];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  const exited = new Promise<number | null>((done) => child.once("exit", done));
  const ready = new Promise<Addresses>((done) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.includes('"msg":"ready"')) done(JSON.parse(line) as Addresses);
    });
  });
  const { ingest, api } = await Promise.race([
    ready,
    exited.then((code) => {
      throw new Error(`the operator ended with ${code} before it was ready`);
    }),
  ]);
  const stop = (): Promise<number | null> => {
    child.kill("SIGTERM");
    return exited;
  };
  return { ingest, api, stop };
}
