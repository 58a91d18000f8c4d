import type { BootReport, Store } from "../../../src/store/store.ts";

/** One engine under test. The suite asks for a new one per test. */
export interface Harness {
  /** The open store; a new object after `reopen` where the engine needs one. */
  readonly store: () => Store;
  /** Acts as a new process on the same data. `clean` false leaves claimed rows as a kill would. */
  readonly reopen: (nowMs: number) => Promise<BootReport>;
  readonly dispose: () => Promise<void>;
}

export interface Engine {
  readonly name: string;
  readonly make: (nowMs: number, idempotencyTtlMs: number) => Promise<Harness>;
}
