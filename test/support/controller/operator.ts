import type { AcceptedSpec, AcceptedSpecs } from "../../../src/controller/subscription/accepted-specs.ts";
import { Controller } from "../../../src/controller/controller.ts";
import type { Resources, ResultSink } from "../../../src/controller/objects.ts";
import { RouteTable, type Route } from "../../../src/core/route-table.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { silentLog } from "../silent-log.ts";
import { Changes } from "../until.ts";
import { FakeDeliveries } from "./fake-deliveries.ts";

export interface OperatorParts<Provider> {
  readonly provider: Provider;
  readonly clock: Clock;
  readonly className?: string;
  /** Last accepted specs that outlive it, as in a store. */
  readonly stored: Map<string, AcceptedSpec>;
  /** How long `until` waits where nothing else is said. */
  readonly waitMs: number;
}

/** A provider and the controller on it; the engine is a fake whose numbers a test sets. */
export abstract class Operator<Provider extends Resources & ResultSink & { run: (signal: AbortSignal) => Promise<unknown> }> {
  readonly deliveries = new FakeDeliveries();
  readonly provider: Provider;
  readonly controller: Controller;
  readonly stored: Map<string, AcceptedSpec>;
  /** How each status write ended, and when. */
  readonly writes: { readonly object: string; readonly result: string; readonly atMs: number }[] = [];
  table = RouteTable.empty;
  protected readonly changes = new Changes();
  readonly #waitMs: number;
  readonly #abort = new AbortController();
  #done: Promise<unknown> = Promise.resolve();

  constructor({ provider, clock, className = "postrider", stored, waitMs }: OperatorParts<Provider>) {
    this.provider = provider;
    this.stored = stored;
    this.#waitMs = waitMs;
    this.controller = new Controller({
      resources: provider,
      sink: provider,
      deliveries: this.deliveries,
      clock,
      random: systemRandom,
      log: silentLog,
      className,
      systemNamespace: "postrider-system",
      acceptedSpecs: specsIn(stored),
      onTable: (table) => {
        this.table = table;
        this.changes.happened();
      },
      onReady: () => this.changes.happened(),
    });
    this.#watchWrites(provider);
  }

  run(): this {
    this.#done = Promise.all([this.provider.run(this.#abort.signal), this.controller.run(this.#abort.signal)]);
    return this;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  /** Waits for a table or a written status after which `holds` is true. */
  until(holds: () => boolean, withinMs = this.#waitMs): Promise<void> {
    return this.changes.until(holds, { withinMs });
  }

  protected find(namespace: string, name: string): Route | undefined {
    return [...this.table.routes()].find(({ subscription }) => subscription.namespace === namespace && subscription.name === name);
  }

  #watchWrites(sink: ResultSink): void {
    const writeStatus = sink.writeStatus.bind(sink);
    sink.writeStatus = async (object, status) => {
      const result = await writeStatus(object, status);
      this.writes.push({ object: `${object.kind}/${object.metadata.name}`, result: result.kind, atMs: performance.now() });
      this.changes.happened();
      return result;
    };
  }
}

/** Accepted specs as they are read from a store: copies, nothing shared. */
export function specsIn(stored: Map<string, AcceptedSpec>): AcceptedSpecs {
  return {
    load: () => Promise.resolve([...stored.values()]),
    save: (specs) => Promise.resolve(specs.forEach((spec) => stored.set(spec.uid, JSON.parse(JSON.stringify(spec)) as AcceptedSpec))),
    forget: (uid) => Promise.resolve(void stored.delete(uid)),
  };
}
