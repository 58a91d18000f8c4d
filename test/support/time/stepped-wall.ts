import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const SOURCE = resolve(import.meta.dirname, "wall-shim.c");

/**
 * The wall clock of processes that are started with `env`, apart from this machine's: `set` moves it while they run. Their monotonic clock goes on as it is.
 */
export class SteppedWall {
  readonly env: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #file: number;
  offsetMs = 0;

  private constructor(directory: string, shim: string) {
    this.#directory = directory;
    const path = join(directory, "offset");
    this.#file = openSync(path, "w+");
    this.env = { LD_PRELOAD: shim, POSTRIDER_TEST_WALL: path };
    this.set(0);
  }

  /** Builds the preloaded library; or says why it cannot be had on this machine. */
  static build(): SteppedWall | string {
    if (process.platform !== "linux") return "clocks can only be stepped on Linux";
    const directory = mkdtempSync(join(tmpdir(), "postrider-wall-"));
    const shim = join(directory, "wall-shim.so");
    const compiler = ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0);
    const built =
      compiler === undefined ? undefined : spawnSync(compiler, ["-shared", "-fPIC", "-O2", "-o", shim, SOURCE], { encoding: "utf8" });
    if (built?.status === 0) return new SteppedWall(directory, shim);
    rmSync(directory, { recursive: true, force: true });
    return built === undefined ? "there is no C compiler (Debian: apt install gcc libc6-dev)" : `the shim cannot be built: ${built.stderr}`;
  }

  /** From now on the processes' wall clock is so far from this machine's. */
  set(offsetMs: number): void {
    this.offsetMs = offsetMs;
    const bytes = Buffer.alloc(8);
    if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) bytes.writeBigInt64LE(BigInt(offsetMs));
    else bytes.writeBigInt64BE(BigInt(offsetMs));
    writeSync(this.#file, bytes, 0, 8, 0);
  }

  /** The wall clock as the processes see it, ms. */
  nowMs(): number {
    return Date.now() + this.offsetMs;
  }

  remove(): void {
    closeSync(this.#file);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
