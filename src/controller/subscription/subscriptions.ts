import { isDeepStrictEqual } from "node:util";
import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import { keyIdentity } from "../../core/signing/key-identity.ts";
import { needsAdoption, tellKey } from "./signing-keys.ts";
import { newSigningSecret, SIGNING_SECRET_KEY, signingForLabel, signingSecretName } from "./signing-secret.ts";
import type { Problem } from "../../core/problem.ts";
import type { Reason } from "../../core/reasons.ts";
import { RESUME_ANNOTATION, refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";
import type { Route } from "../../core/route-table.ts";
import { judgeSubscription } from "./checks.ts";
import type { Verdict } from "./checks.ts";
import { drainFinalizer, drainingClasses, isHeldFor } from "../../core/drain-finalizer.ts";
import { isHeldAsWanted } from "./drain-finalizers.ts";
import { dependenciesOf, gatherFacts } from "./facts.ts";
import type { SubscriptionFacts } from "./facts.ts";
import type { Known } from "./known-book.ts";
import type { Leavers } from "./leavers.ts";
import { drainingRoute, isGoneToo, isUnknownNow, routeOf } from "./route-of.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/** What may come later is looked for although nothing was heard (a Secret that is not ours to watch): soon at first, then seldom. */
export const RECHECK_MIN_MS = 5_000;
export const RECHECK_MAX_MS = 60_000;
/** The engine is asked again when it may have read what it owes. */
const RESUME_AGAIN_MS = 1_000;
/**
 * A route that lost its target is remembered this long, so that a deletion that is heard of later still drains; with it the values of Secrets, which
 * are gone from memory at the first look after that (RECHECK_MAX_MS at most).
 */
export const ROUTE_KEPT_MS = 30_000;
/** A longer resume annotation is cut, like the status field that echoes it. */
const RESUME_CHARS_MAX = 256;

/** After a look: what else is to be done. */
export interface Looked {
  readonly recheckMs: number | undefined;
  readonly finalizerDue: boolean;
  /** Its generated Secret is as version 0.1 wrote it. */
  readonly adoptionDue: boolean;
  /** Accepted and able to send; undefined when the subscription is not there (any more). */
  readonly ready: boolean | undefined;
}

const NOTHING: Looked = { recheckMs: undefined, finalizerDue: false, adoptionDue: false, ready: undefined };

/** Gathers, checks and applies one subscription at a time. */
export class Subscriptions {
  readonly #parts: SubscriptionParts;
  readonly #leavers: Leavers;

  constructor(parts: SubscriptionParts, leavers: Leavers) {
    this.#parts = parts;
    this.#leavers = leavers;
  }

  /** Brings one subscription to what its manifest says now. Rejects when the store or the engine could not do its part. */
  async reconcile(key: SubscriptionKey): Promise<Looked> {
    const { resources, className, accepted, expressions } = this.#parts;
    const { namespace, name } = refOfKey(key);
    const object = resources.get("WebhookSubscription", namespace, name);
    const known = this.#parts.known.get(key);
    const isOurs = object !== undefined && object.spec.className === className;
    const isHandedOver = object !== undefined && !isOurs && (known?.uid === object.metadata.uid || isHeldByName(object, className));
    if (known !== undefined && (!isOurs || known.uid !== object.metadata.uid)) this.#forget(key, known, isHandedOver);
    // What we accepted is delivered, then our finalizer goes.
    if (isHandedOver) this.#leavers.handOver(object);
    if (object === undefined && known === undefined && resources.isGone("WebhookSubscription", namespace, name))
      this.#leavers.departUnseen(namespace, name);
    if (!isOurs) return NOTHING;
    const uid = object.metadata.uid ?? "";
    if (object.metadata.deletionTimestamp === undefined) this.#leavers.cancel(uid);
    const facts = await gatherFacts(this.#parts, object, accepted.get(uid));
    return this.#apply(key, facts, judgeSubscription(facts, expressions));
  }

  async #apply(key: SubscriptionKey, facts: SubscriptionFacts, verdict: Verdict): Promise<Looked> {
    const { object, uid } = facts;
    const keyBefore = this.#parts.known.get(key)?.signingName ?? facts.lastAccepted?.signingSecretName ?? object.status?.signingSecretName;
    const known = this.#parts.known.remember(key, facts, verdict);
    const adoptionDue = verdict.ownKey !== undefined && needsAdoption(verdict.ownKey);
    this.#parts.dependencies.set(key, dependenciesOf(facts));
    const isLeaving = object.metadata.deletionTimestamp !== undefined;
    this.#program(known, verdict, isLeaving);
    this.#accept(known, verdict, isLeaving ? this.#leavers.leavingSinceMs(object) : undefined);
    if (isLeaving) {
      this.#leavers.depart(uid, facts);
      // What cannot be read now is looked for: nothing may be told once it can.
      const recheckMs = isUnknownNow(verdict.active?.blocked?.reason) ? RECHECK_MIN_MS : undefined;
      return { ...NOTHING, recheckMs, adoptionDue, ready: false };
    }
    if (keyBefore === undefined && known.signingName !== undefined) this.#tellAdopted(known);
    if (verdict.needsKey && (await this.#generateKey(known, verdict))) return { ...NOTHING, recheckMs: 0, ready: false };
    known.endpointMoved ||= hasMoved(facts, verdict);
    const isResumed = await this.#resume(known);
    const { active } = verdict;
    const { className } = this.#parts;
    const { finalizers } = object.metadata;
    const wantsFinalizer = active?.spec.deletionPolicy === "Drain";
    return {
      recheckMs: isResumed ? this.#recheckMs(known, active?.blocked?.reason) : RESUME_AGAIN_MS,
      adoptionDue,
      finalizerDue: !isHeldAsWanted(object, className, wantsFinalizer) && (active !== undefined || isHeldFor(finalizers, className)),
      ready: verdict.refusal === undefined && active?.blocked === undefined,
    };
  }

  /** The longer the same thing has been waited for, the more seldom it is looked for. */
  #recheckMs(known: Known, reason: Reason | undefined): number | undefined {
    if (reason === undefined) {
      known.blocked = undefined;
      return undefined;
    }
    const nowMs = this.#parts.clock.monotonicMs();
    if (known.blocked?.reason !== reason) known.blocked = { reason, sinceMs: nowMs };
    return Math.min(Math.max(nowMs - known.blocked.sinceMs, RECHECK_MIN_MS), RECHECK_MAX_MS);
  }

  /** The routing table learns of a change first; everything else may wait. A route that has not changed stays the same object. */
  #program(known: Known, { active }: Verdict, draining: boolean): void {
    const { routes } = this.#parts;
    if (active === undefined) return routes.delete(known.uid);
    const before = routes.get(known.uid);
    const judged = routeOf(known, active, draining);
    const aimed = this.#lastAimed(known, before, judged);
    const route = draining ? drainingRoute(aimed, judged) : judged;
    if (before !== undefined && before.filter === route.filter && before.body === route.body && isDeepStrictEqual(before, route)) return;
    routes.set(route);
  }

  /**
   * Where it led. Kept for a moment when what it names disappears: a deletion takes several objects with it, and word of the Secret may come before word
   * of the subscription.
   */
  #lastAimed(known: Known, before: Route | undefined, now: Route): Route | undefined {
    const nowMs = this.#parts.clock.monotonicMs();
    if (now.subscription.target !== undefined || !isGoneToo(now.subscription.blocked?.reason)) known.lastAimed = undefined;
    else if (before?.subscription.target !== undefined) known.lastAimed = { route: before, lostAtMs: nowMs };
    else if (known.lastAimed !== undefined && nowMs - known.lastAimed.lostAtMs > ROUTE_KEPT_MS) known.lastAimed = undefined;
    return before?.subscription.target === undefined ? known.lastAimed?.route : before;
  }

  /** While an edit is refused the spec stays the one before, but the policies that it obeys are those of now. */
  #accept(known: Known, { active }: Verdict, leavingSinceMs?: number): void {
    if (active === undefined) return;
    const { uid, namespace, name, signingName, resume } = known;
    const { spec, generation, effective } = active;
    const { policy, egress, limits } = effective;
    this.#parts.accepted.put({
      uid,
      namespace,
      name,
      generation,
      spec,
      policy,
      egress,
      fanOutMax: limits.fanOut,
      signingSecretName: signingName,
      lastHandledResume: resume,
      leavingSinceMs,
      takenOverSinceMs: this.#takenOverSinceMs(known),
    });
  }

  /** Since when another installation has been waited for; undefined once its finalizer is gone. */
  #takenOverSinceMs({ uid, object }: Known): number | undefined {
    const { accepted, clock, className } = this.#parts;
    if (drainingClasses(object.metadata.finalizers, className).length === 0) return undefined;
    return accepted.get(uid)?.takenOverSinceMs ?? clock.nowMs();
  }

  #tellAdopted({ object, verdict }: Known): void {
    const [shown] = verdict.signingKeys;
    if (shown === undefined || verdict.ownKey?.metadata.name !== shown.secretName) return;
    const message = `The signing key in Secret ${shown.secretName} (${tellKey(shown)}), generated for an earlier subscription of this name, is used again: receivers that know it need nothing new. For a new key, name a Secret of your own in spec.signing.secretRefs.`;
    this.#parts.sink.recordEvent(object, { type: "Normal", reason: "SigningKeyAdopted", message });
  }

  /** Answers whether a key was made; otherwise the verdict says why not. */
  async #generateKey(known: Known, verdict: Verdict): Promise<boolean> {
    const { sink, random } = this.#parts;
    const { active } = verdict;
    if (active === undefined) return false;
    const name = signingSecretName(known.name);
    const value = newSigningSecret(active.spec.signing.scheme, random);
    const signingFor = signingForLabel(known.name);
    const result = await sink.createSigningSecret({ owner: known.object, name, key: SIGNING_SECRET_KEY, value, signingFor });
    if (result.kind === "done") {
      const message = `A new signing key was generated in Secret ${name} (${tellKey(keyIdentity(Buffer.from(value), true))}): give it to the receiver, which refuses deliveries until it knows the key.`;
      sink.recordEvent(known.object, { type: "Normal", reason: "SigningKeyGenerated", message });
      known.signingName = name;
      this.#accept(known, verdict);
      return true;
    }
    if (result.kind === "failed") {
      const blocked: Problem = { field: "spec.signing.secretRefs", reason: "SecretNotCreated", message: result.message };
      known.verdict = { ...verdict, active: { ...active, blocked } };
    }
    return false;
  }

  /** A new value of the annotation, or a new endpoint, lifts an automatic suspension. False: not yet, the engine is still reading. */
  async #resume(known: Known): Promise<boolean> {
    const { deliveries, routes, accepted } = this.#parts;
    const asked = known.object.metadata.annotations?.[RESUME_ANNOTATION]?.slice(0, RESUME_CHARS_MAX);
    const isAsked = asked !== undefined && asked !== known.resume;
    if (!isAsked && !known.endpointMoved) return true;
    if (!deliveries.ready) return false;
    // The engine must not try the old endpoint once more.
    routes.build();
    await deliveries.resume(known.uid);
    known.endpointMoved = false;
    if (!isAsked) return true;
    known.resume = asked;
    const last = accepted.get(known.uid);
    if (last !== undefined) accepted.put({ ...last, lastHandledResume: asked });
    return true;
  }

  #forget(key: SubscriptionKey, known: Known, isHandedOver: boolean): void {
    this.#parts.known.forget(key, known);
    this.#parts.dependencies.delete(key);
    if (!isHandedOver && this.#parts.routes.get(known.uid) !== undefined) this.#leavers.depart(known.uid, undefined, known.object);
  }
}

/** Whether it is held for a class that it no longer has. */
function isHeldByName({ metadata }: WebhookSubscription, className: string): boolean {
  return metadata.finalizers?.includes(drainFinalizer(className)) ?? false;
}

/** Whether the spec that is obeyed from now on sends somewhere else than the one before. */
function hasMoved({ lastAccepted }: SubscriptionFacts, { refusal, active }: Verdict): boolean {
  return (
    lastAccepted !== undefined &&
    refusal === undefined &&
    !isDeepStrictEqual(plain(lastAccepted.spec.endpoint), plain(active?.spec.endpoint))
  );
}

/** As it is after the store: JSON knows no undefined. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
