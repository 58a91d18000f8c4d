import { access, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** A namespace's name holds no dot before its key's, so no key's file is called like a pack. */
const PACK_NAME = /^pack-(\d+)\.json$/;

/** A file of a key, and what is in it. */
export interface KeyFile {
  readonly name: string;
  readonly text: string;
}

interface Pack {
  readonly name: string;
  readonly files: readonly KeyFile[];
  /** How many of its files are on the disk. */
  settled: number;
  /** One of its files cannot be written: the pack stays until the next start. */
  isStuck: boolean;
}

/**
 * Keys that were generated together are made durable together: a pack holds all of them, is written whole, synced and then named, and costs two syncs
 * however many they are. Their own files follow one after the other, when nothing else is to be written; then the pack goes. A crash before that leaves
 * the pack, and `load` gives what it holds.
 */
export class KeyPacks {
  readonly #dir: string;
  readonly #packs: Pack[] = [];
  #last = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** What packs hold; a file that is there and whole is newer. @throws when a pack cannot be read: going on would mean other keys. */
  async load(): Promise<KeyFile[]> {
    this.#packs.length = 0;
    for (const name of await readdir(this.#dir)) {
      const number = PACK_NAME.exec(name)?.[1];
      if (number === undefined) continue;
      this.#last = Math.max(this.#last, Number(number));
      const files = JSON.parse(await readFile(join(this.#dir, name), "utf8")) as KeyFile[];
      this.#packs.push({ name, files, settled: 0, isStuck: false });
    }
    return this.#packs.flatMap(({ files }) => files);
  }

  isPack(name: string): boolean {
    return PACK_NAME.test(name);
  }

  /** Durable when it resolves; the files themselves follow. */
  async write(files: readonly KeyFile[]): Promise<void> {
    this.#last += 1;
    const pack: Pack = { name: `pack-${String(this.#last).padStart(6, "0")}.json`, files, settled: 0, isStuck: false };
    await this.writeFile({ name: pack.name, text: JSON.stringify(files) });
    await this.syncDirectory();
    this.#packs.push(pack);
  }

  /** Brings one file to the disk, or ends a pack whose files all are. Answers whether there was anything to do. */
  async settleStep(): Promise<boolean> {
    const pack = this.#packs.find(({ isStuck }) => !isStuck);
    if (pack === undefined) return false;
    await this.#step(pack).catch(() => {
      pack.isStuck = true;
    });
    return true;
  }

  /** Ends the pack that holds this file: then the file alone tells what the key is. @throws when a file cannot be written. */
  async settle(name: string): Promise<void> {
    const pack = this.#packs.find(({ files }) => files.some((file) => file.name === name));
    if (pack === undefined) return;
    while (this.#packs.includes(pack)) await this.#step(pack);
  }

  /** Whole or absent after a crash; there for certain once the directory is synced. */
  async writeFile({ name, text }: KeyFile): Promise<void> {
    const temporary = join(this.#dir, `.${name.slice(0, -".json".length)}.new`);
    const handle = await open(temporary, "w", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, join(this.#dir, name));
  }

  async isThere({ name }: KeyFile): Promise<boolean> {
    return access(join(this.#dir, name)).then(
      () => true,
      () => false,
    );
  }

  async syncDirectory(): Promise<void> {
    const handle = await open(this.#dir, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #step(pack: Pack): Promise<void> {
    const file = pack.files[pack.settled];
    if (file !== undefined) {
      // One that is there was synced before it got its name.
      if (!(await this.isThere(file))) await this.writeFile(file);
      pack.settled += 1;
      return;
    }
    await this.syncDirectory();
    await rm(join(this.#dir, pack.name), { force: true });
    const at = this.#packs.indexOf(pack);
    if (at !== -1) this.#packs.splice(at, 1);
  }
}
