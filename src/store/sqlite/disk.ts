import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { StoreError } from "../store.ts";

const MIB = 1_048_576;
export const RESERVE_FILE = "reserve.bin";
/** The reserve takes at most this share of what is free. */
const RESERVE_SHARE = 8;

/** statfs types of file systems on which SQLite's write-ahead log is not safe: it needs one host and working locks. */
const UNSAFE_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x517b, "SMB"],
  [0x01021997, "9p"],
  [0x65735546, "FUSE"],
  [0x00c36400, "Ceph"],
]);

/** What the file system says of the store's directory. */
export type StatFs = (directory: string) => { readonly type: number; readonly bsize: number; readonly bavail: number };

/** Makes the directory and refuses network file systems. Answers warnings. @throws StoreError `refused` */
export function prepareDirectory(directory: string, options: { readonly allowUnsafe: boolean; readonly statFs?: StatFs }): string[] {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StoreError(
      "refused",
      `the store directory ${directory} cannot be created: ${String(error)}; use a directory that this user may write`,
    );
  }
  // The type is a signed 32-bit number on some systems.
  const name = UNSAFE_FILE_SYSTEMS.get((options.statFs ?? statfsSync)(directory).type >>> 0);
  if (name === undefined) return [];
  if (!options.allowUnsafe) {
    throw new StoreError(
      "refused",
      `the store directory ${directory} is on ${name}: SQLite's write-ahead log can lose or corrupt events there; use a local disk or a block volume (ReadWriteOncePod)`,
    );
  }
  return [`the store directory ${directory} is on ${name}, which is not safe: events can be lost or corrupted`];
}

/** Bytes free for this user; of a store that may take no more than `sizeMax` what it has not taken yet, where that is less. */
export function freeBytes(directory: string, sizeMax?: number): number {
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  return sizeMax === undefined ? free : Math.max(0, Math.min(free, sizeMax - takenBytes(directory)));
}

/** Bytes that a store may take at most: all of its file system, or `sizeMax`. */
export function capacityBytes(directory: string, sizeMax?: number): number {
  const { blocks, bsize } = statfsSync(directory);
  return Math.min(blocks * bsize, sizeMax ?? Number.POSITIVE_INFINITY);
}

/** Bytes of the store's files, the reserve among them. */
function takenBytes(directory: string): number {
  let sum = 0;
  for (const name of readdirSync(directory)) sum += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  return sum;
}

/** A file that only takes up space, given back when the disk is full so that completions still land. */
export class ReserveFile {
  readonly #path: string;
  readonly #directory: string;
  readonly wantedBytes: number;
  readonly #sizeMax: number | undefined;

  /** `sizeMax`: see `freeBytes`. */
  constructor(directory: string, wantedBytes: number, sizeMax?: number) {
    this.#sizeMax = sizeMax;
    this.#directory = directory;
    this.#path = join(directory, RESERVE_FILE);
    this.wantedBytes = wantedBytes;
  }

  get bytes(): number {
    return existsSync(this.#path) ? statSync(this.#path).size : 0;
  }

  /** Writes real zeros (a sparse file reserves nothing). Does nothing when it is there already. Never throws: it is a help, not a duty. */
  fill(): void {
    if (this.bytes > 0) return;
    const bytes = Math.min(this.wantedBytes, Math.floor(freeBytes(this.#directory, this.#sizeMax) / RESERVE_SHARE));
    if (bytes <= 0) return;
    try {
      const fd = openSync(this.#path, "w", 0o600);
      try {
        const zeros = Buffer.alloc(Math.min(MIB, bytes));
        // Given back by the writer's thread meanwhile: the disk is full again.
        for (let left = bytes; left > 0 && existsSync(this.#path); left -= zeros.length)
          writeSync(fd, zeros, 0, Math.min(left, zeros.length));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    } catch {
      rmSync(this.#path, { force: true });
    }
  }

  /** Gives the space back. Answers whether there was any. */
  release(): boolean {
    const had = this.bytes > 0;
    rmSync(this.#path, { force: true });
    return had;
  }
}
