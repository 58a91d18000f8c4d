import { createServer } from "node:net";
import type { System } from "./system.ts";

/** How many deliveries a dead receiver has waiting in the benches. */
export const PENDING = 100_000;

/** What the metrics say is pending for a subscription. */
export async function pendingOf(system: System, subscription: string): Promise<number> {
  const text = await (await fetch(`${system.metrics}/metrics`)).text();
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
