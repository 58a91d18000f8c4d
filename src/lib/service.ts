/**
 * A long-lived thing that owns its timers and promises. `run` settles only when everything it started has stopped; it resolves
 * after `signal` aborts and rejects when the service cannot go on (the supervisor restarts it with backoff).
 */
export interface Service {
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
}
