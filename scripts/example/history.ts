import { textTable } from "./text-table.ts";

interface DeliveryRow {
  readonly id: string;
  readonly recordID: string | null;
  readonly firstAttemptTime: string | null;
  readonly eventType: string;
  readonly subscription: string;
  readonly state: string;
  readonly url: string;
  readonly attempts: number;
  readonly lastAttempt: { readonly statusCode: number | null } | null;
}

interface AttemptRow {
  readonly time: string;
  readonly recordID: string | null;
  readonly eventType: string;
  readonly subscription: string;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly statusCode: number | null;
  readonly durationMs: number;
}

/** What the API port tells about a namespace's deliveries. */
export class History {
  readonly #base: string;

  constructor(api: string, namespace: string) {
    this.#base = `${api}/v1/namespaces/${namespace}`;
  }

  /** Presses Retry on every delivery that has failed; answers which. */
  async retryFailed(): Promise<string[]> {
    const failed = await this.#list<DeliveryRow>("deliveries?state=Failed");
    for (const { id } of failed) {
      const answer = await fetch(`${this.#base}/deliveries/${id}/resend`, { method: "POST" });
      if (!answer.ok) throw new Error(`resend of ${id}: ${answer.status} ${await answer.text()}`);
    }
    return failed.map(({ id, eventType, subscription }) => `delivery ${id}, ${eventType} to ${subscription}`);
  }

  /** Whether every delivery has ended well, as the store has it. */
  async settled(): Promise<boolean> {
    return (await this.#list<DeliveryRow>("deliveries")).every(({ state }) => state === "Delivered");
  }

  /** One row for each event and webhook. */
  async schedule(): Promise<string> {
    const rows = await this.#list<DeliveryRow>("deliveries");
    return textTable(
      ["record id", "first attempt", "event", "webhook", "last status", "attempts", "state"],
      rows.map((row) => [
        row.recordID ?? "—",
        row.firstAttemptTime ?? "—",
        row.eventType,
        row.subscription,
        String(row.lastAttempt?.statusCode ?? "—"),
        String(row.attempts),
        row.state,
      ]),
    );
  }

  /** One row for each firing. */
  async log(): Promise<string> {
    const rows = await this.#list<AttemptRow>("attempts");
    return textTable(
      ["time", "record id", "event", "webhook", "connection", "TLS", "status", "ms"],
      rows.map((row) => [
        row.time,
        row.recordID ?? "—",
        row.eventType,
        row.subscription,
        row.connectionStatus,
        row.tlsStatus,
        String(row.statusCode ?? "—"),
        String(row.durationMs),
      ]),
    );
  }

  async #list<T>(path: string): Promise<T[]> {
    const answer = await fetch(`${this.#base}/${path}`);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { items: T[] }).items;
  }
}
