import { watch, type FSWatcher } from "node:fs";
import { join } from "node:path";

interface Watched {
  readonly mark: string;
  readonly watcher: FSWatcher;
}

/**
 * Hears of changes in folders, one watch each: Node's recursive watch follows inodes on Linux, so it hears nothing more of a file once an editor
 * has put another in its place, and it does not follow links.
 */
export class FolderWatch {
  readonly #root: string;
  readonly #heard: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #watched = new Map<string, Watched>();
  #isDeaf = false;

  /** `heard`: something in one of the folders may have changed. `failed`: one cannot be watched; told once. */
  constructor(root: string, heard: () => void, failed: (error: unknown) => void) {
    this.#root = root;
    this.#heard = heard;
    this.#failed = failed;
  }

  /** Watches these folders and no others; what happened in a new one before this is not heard of: answers whether there are any. */
  follow(folders: ReadonlyMap<string, string>): boolean {
    for (const [folder, { mark }] of this.#watched) if (folders.get(folder) !== mark) this.#drop(folder);
    let hasNew = false;
    for (const [folder, mark] of folders) {
      if (this.#watched.has(folder)) continue;
      hasNew = this.#add(folder, mark) || hasNew;
    }
    return hasNew;
  }

  close(): void {
    for (const folder of this.#watched.keys()) this.#drop(folder);
  }

  #add(folder: string, mark: string): boolean {
    try {
      const watcher = watch(join(this.#root, folder), { persistent: false }, this.#heard);
      this.#watched.set(folder, { mark, watcher });
      // It stays in the map: watched again at once, it might fail again at once, for ever.
      watcher.on("error", (error) => {
        watcher.close();
        this.#tell(error);
      });
      return true;
    } catch (error) {
      this.#tell(error);
      return false;
    }
  }

  #drop(folder: string): void {
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
  }

  #tell(error: unknown): void {
    if (this.#isDeaf) return;
    this.#isDeaf = true;
    this.#failed(error);
  }
}
