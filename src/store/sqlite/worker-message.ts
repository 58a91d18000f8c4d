import type { MessagePort } from "node:worker_threads";
import type { BootReport, StoreErrorCode } from "../store.ts";
import type { Packet } from "./packet.ts";

/** What the writer's thread is started with. */
export interface WriterData {
  readonly directory: string;
  readonly nowMs: number;
  readonly idempotencyTtlMs: number;
  readonly reserveBytes: number;
  readonly freeBytesMin: number;
  readonly allowUnsafeFileSystem: boolean;
  readonly pageCountMax: number | undefined;
  /** The reader's thread, which also makes checkpoints. */
  readonly helper: MessagePort;
}

export type ToWriter = { readonly type: "packet"; readonly packet: Packet } | { readonly type: "close" };

export type FromWriter =
  | ({ readonly type: "opened" } & BootReport)
  | { readonly type: "refused"; readonly code: StoreErrorCode; readonly message: string }
  | { readonly type: "answers"; readonly packet: Packet }
  | { readonly type: "fatal"; readonly message: string }
  | { readonly type: "closed" };

/** What the reader's thread is started with. */
export interface ReaderData {
  readonly directory: string;
  readonly helper: MessagePort;
}

export type ToReader =
  | { readonly type: "read"; readonly callId: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly type: "close" };

export type FromReader =
  | { readonly type: "opened" }
  | { readonly type: "value"; readonly callId: number; readonly value: unknown }
  | { readonly type: "failed"; readonly callId: number; readonly message: string }
  | { readonly type: "closed" };
