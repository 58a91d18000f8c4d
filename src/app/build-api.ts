import { ApiServer } from "../admin/api-server.ts";
import type { ApiAuthenticator } from "../admin/authenticator.ts";
import type { Controller } from "../controller/controller.ts";
import type { Resources } from "../controller/objects.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import type { RouteTable } from "../core/route-table.ts";
import type { Attempter } from "../delivery/attempter.ts";
import type { Engine } from "../delivery/engine.ts";
import type { PayloadBook } from "../delivery/flight/payload-book.ts";
import { TestSender } from "../delivery/test-sender.ts";
import type { NameBook } from "../ingest/name-book.ts";
import type { StorageQuota } from "../ingest/storage-quota.ts";
import type { Clock } from "../lib/clock.ts";
import type { DoorWatch } from "../lib/door/door.ts";
import type { ListenAddress } from "../lib/listen.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";
import { subscriptionDirectory } from "./subscription-directory.ts";

export interface ApiGround {
  readonly listen: ListenAddress;
  readonly authenticator: ApiAuthenticator;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: BusinessEvents;
  readonly store: Store;
  readonly resources: Resources;
  readonly controller: Controller;
  readonly engine: Engine;
  readonly attempter: Attempter;
  readonly payloads: PayloadBook;
  readonly names: NameBook;
  readonly deliveryNames: DeliveryNames;
  readonly storage: StorageQuota;
  readonly table: () => RouteTable;
  readonly closed: () => string | undefined;
  readonly watch: DoorWatch;
}

/** The read and act API, joined to the engine that acts and to those who know the subscriptions. */
export function buildApi(ground: ApiGround): ApiServer {
  const { listen, authenticator, clock, log, events, store, engine, attempter, payloads, table } = ground;
  const recover = (uid: string): Promise<void> => engine.recover(uid);
  const tests = new TestSender({ clock, attempter, table, recover, events, laneOf: (uid) => engine.laneOf(uid) });
  return new ApiServer({
    listen,
    authenticator,
    log,
    watch: ground.watch,
    closed: ground.closed,
    store,
    clock,
    deliveryNames: ground.deliveryNames,
    directory: subscriptionDirectory(ground.resources, ground.controller, ground.names),
    acts: {
      resend: (id) => engine.resend(id),
      storageFull: (namespace) => ground.storage.full(namespace)?.detail,
      test: (order, signal) => tests.send(order, signal),
      pause: (uid, message) => engine.pause(uid, message),
      resume: (uid) => engine.resume(uid),
      heldBack: (queue) => engine.heldBack(queue),
      bodyOf: (attempt, event) => payloads.bodyOf(attempt, event),
    },
  });
}
