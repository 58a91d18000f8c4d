import type { Store } from "../store/store.ts";
import { StepBudgets } from "../core/expression/step-budgets.ts";
import { LongWork } from "../lib/long-work.ts";
import { Shares } from "../lib/shares.ts";
import { Acceptance, type AcceptanceParts } from "./acceptance.ts";
import type { Authenticator } from "./authenticator.ts";
import { IngestServer, type IngestServerOptions } from "./ingest-server.ts";
import { RateGate } from "./rate-gate.ts";
import { Reception } from "./reception.ts";
import type { StorageQuota } from "./storage-quota.ts";
import { ResultDesk } from "./results/result-desk.ts";
import { type DeliveryEnds, type HubLimits, ResultHub } from "./results/result-hub.ts";

export interface IngestParts extends AcceptanceParts, Omit<IngestServerOptions, "reception" | "results"> {
  readonly store: Pick<Store, "accept" | "result" | "readEvent">;
  /** Who tells that a delivery has ended. */
  readonly ends: DeliveryEnds;
  /** Names of subscriptions, of deleted ones too. */
  readonly nameOf: (uid: string) => string | undefined;
  /** Tests make these small. */
  readonly hubLimits?: Partial<HubLimits>;
  readonly authenticator: Authenticator;
  /** Deliveries per second and namespace; 0 = no limit. */
  readonly rateLimitPerSecond: number;
  readonly tokenInQuery: boolean;
  readonly storage: StorageQuota;
  /** See DiskWatch. */
  readonly diskLow: () => boolean;
}

/** Room for the deliveries of so many of the largest requests on their way to the disk: one namespace can have one there, a second one too. */
const REQUESTS_UNDER_WAY = 3;
/** Deliveries that a namespace may have on their way whatever the others do. */
const DELIVERIES_FLOOR = 256;

/** Puts the ingest together. @throws IngestConfigError for `none` on an address that others can reach */
export function buildIngest(parts: IngestParts): IngestServer {
  const work = new LongWork(parts.clock);
  const acceptance = new Acceptance(parts, {
    rate: new RateGate(parts.rateLimitPerSecond),
    underWay: new Shares(parts.deliveriesMax * REQUESTS_UNDER_WAY, Math.min(DELIVERIES_FLOOR, parts.deliveriesMax)),
    storage: parts.storage,
    work,
    steps: new StepBudgets(),
  });
  const reception = new Reception({ ...parts, acceptance, work });
  const { store, ends, clock, log, events } = parts;
  const hub = new ResultHub({ store, clock, log, onCount: (open) => events.resultPollsOpen(open), limits: parts.hubLimits });
  const showsAnswers = (uid: string): boolean => parts.routes.table().byUid(uid)?.subscription.spec.history.answerInResults === true;
  const results = new ResultDesk({ hub, known: { nameOf: parts.nameOf, showsAnswers }, clock });
  const server = new IngestServer({ ...parts, reception, results });
  ends.onDeliveryEnded((eventId) => hub.ended(eventId));
  return server;
}
