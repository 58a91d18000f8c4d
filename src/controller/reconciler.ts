import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Deliveries } from "./deliveries.ts";
import type { ObjectKey, ObjectRef, ReportedKind, Resources, ResultSink } from "./objects.ts";
import type { PolicyView } from "./policy/policy-view.ts";
import type { DueStatus, StatusReporter } from "./status-reporter.ts";

/**
 * What is done about one kind of ours. A kind that has more to do than to show a status owns its work queue: what the API server does not answer
 * for one kind holds up no other. What it remembers is gone after a crash; everything is listed and looked at again then.
 */
export interface Reconciler<K extends ReportedKind = ReportedKind> {
  readonly kind: K;
  /** Called once, before the first `listed`. Rejects when the store cannot be read. */
  start?(): Promise<void>;
  /** Settles when the work under way is done and stored. */
  stop?(): Promise<void>;
  /** More has been listed than before: takes up what may be judged now. */
  listed(): void;
  /** An object has changed, of this kind or of any other. Only notes keys; must not throw. */
  changed(ref: ObjectRef): void;
  /** The status that an object should have now; undefined when there is none to write. */
  compose(key: ObjectKey<K>): DueStatus | undefined;
  /** Called once a status is there. */
  written(key: ObjectKey<K>, status: object): void;
}

/** What the reconcilers share. */
export interface ReconcilerParts {
  readonly resources: Resources;
  readonly sink: ResultSink;
  readonly deliveries: Deliveries;
  readonly policies: PolicyView;
  readonly reporter: StatusReporter<ObjectKey<ReportedKind>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics?: Metrics;
}
