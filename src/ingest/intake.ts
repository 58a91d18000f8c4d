import type { Event } from "../core/event.ts";
import type { Route } from "../core/route-table.ts";
import type { DeliveryId, NewDelivery } from "../store/store.ts";

/**
 * What the ingest asks of the engine around a commit: `admit` before it (how each delivery is stored, memory reserved), then for each delivery
 * exactly one of `committed` or `abandoned`. An event with many deliveries is told in several calls of each, some of its deliveries at a time,
 * with other work in between. None of the calls may block or throw. The engine fulfils it, app/compose.ts joins the two.
 */
export interface Intake {
  /** Asked once for each request, before anything of it is admitted; settles within 50 ms. Undefined = at once. */
  room(routes: Iterable<Route>): Promise<void> | undefined;
  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[];
  committed(event: Event, deliveries: readonly NewDelivery[], ids: readonly DeliveryId[]): void;
  /** `isDoubtful`: the commit did not say whether it happened. */
  abandoned(event: Event, deliveries: readonly NewDelivery[], isDoubtful?: boolean): void;
  /** False while the engine has no room: the ingest answers 503 with Retry-After. */
  accepting(): boolean;
}
