import { createServer } from "node:net";
import type { Load } from "./load.ts";
import type { System } from "./system.ts";

/** How many deliveries a dead receiver has waiting in the benches. */
export const PENDING = 100_000;

/** Posts until so many deliveries wait. @throws when no more events are accepted */
export async function fillBacklog(system: System, load: Load, progress: (text: string) => void): Promise<void> {
  for (let posted = 0; posted < PENDING;) {
    const result = await load.run({ url: system.events(), durationMs: 2_000, connections: 16, batch: 100, fanOut: 1, waitMs: 1 });
    if (result.accepted === 0) throw new Error(`${posted} of ${PENDING} events were accepted, and no more`);
    posted += result.accepted;
    progress(`backlog: ${posted} of ${PENDING} accepted`);
  }
}

/** What the metrics say is pending for a subscription. */
export async function pendingOf(system: System, subscription: string): Promise<number> {
  const text = await (await fetch(`${system.metrics}/metrics/per-subscription`)).text();
  const line = new RegExp(String.raw`^postrider_deliveries_pending\{[^}]*subscription="${subscription}"[^}]*\} (\d+)`, "m").exec(text);
  return Number(line?.[1] ?? 0);
}

/** A port nobody listens on. */
export async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === "object" ? address.port : 1;
}
