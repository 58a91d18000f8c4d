import type { SubscriptionCounters } from "../operator.ts";
import { type Colour, painted, type Shown, shown } from "../terminal.ts";
import type { DemoReceipt } from "./demo-receiver.ts";

/** What the demo writes: one line for each thing that happens, a table now and then, a summary. Colour on terminals only. */
export class DemoScreen {
  readonly #write: (line: Shown) => void;
  readonly #colours: boolean;

  constructor(write: (line: Shown) => void, colours: boolean) {
    this.#write = write;
    this.#colours = colours;
  }

  opened(urls: { readonly ingest: string; readonly api: string; readonly metrics: string }, directory: string): void {
    this.#write(this.#paint("bold", shown`Postrider demo`));
    this.#write(shown`  events in   ${urls.ingest}/v1/namespaces/demo/events`);
    this.#write(shown`  deliveries  ${urls.api}/v1/namespaces/demo/deliveries`);
    this.#write(shown`  metrics     ${urls.metrics}/metrics`);
    this.#write(shown`  manifests   ${directory}/demo.yaml`);
    this.#write(shown`  receivers   healthy answers 200, flaky fails two of three first tries,`);
    this.#write(shown`              dead never answers`);
    this.#write(shown`  Each event is stored before it is answered 202, each request is signed (v1).`);
    this.#write(shown`  Meanwhile, in another terminal: edit the manifests (changes apply at once), or`);
    this.#write(shown`    postrider publish -n demo --type order.paid --server ${urls.ingest}`);
    this.#write(shown``);
  }

  published(type: string, id: string, matched: number): void {
    this.#write(
      shown`${this.#paint("cyan", shown`→ published`)}      ${type.padEnd(13)} ${short(id)}  for ${matched} subscription${matched === 1 ? "" : "s"}`,
    );
  }

  received(receipt: DemoReceipt): void {
    const signature = receipt.verified ? "verified" : this.#paint("red", shown`SIGNATURE WRONG`);
    const attempt = receipt.seen === 1 ? "1st try" : `try ${receipt.seen}`;
    const verdict =
      receipt.status === 0
        ? this.#paint("red", shown`✗ no answer`)
        : receipt.status < 300
          ? this.#paint("green", shown`✓ ${receipt.status}`)
          : this.#paint("yellow", shown`✗ ${receipt.status}`);
    this.#write(
      shown`  ${receipt.receiver.padEnd(8)} got  ${receipt.eventType.padEnd(13)} ${short(receipt.eventId)}  ${attempt}, ${signature}: ${verdict}`,
    );
  }

  note(text: string): void {
    this.#write(this.#paint("yellow", shown`! ${text}`));
  }

  table(rows: readonly SubscriptionCounters[]): void {
    this.#write(shown``);
    this.#write(this.#paint("bold", shown`  SUBSCRIPTION    ACCEPTED  DELIVERED  RETRIED  FAILED  PENDING`));
    for (const row of rows.toSorted((a, b) => a.subscription.localeCompare(b.subscription))) {
      const cells = [row.accepted, row.delivered, row.retried, row.failed, row.pending];
      const widths = [8, 9, 7, 6, 7];
      this.#write(shown`  ${row.subscription.padEnd(14)}  ${cells.map((cell, at) => String(cell).padStart(widths[at] ?? 0)).join("  ")}`);
    }
    this.#write(shown``);
  }

  summary(
    published: number,
    rows: readonly SubscriptionCounters[],
    receipts: { readonly verified: number; readonly refused: number },
  ): void {
    this.table(rows);
    const sum = (pick: (row: SubscriptionCounters) => number): number => rows.reduce((total, row) => total + pick(row), 0);
    this.#write(shown`${published} events published, ${sum((row) => row.accepted)} deliveries owed:`);
    this.#write(
      shown`  ${sum((row) => row.delivered)} delivered, ${sum((row) => row.retried)} retries, ${sum((row) => row.failed)} given up, ${sum((row) => row.pending)} still waiting.`,
    );
    this.#write(shown`${receipts.verified} signatures verified by the receivers, ${receipts.refused} refused.`);
    this.#write(this.#paint("dim", shown`With a store of its own (run --store sqlite:DIR) waiting deliveries would be`));
    this.#write(this.#paint("dim", shown`sent after a restart; the demo's folder is removed.`));
  }

  #paint(colour: Colour, text: Shown): Shown {
    return painted(colour, text, this.#colours);
  }
}

/** The last digits tell ids apart; lines fit 80 columns. */
function short(id: string): string {
  return `…${id.slice(-6)}`;
}
