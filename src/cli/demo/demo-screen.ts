import type { SubscriptionCounters } from "../operator.ts";
import type { DemoReceipt } from "./demo-receiver.ts";

const COLOURS = { green: 32, yellow: 33, red: 31, cyan: 36, dim: 2, bold: 1 } as const;

/** What the demo writes: one line for each thing that happens, a table now and then, a summary. Colour on terminals only. */
export class DemoScreen {
  readonly #write: (line: string) => void;
  readonly #colour: boolean;

  constructor(write: (line: string) => void, colour: boolean) {
    this.#write = write;
    this.#colour = colour;
  }

  opened(urls: { readonly ingest: string; readonly api: string; readonly metrics: string }, directory: string): void {
    this.#write(this.#paint("bold", "Postrider demo"));
    this.#write(`  events in   ${urls.ingest}/v1/namespaces/demo/events`);
    this.#write(`  deliveries  ${urls.api}/v1/namespaces/demo/deliveries`);
    this.#write(`  metrics     ${urls.metrics}/metrics`);
    this.#write(`  manifests   ${directory}/demo.yaml`);
    this.#write("  receivers   healthy answers 200, flaky fails two of three first tries,");
    this.#write("              dead never answers");
    this.#write("  Each event is stored before it is answered 202, each request is signed (v1).");
    this.#write("  Meanwhile, in another terminal: edit the manifests (changes apply at once), or");
    this.#write(`    postrider publish -n demo --type order.paid --server ${urls.ingest}`);
    this.#write("");
  }

  published(type: string, id: string, matched: number): void {
    this.#write(
      `${this.#paint("cyan", "→ published")}      ${type.padEnd(13)} ${short(id)}  for ${matched} subscription${matched === 1 ? "" : "s"}`,
    );
  }

  received(receipt: DemoReceipt): void {
    const signature = receipt.verified ? "verified" : this.#paint("red", "SIGNATURE WRONG");
    const attempt = receipt.seen === 1 ? "1st try" : `try ${receipt.seen}`;
    const verdict =
      receipt.status === 0
        ? this.#paint("red", "✗ no answer")
        : receipt.status < 300
          ? this.#paint("green", `✓ ${receipt.status}`)
          : this.#paint("yellow", `✗ ${receipt.status}`);
    this.#write(
      `  ${receipt.receiver.padEnd(8)} got  ${receipt.eventType.padEnd(13)} ${short(receipt.eventId)}  ${attempt}, ${signature}: ${verdict}`,
    );
  }

  note(text: string): void {
    this.#write(this.#paint("yellow", `! ${text}`));
  }

  table(rows: readonly SubscriptionCounters[]): void {
    this.#write("");
    this.#write(this.#paint("bold", "  SUBSCRIPTION    ACCEPTED  DELIVERED  RETRIED  FAILED  PENDING"));
    for (const row of rows.toSorted((a, b) => a.subscription.localeCompare(b.subscription))) {
      const cells = [row.accepted, row.delivered, row.retried, row.failed, row.pending];
      const widths = [8, 9, 7, 6, 7];
      this.#write(`  ${row.subscription.padEnd(14)}  ${cells.map((cell, at) => String(cell).padStart(widths[at] ?? 0)).join("  ")}`);
    }
    this.#write("");
  }

  summary(
    published: number,
    rows: readonly SubscriptionCounters[],
    receipts: { readonly verified: number; readonly refused: number },
  ): void {
    this.table(rows);
    const sum = (pick: (row: SubscriptionCounters) => number): number => rows.reduce((total, row) => total + pick(row), 0);
    this.#write(
      `${published} events published, ${sum((row) => row.accepted)} deliveries owed:\n  ${sum((row) => row.delivered)} delivered, ` +
        `${sum((row) => row.retried)} retries, ${sum((row) => row.failed)} given up, ${sum((row) => row.pending)} still waiting.`,
    );
    this.#write(`${receipts.verified} signatures verified by the receivers, ${receipts.refused} refused.`);
    this.#write(this.#paint("dim", "With a store of its own (run --store sqlite:DIR) what waits would go on after a"));
    this.#write(this.#paint("dim", "restart; the demo's folder is removed."));
  }

  #paint(colour: keyof typeof COLOURS, text: string): string {
    return this.#colour ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
  }
}

/** The last digits tell ids apart; lines fit 80 columns. */
function short(id: string): string {
  return `…${id.slice(-6)}`;
}
