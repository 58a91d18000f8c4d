import type { Config } from "../config/config.ts";
import type { LogLevel } from "../observe/log.ts";

/** A running operator, as the commands see it; app/compose.ts makes it and main.ts hands it in. */
export interface Operator {
  /** Real addresses, without a trailing slash. */
  readonly urls: { readonly ingest: string; readonly api: string; readonly metrics: string };
  /** Settles with the exit code when everything has stopped. */
  readonly finished: Promise<number>;
  /** Drains and stops; safe to call twice. */
  stop(): void;
  /** The store does not answer: an ordinary exit would wait for its disk. */
  isStuck(): boolean;
  /** Stored and not ended, by subscription (`namespace/name`). */
  counters(): Promise<readonly SubscriptionCounters[]>;
}

export interface SubscriptionCounters {
  readonly subscription: string;
  readonly accepted: number;
  readonly delivered: number;
  readonly retried: number;
  readonly failed: number;
  readonly pending: number;
}

export type StartOperator = (config: Config, options?: { readonly logLevel?: LogLevel }) => Promise<Operator>;
