import type { Identity } from "./identity.ts";

/** The identity in force of one server. It is exchanged while the server runs; the server hears of each exchange. */
export class IdentitySource {
  #current: Identity;
  #listener: ((identity: Identity, before: Identity) => void) | undefined;

  constructor(first: Identity) {
    this.#current = first;
  }

  get current(): Identity {
    return this.#current;
  }

  /** One server at most. */
  onChange(listener: (identity: Identity, before: Identity) => void): void {
    this.#listener = listener;
  }

  /** From now on, for new connections. */
  use(identity: Identity): void {
    const before = this.#current;
    this.#current = identity;
    this.#listener?.(identity, before);
  }
}
