import { isDeepStrictEqual } from "node:util";
import type { WebhookSubscription, WebhookSubscriptionStatus } from "../api/generated/custom-resources.ts";
import { movedConditions } from "../core/conditions.ts";
import type { Condition } from "../core/conditions.ts";
import type { PolicyLimits } from "../core/policy.ts";
import type { Route } from "../core/route-table.ts";
import type { Subscription } from "../core/subscription.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { AcceptedBook, AcceptedSpec } from "./accepted-specs.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Departures } from "./departures.ts";
import type { DependencyIndex } from "./dependency-index.ts";
import type { ExpressionCache } from "./expression-cache.ts";
import { DRAIN_FINALIZER, RESUME_ANNOTATION } from "./objects.ts";
import type { Resources, ResultSink } from "./objects.ts";
import type { PolicyView } from "./policy-view.ts";
import { ACCEPTED, ENDPOINT_HEALTHY, RESOLVED_REFS, SECRET_PENDING, STARTING, SUSPENDED } from "./reasons.ts";
import type { RouteBook } from "./route-book.ts";
import { newSigningSecret, SIGNING_SECRET_KEY, signingSecretName } from "./signing-secret.ts";
import type { DueStatus } from "./status-reporter.ts";
import { bodyOf, filterOf, judgeSubscription } from "./subscription-checks.ts";
import type { Verdict } from "./subscription-checks.ts";
import { dependenciesOf, gatherFacts } from "./subscription-facts.ts";
import type { SubscriptionFacts } from "./subscription-facts.ts";
import { composeStatus } from "./subscription-status.ts";

/** What may come later is looked for although nothing was heard (a Secret that is not ours to watch): soon at first, then seldom. */
export const RECHECK_MIN_MS = 5_000;
export const RECHECK_MAX_MS = 60_000;
/** The engine is asked again when it may have read what it owes. */
const RESUME_AGAIN_MS = 1_000;
/** A longer resume annotation is cut, like the status field that echoes it. */
const RESUME_CHARS_MAX = 256;

/** What one reconciliation needs of its surroundings. */
export interface SubscriptionParts {
  readonly resources: Resources;
  readonly sink: ResultSink;
  readonly deliveries: Deliveries;
  readonly policies: PolicyView;
  readonly expressions: ExpressionCache;
  readonly accepted: AcceptedBook;
  readonly routes: RouteBook;
  readonly dependencies: DependencyIndex;
  readonly departures: Departures;
  readonly clock: Clock;
  readonly random: Random;
  readonly className: string;
  readonly systemNamespace: string;
}

/** What is remembered of a subscription between two looks. */
interface Known {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  object: WebhookSubscription;
  verdict: Verdict | undefined;
  signingName: string | undefined;
  resume: string | undefined;
  status: WebhookSubscriptionStatus | undefined;
  /** When the present reason for waiting was first seen. */
  blocked: { readonly reason: string; readonly sinceMs: number } | undefined;
  /** Its endpoint moved and the engine has not been told yet. */
  endpointMoved: boolean;
  /** This process has seen it without a time of deletion. */
  seenAlive: boolean;
}

/** After a look: what else is to be done. */
export interface Looked {
  readonly recheckMs: number | undefined;
  readonly finalizerDue: boolean;
  /** Accepted and able to send; undefined when the subscription is not there (any more). */
  readonly ready: boolean | undefined;
}

const NOTHING: Looked = { recheckMs: undefined, finalizerDue: false, ready: undefined };

/** Gathers, checks and applies one subscription at a time. Keys are `namespace/name`. */
export class Subscriptions {
  readonly #parts: SubscriptionParts;
  readonly #known = new Map<string, Known>();
  readonly #keyOf = new Map<string, string>();

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
  }

  keyOf(uid: string): string | undefined {
    return this.#keyOf.get(uid);
  }

  /**
   * Routes from the store, before anything was listed: events match as they did, under the policy and the egress rules obeyed last, and wait. They
   * wait also where nothing more is needed to send: nobody knows yet whether the subscription has been suspended, changed or deleted meanwhile, or
   * what its policies allow now.
   */
  restore(loaded: readonly AcceptedSpec[]): void {
    const { expressions, routes } = this.#parts;
    for (const { uid, namespace, name, generation, spec, policy, egress, fanOutMax, leavingSinceMs } of loaded) {
      const blocked = { reason: STARTING, message: "the manifests are being read" };
      const limits = fanOutMax === undefined ? {} : { fanOutMax };
      const subscription = { uid, namespace, name, generation, spec, policy, egress, ...limits, blocked, target: undefined };
      const filter = spec.filter === undefined ? undefined : filterOf(spec.filter, expressions);
      const body = spec.payload.body === undefined ? undefined : bodyOf(spec.payload.body, expressions);
      routes.set({ subscription, filter, body, draining: leavingSinceMs !== undefined });
    }
  }

  isKnown(key: string): boolean {
    return this.#known.has(key);
  }

  /** What was accepted once and is known not to be there any more. */
  departMissing(): void {
    const { accepted, resources, className } = this.#parts;
    for (const spec of accepted.all()) {
      const { uid, namespace, name } = spec;
      const object = resources.get("WebhookSubscription", namespace, name);
      if (object === undefined ? !resources.isGone("WebhookSubscription", namespace, name) : !resources.isListed(namespace)) continue;
      if (object?.metadata.uid === uid && object.spec.className === className) continue;
      this.#depart(uid, undefined);
    }
  }

  /** Listed, and gone before its first look: only the store knows it. */
  #departUnseen(namespace: string, name: string): void {
    for (const spec of this.#parts.accepted.all()) {
      if (spec.namespace === namespace && spec.name === name) this.#depart(spec.uid, undefined);
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
      if (!there.has(uid) && accepted.get(uid) === undefined && routes.get(uid) === undefined) this.#depart(uid, undefined);
    }
  }

  /** Brings one subscription to what its manifest says now. Rejects when the store or the engine could not do its part. */
  async reconcile(key: string): Promise<Looked> {
    const { resources, className, systemNamespace, policies, accepted, departures } = this.#parts;
    const [namespace = "", name = ""] = key.split("/");
    const object = resources.get("WebhookSubscription", namespace, name);
    const known = this.#known.get(key);
    const isOurs = object !== undefined && object.spec.className === className;
    if (known !== undefined && (!isOurs || known.uid !== object.metadata.uid)) this.#forget(key, known);
    if (object === undefined && known === undefined && resources.isGone("WebhookSubscription", namespace, name))
      this.#departUnseen(namespace, name);
    if (!isOurs) return NOTHING;
    const uid = object.metadata.uid ?? "";
    if (object.metadata.deletionTimestamp === undefined) departures.cancel(uid);
    const facts = await gatherFacts({ resources, policies, systemNamespace }, object, accepted.get(uid));
    const verdict = judgeSubscription(facts, this.#parts.expressions);
    return this.#apply(key, facts, verdict);
  }

  async #apply(key: string, facts: SubscriptionFacts, verdict: Verdict): Promise<Looked> {
    const { object, uid, lastAccepted } = facts;
    const known = this.#remember(key, facts, verdict);
    this.#parts.dependencies.set(known.namespace, known.name, dependenciesOf(facts));
    const isLeaving = object.metadata.deletionTimestamp !== undefined;
    this.#program(known, verdict, isLeaving);
    this.#accept(known, verdict, isLeaving ? this.#leavingSinceMs(object) : undefined);
    if (isLeaving) {
      this.#depart(uid, facts);
      return { ...NOTHING, ready: false };
    }
    if (verdict.needsKey && (await this.#generateKey(known, verdict))) return { ...NOTHING, recheckMs: 0, ready: false };
    const { active } = verdict;
    const moved =
      lastAccepted !== undefined &&
      verdict.refusal === undefined &&
      !isDeepStrictEqual(plain(lastAccepted.spec.endpoint), plain(active?.spec.endpoint));
    known.endpointMoved ||= moved;
    const isResumed = await this.#resume(known);
    const wantsFinalizer = active?.spec.deletionPolicy === "Drain";
    return {
      recheckMs: isResumed ? this.#recheckMs(known, active?.blocked?.reason) : RESUME_AGAIN_MS,
      finalizerDue: wantsFinalizer !== hasFinalizer(object) && (active !== undefined || hasFinalizer(object)),
      ready: verdict.refusal === undefined && active?.blocked === undefined,
    };
  }

  /** The longer the same thing has been waited for, the more seldom it is looked for. */
  #recheckMs(known: Known, reason: string | undefined): number | undefined {
    if (reason === undefined) {
      known.blocked = undefined;
      return undefined;
    }
    const nowMs = this.#parts.clock.monotonicMs();
    if (known.blocked?.reason !== reason) known.blocked = { reason, sinceMs: nowMs };
    return Math.min(Math.max(nowMs - known.blocked.sinceMs, RECHECK_MIN_MS), RECHECK_MAX_MS);
  }

  #remember(key: string, { object, uid, lastAccepted }: SubscriptionFacts, verdict: Verdict): Known {
    const { namespace, name } = object.metadata;
    const before = this.#known.get(key);
    const known: Known = before ?? {
      uid,
      namespace,
      name,
      object,
      verdict,
      signingName: lastAccepted?.signingSecretName ?? object.status?.signingSecretName,
      resume: lastAccepted?.lastHandledResume ?? object.status?.lastHandledResume,
      status: object.status,
      blocked: undefined,
      endpointMoved: false,
      seenAlive: false,
    };
    known.seenAlive ||= object.metadata.deletionTimestamp === undefined;
    known.object = object;
    known.verdict = verdict;
    known.signingName ??= verdict.ownKey;
    this.#known.set(key, known);
    this.#keyOf.set(uid, key);
    return known;
  }

  /** The routing table learns of a change first; everything else may wait. A route that has not changed stays the same object. */
  #program(known: Known, { active }: Verdict, draining: boolean): void {
    const { routes } = this.#parts;
    const { uid, namespace, name } = known;
    if (active === undefined) return routes.delete(uid);
    const { spec, generation, effective, filter, body, target } = active;
    const blocked = active.blocked && { reason: active.blocked.reason, message: active.blocked.message };
    const { policy, egress, limits } = effective;
    const route: Route = {
      subscription: { uid, namespace, name, generation, spec, policy, egress, ...limitsOf(limits), blocked, target },
      filter,
      body,
      draining,
    };
    const before = routes.get(uid);
    if (before !== undefined && before.filter === filter && before.body === body && isDeepStrictEqual(before, route)) return;
    routes.set(route);
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
    });
  }

  /** The API server's clock tells when it was deleted: how long ago that is our wall clock knows, engine time goes on from there. */
  #leavingSinceMs({ metadata }: WebhookSubscription): number {
    const { clock, accepted } = this.#parts;
    const { uid = "" } = metadata;
    const agoMs = Math.max(0, clock.trueMs() - Date.parse(metadata.deletionTimestamp ?? ""));
    // Seen alive by this process, it was deleted just now, whatever the API server's clock says of ours.
    const isJustNow = this.#known.get(this.#keyOf.get(uid) ?? "")?.seenAlive === true || !Number.isFinite(agoMs);
    return accepted.get(uid)?.leavingSinceMs ?? clock.nowMs() - (isJustNow ? 0 : agoMs);
  }

  /** Answers whether a key was made; otherwise the verdict says why not. */
  async #generateKey(known: Known, verdict: Verdict): Promise<boolean> {
    const { sink, random } = this.#parts;
    const { active } = verdict;
    if (active === undefined) return false;
    const name = signingSecretName(known.name);
    const value = newSigningSecret(active.spec.signing.scheme, random);
    const result = await sink.createSigningSecret({ owner: known.object, name, key: SIGNING_SECRET_KEY, value });
    if (result.kind === "done") {
      known.signingName = name;
      this.#accept(known, verdict);
      return true;
    }
    if (result.kind === "failed") {
      const blocked = { field: "spec.signing.secretRefs", reason: "SecretNotCreated", message: result.message };
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

  #forget(key: string, known: Known): void {
    this.#known.delete(key);
    this.#keyOf.delete(known.uid);
    this.#parts.dependencies.delete(known.namespace, known.name);
    if (this.#parts.routes.get(known.uid) !== undefined) this.#depart(known.uid, undefined, known.object);
  }

  /** Ends a deleted subscription; `facts` while its object is still there. */
  #depart(uid: string, facts: SubscriptionFacts | undefined, lastSeen = facts?.object): void {
    const { routes, accepted, departures, resources, sink, clock } = this.#parts;
    const route = routes.get(uid);
    const last = accepted.get(uid);
    if (route !== undefined && !route.draining) routes.set({ ...route, draining: true });
    const { namespace, name, spec } = route?.subscription ?? last ?? { namespace: "", name: "", spec: undefined };
    const sinceMs = last?.leavingSinceMs ?? (facts === undefined ? clock.nowMs() : this.#leavingSinceMs(facts.object));
    if (last !== undefined && last.leavingSinceMs === undefined) accepted.put({ ...last, leavingSinceMs: sinceMs });
    const isTerminating = facts?.terminating ?? resources.get("Namespace", "", namespace)?.terminating ?? false;
    const policy = facts?.object.spec.deletionPolicy ?? spec?.deletionPolicy ?? "Drain";
    const object = facts?.object;
    departures.begin({
      uid,
      namespace: object?.metadata.namespace ?? namespace,
      name: object?.metadata.name ?? name,
      how: policy === "Discard" || isTerminating ? "discard" : "drain",
      sinceMs,
      hopeless: route === undefined || route.subscription.blocked !== undefined || spec?.suspend === true,
      // The store's routes do not know where they lead before the manifests are read; this one has no manifest any more.
      aim: route?.subscription.blocked?.reason === STARTING && last !== undefined ? () => this.#aim(last) : undefined,
      tell: (ended, underWay) => {
        if (lastSeen === undefined) return;
        const isDiscard = policy === "Discard" || isTerminating;
        const [reason, fate] = isDiscard ? ["Discarded", "were discarded"] : ["DeadLettered", "went to the dead-letter store"];
        const more = underWay === 0 ? "" : ` ${underWay} attempts were in flight: what they do not deliver ends the same way.`;
        const message = `Deleted: ${ended} deliveries that had not ended ${fate}.${more}`;
        sink.recordEvent(lastSeen, { type: "Warning", reason, message });
      },
      finish: async () => {
        if (object !== undefined && hasFinalizer(object)) {
          const current = resources.get("WebhookSubscription", object.metadata.namespace, object.metadata.name) ?? object;
          const result = current.metadata.uid === uid ? await sink.setFinalizer(current, false) : ({ kind: "gone" } as const);
          if (result.kind === "failed" || result.kind === "conflict")
            throw new Error(`the finalizer cannot be removed yet (${result.kind})`);
        }
        routes.delete(uid);
        accepted.forget(uid);
      },
    });
  }

  /** Gives the route of a subscription that was deleted while nobody was running what it needs to drain. Answers whether that is hopeless. */
  async #aim(last: AcceptedSpec): Promise<boolean> {
    const { resources, policies, systemNamespace, routes, expressions } = this.#parts;
    const { uid, namespace, name, generation, spec } = last;
    const namespaces = [...resources.list("Namespace")];
    // Not served any more: its own policies are not read, and nothing is sent under another.
    if (!resources.knowsNamespace(namespace)) return true;
    if (namespaces.length > 0 && !namespaces.some(({ metadata }) => metadata.name === namespace)) return true;
    // No spec can be read of an object that is gone, so what is judged is the last accepted one.
    const gone = { metadata: { uid, namespace, name, generation }, spec: {} } as WebhookSubscription;
    const { active } = judgeSubscription(await gatherFacts({ resources, policies, systemNamespace }, gone, last), expressions);
    const route = routes.get(uid);
    if (active?.target === undefined || route === undefined) return true;
    const { policy, egress, limits } = active.effective;
    const subscription = { ...route.subscription, policy, egress, ...limitsOf(limits), blocked: undefined, target: active.target };
    routes.set({ ...route, subscription });
    return spec.suspend;
  }

  /** Adds or removes the drain finalizer as the spec wants it now. Rejects to be called again. */
  async settleFinalizer(key: string): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    const object = this.#parts.resources.get("WebhookSubscription", namespace, name);
    const known = this.#known.get(key);
    if (object === undefined || known?.uid !== object.metadata.uid || object.metadata.deletionTimestamp !== undefined) return;
    const wanted = known?.verdict?.active?.spec.deletionPolicy === "Drain";
    if (wanted === hasFinalizer(object)) return;
    const result = await this.#parts.sink.setFinalizer(object, wanted);
    if (result.kind === "failed") throw new Error(result.message);
    if (result.kind === "conflict") throw new Error("the object has changed in the meantime");
  }

  composeStatus(key: string): DueStatus | undefined {
    const known = this.#known.get(key);
    if (known?.verdict === undefined) return undefined;
    const { resources, routes, deliveries, clock } = this.#parts;
    const { verdict, uid } = known;
    // Our own status writes move the resourceVersion without a look at the object.
    const newest = resources.get("WebhookSubscription", known.namespace, known.name);
    const object = newest?.metadata.uid === uid ? newest : known.object;
    const route = routes.get(uid);
    const status = composeStatus(
      {
        generation: known.object.metadata.generation ?? 1,
        verdict,
        programmed: route !== undefined,
        draining: route?.draining ?? false,
        health: deliveries.health(uid),
        signingName: known.signingName,
        lastHandledResume: known.resume,
      },
      known.status,
      clock.trueMs(),
    );
    return { object, current: known.status, status };
  }

  /** Notes a status that is there now, and tells of conditions that moved. */
  statusWritten(key: string, status: WebhookSubscriptionStatus): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    const before = (known.status?.conditions ?? []) as readonly Condition[];
    const after = (status.conditions ?? []) as readonly Condition[];
    for (const { type, status: now, reason, message } of movedConditions(before, after)) {
      if (!TOLD.has(type) || reason === SECRET_PENDING) continue;
      const isBad = type === SUSPENDED ? now === "True" : now === "False";
      const isNew = !before.some((condition) => condition.type === type);
      if (isBad || (!isNew && now !== "Unknown"))
        this.#parts.sink.recordEvent(known.object, { type: isBad ? "Warning" : "Normal", reason, message });
    }
    known.status = status;
  }
}

/** Conditions whose moves become Kubernetes Events; the others follow from them. */
const TOLD: ReadonlySet<string> = new Set([ACCEPTED, RESOLVED_REFS, ENDPOINT_HEALTHY, SUSPENDED]);

function hasFinalizer(object: WebhookSubscription): boolean {
  return object.metadata.finalizers?.includes(DRAIN_FINALIZER) ?? false;
}

/** As it is after the store: JSON knows no undefined. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

/** What of a cluster policy's limits is obeyed beside the policy itself. */
function limitsOf({ fanOut, rateLimit, maxInFlight }: PolicyLimits): Pick<Subscription, "fanOutMax" | "ceilings"> {
  return { fanOutMax: fanOut, ceilings: { rateLimit, maxInFlight } };
}
