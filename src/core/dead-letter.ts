import type { EndReason } from "./delivery.ts";
import type { DeliveryNames } from "./delivery-name.ts";
import type { Event } from "./event.ts";
import { uuidv7Ms } from "../lib/random.ts";
import { renderPayload } from "./payload.ts";
import type { Route } from "./route-table.ts";
import type { PayloadSpec, SubscriptionName } from "./subscription.ts";

/** Type of the event that tells of a delivery that failed for good. */
export const DEAD_LETTER_TYPE = "dev.postrider.deadletter.v1";

const SUFFIX = "#deadletter";

/** What a dead letter says of the delivery that failed; stored with the dead letter, so it says the same however often it is tried. */
export interface DeadLetterNote {
  /** The delivery that failed. */
  readonly deliveryId: number;
  readonly reason: EndReason;
  readonly attempts: number;
  /** Of the last attempt; absent where there was none or no answer. */
  readonly statusCode?: number | undefined;
  readonly message?: string | undefined;
  readonly acceptedAtMs: number;
  readonly endedAtMs: number;
}

/** The queue in which the dead letters of a subscription wait. */
export function deadLetterQueue(uid: string): string {
  return `${uid}${SUFFIX}`;
}

/** The subscription whose dead letters a queue holds; undefined for any other queue. */
export function deadLetterOwner(queue: string): string | undefined {
  return queue.endsWith(SUFFIX) ? queue.slice(0, -SUFFIX.length) : undefined;
}

const routes = new WeakMap<Route, Route>();
const STRUCTURED: PayloadSpec = { format: "CloudEventsStructured", formParameter: "payload", body: undefined };

/**
 * Where the dead letters of a subscription go, as a route of its own: its `deadLetter.endpoint`, signed as the subscription signs, under the
 * same policy. It has no dead letters itself, so nothing loops. Undefined while the subscription forwards none.
 */
export function deadLetterRoute(route: Route | undefined): Route | undefined {
  const endpoint = route?.subscription.spec.deadLetter;
  if (route === undefined || endpoint === undefined) return undefined;
  const known = routes.get(route);
  if (known !== undefined) return known;
  const { subscription } = route;
  const { deadLetter: _forwarded, ordering: _order, verification: _asked, ...spec } = subscription.spec;
  const made: Route = {
    subscription: {
      ...subscription,
      uid: deadLetterQueue(subscription.uid),
      name: deadLetterQueue(subscription.name),
      spec: { ...spec, endpoint, payload: STRUCTURED, filter: undefined },
      target: subscription.target?.deadLetter,
    },
    filter: undefined,
    body: undefined,
    draining: route.draining,
  };
  routes.set(route, made);
  return made;
}

type NamesDeliveries = Pick<DeliveryNames, "nameOf">;

/** The event that tells of a failed delivery: the original lies in its data as a CloudEvent, its own data byte for byte. */
export function deadLetterEvent(event: Event, note: DeadLetterNote, subscription: SubscriptionName, names: NamesDeliveries): Event {
  const { namespace } = subscription;
  const deliveryID = names.nameOf(namespace, note.deliveryId);
  const name = deadLetterOwner(subscription.name) ?? subscription.name;
  // The event's id holds the wall's time at its acceptance. Reckoned from there, all attempts of a letter tell the same times, whatever the clock does.
  const toWallMs = (uuidv7Ms(event.id) ?? note.acceptedAtMs) - note.acceptedAtMs;
  const head = {
    namespace,
    subscription: name,
    deliveryID,
    reason: note.reason,
    attempts: note.attempts,
    lastStatusCode: note.statusCode ?? null,
    lastMessage: note.message ?? null,
    acceptedTime: new Date(note.acceptedAtMs + toWallMs).toISOString(),
    failedTime: new Date(note.endedAtMs + toWallMs).toISOString(),
  };
  const original = renderPayload(event, STRUCTURED, undefined);
  const body = original.ok ? original.payload.body : new TextEncoder().encode("null");
  const id = `${event.id}-${deliveryID}-${note.endedAtMs}`;
  return {
    id,
    namespace,
    sourceId: id,
    source: `/namespaces/${namespace}/webhooksubscriptions/${name}`,
    type: DEAD_LETTER_TYPE,
    subject: event.id,
    time: head.failedTime,
    dataContentType: "application/json",
    dataKind: "json",
    data: Buffer.concat([Buffer.from(`${JSON.stringify(head).slice(0, -1)},"event":`), body, Buffer.from("}")]),
    extensions: {},
    receivedAtMs: note.endedAtMs,
  };
}
