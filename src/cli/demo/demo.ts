import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { loadConfig } from "../../config/config.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { usesColour } from "../colour.ts";
import type { Operator, StartOperator } from "../operator.ts";
import { duration } from "../option-values.ts";
import type { ProcessSignals } from "../process-signals.ts";
import { DEMO_NAMESPACE, demoManifests } from "./demo-manifests.ts";
import { DemoReceiver } from "./demo-receiver.ts";
import { DemoScreen } from "./demo-screen.ts";
import { tell } from "../terminal.ts";

const PUBLISH_EVERY_MS = 700;
const TABLE_EVERY_MS = 7_000;
const FOR_MAX_MS = 86_400_000;

export interface DemoParts {
  readonly start: StartOperator;
  readonly signals: ProcessSignals;
  readonly clock: Clock;
  readonly random: Random;
}

const EXAMPLES = `
Examples:
  postrider demo              # until Ctrl-C
  postrider demo --for 30s    # ends by itself, sums up, exits 0

The demo keeps everything in a temporary folder: manifests, the SQLite store,
the receivers' signing key. The top of its output says what to try from
another terminal while it runs.`;

/** `postrider demo`: the main job in one terminal, without a cluster. */
export function demoCommand(parts: DemoParts): Command {
  return new Command("demo")
    .description("see it work: receivers healthy, flaky and dead, events, signed requests, retries, counters")
    .option("--for <duration>", "stop after this long, e.g. 30s", duration(FOR_MAX_MS, "24h"))
    .addHelpText("after", EXAMPLES)
    .action(async (options: { readonly for?: number }) => {
      process.exitCode = await new Demo(parts).run(options.for);
    });
}

class Demo {
  readonly #parts: DemoParts;
  readonly #screen = new DemoScreen(tell, usesColour(process.stdout));
  readonly #directory = mkdtempSync(join(tmpdir(), "postrider-demo-"));
  #published = 0;
  #order = 1_000;

  constructor(parts: DemoParts) {
    this.#parts = parts;
  }

  async run(forMs: number | undefined): Promise<number> {
    const secret = `whsec_${Buffer.from(this.#parts.random.bytes(32)).toString("base64")}`;
    const receivers = this.#receivers(secret);
    try {
      const [healthy = 0, flaky = 0, dead = 0] = await Promise.all(receivers.map(async (receiver) => receiver.start()));
      writeFileSync(join(this.#directory, "demo.yaml"), demoManifests({ healthy, flaky, dead }, secret), { mode: 0o600 });
      const operator = await this.#parts.start(this.#config(), { logLevel: "error" });
      this.#screen.opened(operator.urls, this.#directory);
      return await this.#play(operator, receivers, forMs);
    } finally {
      for (const receiver of receivers) receiver.stop();
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  #receivers(secret: string): DemoReceiver[] {
    const { clock } = this.#parts;
    const make = (name: string, answer: (seen: number, count: number) => number | undefined): DemoReceiver =>
      new DemoReceiver({ name, secret, clock, answer, told: (receipt) => this.#screen.received(receipt) });
    return [
      make("healthy", () => 200),
      // Two of three first tries fail; what failed is taken at a later try.
      make("flaky", (seen, count) => (seen > 2 || count % 3 === 0 ? 204 : 500)),
      make("dead", () => undefined),
    ];
  }

  #config() {
    return loadConfig({
      env: {},
      flags: {
        provider: "file",
        manifests: this.#directory,
        store: `sqlite:${join(this.#directory, "store")}`,
        "store-reserve": "1Mi",
        "ingest-listen": "127.0.0.1:0",
        "api-listen": "127.0.0.1:0",
        "metrics-listen": "127.0.0.1:0",
        "ingest-auth": ["none"],
        "api-auth": ["none"],
        "drain-timeout": "1s",
      },
    });
  }

  async #play(operator: Operator, receivers: readonly DemoReceiver[], forMs: number | undefined): Promise<number> {
    const cancels: (() => void)[] = [];
    const ended = new Promise<void>((resolve) => {
      this.#parts.signals.onStop(resolve);
      if (forMs !== undefined) cancels.push(this.#parts.clock.after(forMs, resolve));
    });
    this.#every(PUBLISH_EVERY_MS, cancels, async () => this.#publish(operator.urls.ingest));
    this.#every(TABLE_EVERY_MS, cancels, async () => this.#screen.table(await operator.counters()));
    await ended;
    for (const cancel of cancels) cancel();
    const counters = await operator.counters();
    operator.stop();
    const code = await operator.finished;
    this.#screen.summary(this.#published, counters, {
      verified: receivers.reduce((sum, receiver) => sum + receiver.verified, 0),
      refused: receivers.reduce((sum, receiver) => sum + receiver.refused, 0),
    });
    return code;
  }

  #every(ms: number, cancels: (() => void)[], step: () => Promise<void>): void {
    const slot = cancels.push(() => {}) - 1;
    let stopped = false;
    const arm = (): void => {
      const cancel = this.#parts.clock.after(ms, () => {
        void step()
          .catch((error: unknown) => this.#screen.note(error instanceof Error ? error.message : String(error)))
          .finally(() => {
            if (!stopped) arm();
          });
      });
      cancels[slot] = () => {
        stopped = true;
        cancel();
      };
    };
    arm();
  }

  async #publish(ingest: string): Promise<void> {
    const type = this.#parts.random.next() < 0.6 ? "order.paid" : "order.created";
    this.#order += 1;
    const answer = await fetch(`${ingest}/v1/namespaces/${DEMO_NAMESPACE}/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ type, data: { order: this.#order, total: Math.round(this.#parts.random.next() * 10_000) / 100 } }),
    });
    const told = (await answer.json()) as { id?: string; matched?: number; detail?: string };
    if (answer.status !== 202) return this.#screen.note(`the ingest answered ${answer.status}: ${told.detail ?? ""}`);
    this.#published += 1;
    this.#screen.published(type, told.id ?? "", told.matched ?? 0);
  }
}
