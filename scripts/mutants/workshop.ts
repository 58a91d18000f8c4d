import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Fault } from "./faults.ts";

/** What the suites need. The sources themselves are never touched. */
const COPIED = ["src", "test", "crds", "docs", "examples", "scripts", "package.json", "tsconfig.json", "vitest.config.ts"];
const REPORT = "report.json";
const WHAT_MAX = 120;

/** What one run of a suite came to; `what` = the first test that failed, or why there was no result. */
export interface Trial {
  readonly result: "passed" | "failed" | "broke off" | "took too long";
  readonly what: string;
}

interface Report {
  readonly testResults: readonly { readonly assertionResults: readonly { readonly status: string; readonly title: string }[] }[];
}

/** A copy of the repository in which faults are planted one at a time and suites run. */
export class Workshop {
  readonly #root: string;
  readonly #copy: string;

  private constructor(root: string, copy: string) {
    this.#root = root;
    this.#copy = copy;
  }

  static async open(root: URL): Promise<Workshop> {
    const from = fileURLToPath(root);
    const copy = await mkdtemp(join(tmpdir(), "postrider-mutants-"));
    for (const name of COPIED) await cp(join(from, name), join(copy, name), { recursive: true });
    await symlink(join(from, "node_modules"), join(copy, "node_modules"));
    return new Workshop(from, copy);
  }

  async close(): Promise<void> {
    await rm(this.#copy, { recursive: true, force: true });
  }

  /** Answers why it cannot be planted; undefined = it is. */
  async plant({ file, find, replace }: Fault): Promise<string | undefined> {
    const text = await readFile(join(this.#root, file), "utf8");
    const times = text.split(find).length - 1;
    if (times !== 1) return `its text is ${times} times in ${file}, it must appear once; bring scripts/mutants/faults.ts up to date`;
    const planted = text.replace(find, () => replace);
    try {
      stripTypeScriptTypes(planted);
    } catch (error) {
      return `${file} is no longer valid TypeScript: ${error instanceof Error ? error.message : String(error)}`;
    }
    await writeFile(join(this.#copy, file), planted);
    return undefined;
  }

  async restore({ file }: Fault): Promise<void> {
    await cp(join(this.#root, file), join(this.#copy, file));
  }

  /** Runs one test file with these seeds until a test fails. */
  async run(suite: string, seeds: string, patienceMs: number): Promise<Trial> {
    await rm(join(this.#copy, REPORT), { force: true });
    const vitest = join(this.#copy, "node_modules", "vitest", "vitest.mjs");
    const args = [vitest, "run", "--project", "unit", suite, "--bail", "1", "--reporter", "json", "--outputFile", REPORT];
    const env = { ...process.env, POSTRIDER_SIM_SEEDS: seeds };
    // A group of its own: what it starts ends with it, also when it hangs.
    const child = spawn(process.execPath, args, { cwd: this.#copy, env, stdio: "ignore", detached: true });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, patienceMs);
    const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("exit", resolve));
    clearTimeout(timer);
    if (late) return { result: "took too long", what: `${Math.round(patienceMs / 1_000)} s` };
    const failed = await this.#firstFailed();
    // Only a test that failed counts: a file that could not even be loaded shows nothing.
    if (failed !== undefined) return { result: "failed", what: failed };
    return code === 0 ? { result: "passed", what: "" } : { result: "broke off", what: `vitest ended with ${code ?? "a signal"}` };
  }

  async #firstFailed(): Promise<string | undefined> {
    const text = await readFile(join(this.#copy, REPORT), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const { testResults } = JSON.parse(text) as Report;
    const failed = testResults.flatMap((file) => file.assertionResults).find((test) => test.status === "failed");
    return failed?.title.slice(0, WHAT_MAX);
  }
}
