import type { BootReport, StoreErrorCode } from "../store.ts";
import type { Held } from "../usage-book.ts";
import type { Call, ReadCalls } from "./calls.ts";
import type { Packet } from "./packet.ts";

/** What the writer's thread is started with. */
export interface WriterData {
  readonly directory: string;
  readonly nowMs: number;
  readonly idempotencyTtlMs: number;
  readonly reserveBytes: number;
  readonly freeBytesMin: number;
  readonly sizeMax: number | undefined;
  readonly allowUnsafeFileSystem: boolean;
  readonly pageCountMax: number | undefined;
  /** A ReadGate's memory: opened behind each pass of its own. */
  readonly gate: SharedArrayBuffer;
}

export type ToWriter =
  | { readonly type: "packet"; readonly packet: Packet }
  /** The helper has copied the log; the gate is closed till the writer has made its own pass. */
  | { readonly type: "checkpointed" }
  | { readonly type: "reserveFilled" }
  | { readonly type: "close" };

export type FromWriter =
  | ({ readonly type: "opened"; readonly usage: readonly (readonly [namespace: string, held: Held])[] } & BootReport)
  | { readonly type: "refused"; readonly code: StoreErrorCode; readonly message: string }
  | { readonly type: "answers"; readonly packet: Packet }
  | { readonly type: "fatal"; readonly message: string }
  /** Asks the helper for something; it is started with the first. */
  | HelperWork
  | { readonly type: "closed" };

export type HelperWork = { readonly type: "checkpoint" } | { readonly type: "fillReserve" };

/** What a reader's thread is started with. */
export interface ReaderData {
  readonly directory: string;
  /** A ReadGate's memory, which each read passes; the engine's reads are short and pass none. */
  readonly gate: SharedArrayBuffer | undefined;
}

/** What the checkpointer's thread is started with. */
export interface CheckpointData {
  readonly directory: string;
  readonly gate: SharedArrayBuffer;
  readonly reserveBytes: number;
  readonly sizeMax: number | undefined;
}

export type ToCheckpointer = HelperWork | { readonly type: "close" };

export type FromCheckpointer = { readonly type: "checkpointed" } | { readonly type: "reserveFilled" } | { readonly type: "closed" };

export type ToReader = { readonly type: "read"; readonly callId: number; readonly call: Call<ReadCalls> } | { readonly type: "close" };

export type FromReader =
  | { readonly type: "opened" }
  | { readonly type: "value"; readonly callId: number; readonly value: unknown }
  | { readonly type: "failed"; readonly callId: number; readonly message: string }
  | { readonly type: "closed" };
