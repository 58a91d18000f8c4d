import { hash } from "node:crypto";
import { allowedLimit, judgeHandshake, type HandshakeVerdict } from "../../core/permission.ts";
import type { Subscription } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { WriteBehind } from "../../lib/write-behind.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type StateEntry, type Store } from "../../store/store.ts";
import type { PermissionAsker } from "../attempter.ts";
import type { Lane } from "../queue/lane.ts";
import { FOREVER_MS } from "../queue/lane-gate.ts";
import type { LanePart } from "./lane-part.ts";

/** A permission is renewed after this long (less up to a tenth), and stands for LIFE_MS if no answer comes. */
const RENEW_MS = 20 * 3_600_000;
const LIFE_MS = 24 * 3_600_000;
/** After a refusal, or no answer, it is asked again: 5 s, doubled each time, at most an hour. */
const RETRY_MIN_MS = 5_000;
const RETRY_MAX_MS = 3_600_000;
const JITTER = 0.1;
/** A permission that the store did not take is written again after this. */
const STORE_RETRY_MS = 1_000;
/** Requests at once, whatever a restart with thousands of subscriptions asks for. */
const ASKING_MAX = 64;

export interface PermissionsParts {
  readonly asker: PermissionAsker;
  readonly store: Pick<Store, "putState" | "listState" | "deleteState">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A lane's pause, rate or message changed. */
  readonly changed: (lane: Lane) => void;
}

/** What is kept in the store of a permission. */
interface Permission {
  /** Digest of the endpoint for which it holds. */
  readonly endpoint: string;
  /** Engine time, ms. */
  readonly untilMs: number;
  readonly perMinute: number | undefined;
}

interface Entry {
  readonly lane: Lane;
  readonly endpoint: string;
  permission: Permission | undefined;
  failures: number;
  cancel: (() => void) | undefined;
}

/**
 * The CloudEvents webhook handshake (`verification: CloudEventsHandshake`). States of a subscription, and what a crash leaves:
 *   asking   nothing is sent, its deliveries wait. Crash: asked again.
 *   allowed  deliveries go out, no faster than the receiver said. Kept in the store with its endpoint and end, so a crash asks nobody.
 *   refused  the receiver answered without permission: nothing is sent, asked again with backoff. Crash: asked again.
 * Another endpoint must be asked first: asking. An answer that does not come leaves a permission standing until its end.
 */
export class Permissions implements LanePart {
  readonly stateKind = "handshake";
  readonly #parts: PermissionsParts;
  readonly #entries = new Map<string, Entry>();
  readonly #stored = new Map<string, Permission>();
  readonly #waiting = new Set<Entry>();
  readonly #writes: WriteBehind<Permission | undefined>;
  #asking = 0;
  #stopped = false;

  constructor(parts: PermissionsParts) {
    this.#parts = parts;
    this.#writes = new WriteBehind({
      clock: parts.clock,
      retryMs: STORE_RETRY_MS,
      write: (permissions) => this.#store(permissions),
      failed: (error) => this.#storeFailed(error),
    });
  }

  /** At boot: the permissions of the last process. */
  async restore(): Promise<void> {
    for (const { key, value } of await this.#parts.store.listState("handshake")) {
      const permission = parse(value);
      if (permission !== undefined) this.#stored.set(key, permission);
    }
  }

  /** What a new route means: asked where it must be, lifted where nothing is to be asked. The pause acts before this returns. */
  routeChanged(lane: Lane): void {
    const subscription = lane.route?.subscription;
    if (subscription?.spec.verification === undefined) {
      void this.forget(lane);
      return;
    }
    const endpoint = endpointOf(subscription);
    // Unresolved references pause it anyway; where it goes is not known yet.
    if (endpoint === undefined || this.#entries.get(lane.uid)?.endpoint === endpoint) return;
    this.#drop(lane.uid);
    const entry: Entry = { lane, endpoint, permission: undefined, failures: 0, cancel: undefined };
    this.#entries.set(lane.uid, entry);
    const stored = this.#stored.get(lane.uid);
    this.#stored.delete(lane.uid);
    const nowMs = this.#parts.clock.nowMs();
    if (stored?.endpoint === endpoint && stored.untilMs > nowMs) {
      this.#open(entry, stored);
      this.#again(entry, stored.untilMs - LIFE_MS + RENEW_MS - nowMs);
      return;
    }
    this.#shut(entry, "Asking the receiver for permission to send (OPTIONS); nothing is sent until it is granted.", undefined);
    this.#ask(entry);
  }

  /** The subscription is gone, or asks nobody any more. */
  forget(lane: Lane): Promise<void> {
    if (this.#entries.has(lane.uid) || this.#stored.has(lane.uid)) this.#forget(lane);
    return Promise.resolve();
  }

  #forget(lane: Lane): void {
    this.#drop(lane.uid);
    this.#stored.delete(lane.uid);
    lane.gate.pause("HandshakePending", null);
    lane.standing.permit();
    lane.gate.obey(undefined, this.#parts.clock.nowMs());
    this.#keep(lane.uid, undefined);
    this.#parts.changed(lane);
  }

  /** Permissions that were read at boot, of subscriptions that are not there any more. */
  retain(isKnown: (uid: string) => boolean): void {
    for (const uid of this.#stored.keys()) if (!isKnown(uid)) this.#stored.delete(uid);
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#stopped = true;
    for (const entry of this.#entries.values()) entry.cancel?.();
  }

  /** One that is replaced or gone asks nobody any more, nor does it wait for its turn. */
  #drop(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.cancel?.();
    this.#waiting.delete(entry);
    this.#entries.delete(uid);
  }

  #ask(entry: Entry): void {
    if (this.#stopped) return;
    const subscription = entry.lane.route?.subscription;
    if (subscription?.target === undefined) return this.#again(entry, RETRY_MIN_MS);
    if (this.#asking >= ASKING_MAX) {
      this.#waiting.add(entry);
      return;
    }
    void this.#asked(entry, subscription);
  }

  async #asked(entry: Entry, subscription: Subscription): Promise<void> {
    const { asker } = this.#parts;
    this.#asking += 1;
    const outcome = await asker.askPermission(subscription);
    this.#asking -= 1;
    if (this.#entries.get(entry.lane.uid) === entry) this.#answered(entry, judgeHandshake(outcome, asker.origin));
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#ask(next);
  }

  #answered(entry: Entry, verdict: HandshakeVerdict): void {
    if (this.#stopped) return;
    const { lane, endpoint } = entry;
    const nowMs = this.#parts.clock.nowMs();
    const { namespace, name } = lane.route?.subscription ?? { namespace: lane.namespace, name: "" };
    this.#parts.log.info(
      { event: "handshake", namespace, subscription: name, ...verdict },
      "the receiver was asked for permission to send",
    );
    if (verdict.kind === "allowed") {
      entry.failures = 0;
      const permission = { endpoint, untilMs: nowMs + LIFE_MS, perMinute: verdict.perMinute };
      this.#open(entry, permission);
      this.#keep(lane.uid, permission);
      this.#again(entry, RENEW_MS);
      return;
    }
    const backoffMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(entry.failures, 20));
    entry.failures += 1;
    const stands = verdict.kind === "unanswered" && entry.permission !== undefined && entry.permission.untilMs > nowMs;
    if (!stands) {
      const how =
        verdict.kind === "refused"
          ? "The receiver has not granted permission to send"
          : "The receiver could not be asked for permission to send";
      this.#shut(entry, `${how}: ${verdict.message}. Postrider asks again.`, false);
    }
    // Not later than the end of what still stands.
    const endsInMs = entry.permission === undefined ? RETRY_MAX_MS : entry.permission.untilMs - nowMs;
    this.#again(entry, Math.min(Math.max(backoffMs, verdict.retryAfterMs ?? 0), Math.max(endsInMs, RETRY_MIN_MS)));
  }

  #again(entry: Entry, delayMs: number): void {
    entry.cancel?.();
    const spread = 1 - JITTER * this.#parts.random.next();
    entry.cancel = this.#parts.clock.after(Math.max(0, delayMs) * spread, () => this.#ask(entry));
  }

  #open(entry: Entry, permission: Permission): void {
    const { lane } = entry;
    entry.permission = permission;
    lane.gate.pause("HandshakePending", null);
    lane.standing.permit();
    lane.gate.obey(permission.perMinute === undefined ? undefined : allowedLimit(permission.perMinute), this.#parts.clock.nowMs());
    this.#parts.changed(lane);
  }

  #shut(entry: Entry, message: string, healthy: false | undefined): void {
    const { lane } = entry;
    if (entry.permission !== undefined) this.#keep(lane.uid, undefined);
    entry.permission = undefined;
    // Kept in memory only: what a crash must remember is the permission.
    lane.gate.pause("HandshakePending", FOREVER_MS);
    lane.standing.withhold({ healthy, reason: "HandshakePending", message });
    this.#parts.changed(lane);
  }

  /** Lost in a crash, it costs one more request after the restart. */
  #keep(uid: string, permission: Permission | undefined): void {
    this.#writes.note(uid, permission);
    void this.#writes.flush();
  }

  async #store(permissions: readonly (readonly [string, Permission | undefined])[]): Promise<void> {
    const { store } = this.#parts;
    const given: StateEntry[] = [];
    for (const [key, permission] of permissions)
      if (permission !== undefined) given.push({ kind: "handshake", key, value: textOf(permission) });
    if (given.length > 0) await store.putState(given);
    for (const [key, permission] of permissions) if (permission === undefined) await store.deleteState("handshake", key);
  }

  #storeFailed(error: unknown): boolean {
    if (error instanceof StoreError && error.code === "closed") return false;
    this.#parts.log.warn({ err: error }, "a receiver's permission could not be stored; it is retried");
    return true;
  }
}

/** Digest of the endpoint for which a permission holds; undefined while the target is not known. */
function endpointOf({ target }: Subscription): string | undefined {
  return target === undefined ? undefined : hash("sha256", JSON.stringify([target.url, target.dial ?? null]), "base64url");
}

/** As rows of earlier versions have it: where it holds is called `place` there. */
function textOf({ endpoint, untilMs, perMinute }: Permission): string {
  return JSON.stringify({ place: endpoint, untilMs, perMinute });
}

function parse(text: string): Permission | undefined {
  try {
    const { place, untilMs, perMinute } = JSON.parse(text) as { place?: unknown; untilMs?: unknown; perMinute?: number };
    return typeof place === "string" && typeof untilMs === "number" ? { endpoint: place, untilMs, perMinute } : undefined;
  } catch {
    return undefined;
  }
}
