import { setTimeout as delay } from "node:timers/promises";

/** Longer than anything takes that a test waits for, on a machine that does much else. */
const WITHIN_MS = 60_000;
const EVERY_MS = 20;

export interface Patience {
  readonly withinMs?: number;
  readonly everyMs?: number;
  /** What there was instead, for the error. */
  readonly seen?: () => unknown;
}

/** Looks again and again until it holds. @throws when it does not hold in time. Prefer `expect.poll` where the value says more. */
export async function until(holds: () => boolean | Promise<boolean>, patience: Patience = {}): Promise<void> {
  await untilGiven(async () => ((await holds()) ? true : undefined), { seen: () => holds.toString(), ...patience });
}

/** The first value that a look gives. @throws when none gives one in time. */
export async function untilGiven<T>(look: () => T | undefined | Promise<T | undefined>, patience: Patience = {}): Promise<T> {
  const { withinMs = WITHIN_MS, everyMs = EVERY_MS, seen = () => look.toString() } = patience;
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${shown(seen())}`);
    await delay(everyMs);
  }
}

/** Where something says that it has changed: looked at after each change, never polled. */
export class Changes {
  #waiting: (() => void)[] = [];

  happened(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** @throws when it does not hold in time. */
  async until(
    holds: () => boolean,
    { withinMs = WITHIN_MS, seen = () => holds.toString() }: Omit<Patience, "everyMs"> = {},
  ): Promise<void> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.happened();
    }, withinMs);
    try {
      while (!holds()) {
        if (isLate) throw new Error(`not within ${withinMs} ms: ${shown(seen())}`);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

function shown(seen: unknown): string {
  return typeof seen === "string" ? seen : (JSON.stringify(seen) ?? "nothing");
}
