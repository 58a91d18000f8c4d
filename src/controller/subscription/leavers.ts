import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import type { Route } from "../../core/route-table.ts";
import type { Subscription } from "../../core/subscription.ts";
import { subscriptionOf } from "./accepted-specs.ts";
import type { AcceptedSpec } from "./accepted-specs.ts";
import { judgeSubscription } from "./checks.ts";
import { Departures } from "./departures.ts";
import type { Departure, Hopeless } from "./departures.ts";
import { deletedNote } from "./deleted-note.ts";
import { dropSigningSecret } from "./dropped-secret.ts";
import { isHeldFor } from "../../core/drain-finalizer.ts";
import { gatherFacts } from "./facts.ts";
import type { SubscriptionFacts } from "./facts.ts";
import { aimedRoute, isUnknownNow } from "./route-of.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/** Finds the subscriptions that are on their way out, and what becomes of what is still owed to them. */
export class Leavers {
  readonly #parts: SubscriptionParts;
  readonly #departures: Departures;

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
    this.#departures = new Departures(parts.clock, parts.log, parts.deliveries);
  }

  start(): void {
    this.#departures.start();
  }

  stop(): Promise<void> {
    return this.#departures.stop();
  }

  /** The subscription is there, and nobody has deleted it. */
  cancel(uid: string): void {
    this.#departures.cancel(uid);
  }

  /** Something about its deliveries has changed. */
  poke(uid: string): void {
    this.#departures.poke(uid);
  }

  /** What was accepted once and is known not to be there any more. */
  departMissing(): void {
    const { accepted, resources, className } = this.#parts;
    for (const spec of accepted.all()) {
      const { uid, namespace, name } = spec;
      const object = resources.get("WebhookSubscription", namespace, name);
      if (object === undefined ? !resources.isGone("WebhookSubscription", namespace, name) : !resources.isListed(namespace)) continue;
      const isSame = object !== undefined && object.metadata.uid === uid;
      if (isSame && object.spec.className === className) continue;
      if (isSame) this.handOver(object);
      else this.depart(uid);
    }
  }

  /** Listed, and gone before its first look: only the store knows it. */
  departUnseen(namespace: string, name: string): void {
    for (const spec of this.#parts.accepted.all()) {
      if (spec.namespace === namespace && spec.name === name) this.depart(spec.uid);
    }
  }

  /**
   * What is owed to a subscription that neither a manifest nor the store knows: an attempt was under way when it was let go, and the process
   * ended before the attempt did. Nobody would ever send or end it.
   */
  departStrangers(): void {
    const { accepted, resources, routes, deliveries } = this.#parts;
    const there = new Set([...resources.list("WebhookSubscription")].map(({ metadata }) => metadata.uid));
    for (const uid of deliveries.owing()) {
      if (!there.has(uid) && accepted.get(uid) === undefined && routes.get(uid) === undefined) this.depart(uid);
    }
  }

  /**
   * The subscription is another installation's from now on: it matches nothing new here, what was accepted is delivered, whatever its deletionPolicy says,
   * then our finalizer and all that we know of it go. The key stays. Undone by `cancel`, should it come back.
   */
  handOver(object: WebhookSubscription): void {
    this.depart(object.metadata.uid ?? "", undefined, object, object.spec.className);
  }

  /** Ends a deleted subscription, or one that `to` has now; `facts` while its object is still there. Events about what was not delivered are recorded on `lastSeen`. */
  depart(uid: string, facts?: SubscriptionFacts, lastSeen: WebhookSubscription | undefined = facts?.object, to?: string): void {
    const { routes, accepted } = this.#parts;
    const route = routes.get(uid);
    const last = accepted.get(uid);
    const leaver = route?.subscription ?? last;
    if (route !== undefined && !route.draining) routes.set({ ...route, draining: true });
    const { namespace = "", name = "" } = facts?.object.metadata ?? leaver ?? lastSeen?.metadata ?? {};
    const how = this.#howOf(leaver, facts, to);
    // The store's routes do not know where they lead before the manifests are read; this one has no manifest any more.
    const isUnaimed = route?.subscription.blocked?.reason === "Starting" && last !== undefined;
    const about = lastSeen ?? (last === undefined ? undefined : subscriptionOf(last));
    this.#departures.begin({
      uid,
      namespace,
      name,
      how,
      sinceMs: this.#noteSince(last, facts?.object),
      hopeless: isUnaimed ? undefined : hopelessOf(route, leaver?.spec.suspend === true),
      aim: isUnaimed ? () => this.#aim(last) : undefined,
      to,
      tell: about && ((ended) => this.#parts.sink.recordEvent(about, deletedNote(about.metadata, { how, to }, ended))),
      finish: () => this.#letGo(uid, to === undefined ? facts?.object : lastSeen, to),
    });
  }

  #howOf(
    leaver: Pick<Subscription, "namespace" | "spec"> | undefined,
    facts: SubscriptionFacts | undefined,
    to: string | undefined,
  ): Departure["how"] {
    const namespace = this.#parts.resources.get("Namespace", "", leaver?.namespace ?? "");
    const isTerminating = facts?.terminating ?? namespace?.terminating ?? false;
    if (to !== undefined && !isTerminating) return "drain";
    const policy = facts?.object.spec.deletionPolicy ?? leaver?.spec.deletionPolicy ?? "Drain";
    return policy === "Discard" || isTerminating ? "discard" : "drain";
  }

  /** Since when it leaves, engine time; stored, so that its five minutes go on over restarts. */
  #noteSince(last: AcceptedSpec | undefined, object: WebhookSubscription | undefined): number {
    const { accepted, clock } = this.#parts;
    const sinceMs = last?.leavingSinceMs ?? (object === undefined ? clock.nowMs() : this.leavingSinceMs(object));
    if (last !== undefined && last.leavingSinceMs === undefined) accepted.put({ ...last, leavingSinceMs: sinceMs });
    return sinceMs;
  }

  /** The API server's clock tells when it was deleted: how long ago that is our wall clock knows, engine time goes on from there. */
  leavingSinceMs({ metadata }: WebhookSubscription): number {
    const { clock, accepted, known } = this.#parts;
    const { uid = "" } = metadata;
    const agoMs = Math.max(0, clock.trueMs() - Date.parse(metadata.deletionTimestamp ?? ""));
    // Seen alive by this process, it was deleted just now, whatever the API server's clock says of ours.
    const isJustNow = known.byUid(uid)?.seenAlive === true || !Number.isFinite(agoMs);
    return accepted.get(uid)?.leavingSinceMs ?? clock.nowMs() - (isJustNow ? 0 : agoMs);
  }

  /** Lets the object, the route and what was accepted go. Rejects to be called again. */
  async #letGo(uid: string, object: WebhookSubscription | undefined, to: string | undefined): Promise<void> {
    const { resources, sink, routes, accepted, className } = this.#parts;
    const last = accepted.get(uid);
    // Who takes it over signs with the same key.
    if (last !== undefined && to === undefined) await dropSigningSecret(this.#parts, last);
    const newest = (): WebhookSubscription | undefined =>
      object && resources.get("WebhookSubscription", object.metadata.namespace, object.metadata.name);
    const current = newest() ?? object;
    if (current !== undefined && isHeldFor(current.metadata.finalizers, className)) {
      const result = current.metadata.uid === uid ? await sink.setFinalizer(current, false) : ({ kind: "gone" } as const);
      if (result.kind === "failed" || result.kind === "conflict") throw new Error(`the finalizer cannot be removed yet (${result.kind})`);
    }
    if (to !== undefined) {
      const now = newest();
      // It came back to us while its finalizer was written.
      if (now?.metadata.uid === uid && now.spec.className === className) return;
      const message = `class ${className} has delivered what it accepted, and serves it no longer; class ${to} serves it now`;
      if (object !== undefined) sink.recordEvent(object, { type: "Normal", reason: "HandedOver", message });
    }
    routes.delete(uid);
    accepted.forget(uid);
  }

  /** Gives the route of a subscription that was deleted while nobody was running what it needs to drain. Answers whether that is hopeless. */
  async #aim(last: AcceptedSpec): Promise<Hopeless | "unknown" | undefined> {
    const { resources, routes, expressions } = this.#parts;
    const { uid, namespace, spec } = last;
    const namespaces = [...resources.list("Namespace")];
    // Not served any more: its own policies are not read, and nothing is sent under another.
    if (!resources.knowsNamespace(namespace)) return { why: `the namespace ${namespace} is no longer served` };
    if (namespaces.length > 0 && !namespaces.some(({ metadata }) => metadata.name === namespace))
      return { why: `the namespace ${namespace} is gone` };
    // No spec can be read of an object that is gone, so what is judged is the last accepted one.
    const { active } = judgeSubscription(await gatherFacts(this.#parts, subscriptionOf(last), last), expressions);
    const route = routes.get(uid);
    if (isUnknownNow(active?.blocked?.reason)) return "unknown";
    if (active?.target === undefined || route === undefined) return { why: active?.blocked?.message ?? "its route is gone" };
    const aimed = aimedRoute(route, active);
    routes.set(aimed);
    return hopelessOf(aimed, spec.suspend);
  }
}

/** Nothing can be sent of what is left, and why. What cannot be read at the moment may be there a second later: that is not the end. */
function hopelessOf(route: Route | undefined, isSuspended: boolean): Hopeless | undefined {
  if (route === undefined) return { why: "no spec of it was accepted" };
  const { blocked } = route.subscription;
  if (blocked !== undefined && !isUnknownNow(blocked.reason)) return { why: blocked.message };
  return isSuspended ? { why: "it was suspended" } : undefined;
}
