import type { Socket } from "node:net";
import { decodeHookSettings } from "../../../src/api/decode-hook-settings.ts";
import type { HookSettings } from "../../../src/core/hook-settings.ts";
import { type CompiledFilter } from "../../../src/core/expression/compile.ts";
import { RouteTable, type Route } from "../../../src/core/route-table.ts";
import type { Event } from "../../../src/core/event.ts";
import { type Clock, SystemClock } from "../../../src/lib/clock.ts";
import { storedTokenDigest } from "../../../src/core/access-token.ts";
import { type PublishReviewer, IngestTokenAuthenticator, ingestOpenToAll } from "../../../src/ingest/authenticator.ts";
import { buildIngest } from "../../../src/ingest/ingest.ts";
import type { IngestLimits } from "../../../src/ingest/ingest-server.ts";
import type { HubLimits } from "../../../src/ingest/results/result-hub.ts";
import { StorageQuota } from "../../../src/ingest/storage-quota.ts";
import type { StorageLimit } from "../../../src/core/storage-share.ts";
import type { IdentitySource } from "../../../src/lib/tls/identity-source.ts";
import type { Log } from "../../../src/observe/log.ts";
import { BusinessEvents } from "../../../src/observe/events.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { AcceptRequest, AcceptResult, NewDelivery, Store } from "../../../src/store/store.ts";
import { connectTo, identityOfLink } from "../door/link.ts";
import { testDeliveryNames } from "../delivery/test-delivery-names.ts";
import { routeFor, specOf } from "../routes.ts";
import { silentLog } from "../silent-log.ts";

export function route(name: string, types: readonly string[], filter?: CompiledFilter): Route {
  return routeFor({ namespace: "shop", name, uid: `uid-${name}`, spec: specOf("https://example.com/", { types }) }, { filter });
}

/** Remembers what it was asked, so that a test sees that every admit was followed by exactly one end. */
export class RecordingIntake {
  open = true;
  admitted = 0;
  readonly committedEvents: Event[] = [];
  readonly abandonedEvents: Event[] = [];

  accepting(): boolean {
    return this.open;
  }

  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[] {
    this.admitted++;
    return routes.map(({ subscription }) => ({
      subscription: subscription.uid,
      namespace: event.namespace,
      orderKey: undefined,
      dueAtMs: nowMs,
      as: "indexed" as const,
      epoch: 1,
    }));
  }

  committed(event: Event): void {
    this.committedEvents.push(event);
  }

  abandoned(event: Event): void {
    this.abandonedEvents.push(event);
  }
}

export interface IngestSetup {
  readonly routes?: readonly Route[];
  /** Values of the labelled Secrets of namespace `shop`; given = static tokens. */
  readonly tokens?: readonly string[];
  /** Whose they are, at the same places; default: one Secret's. */
  readonly producers?: readonly string[];
  /** What their Secrets' annotation `postrider.dev/hooks` says, at the same places. */
  readonly hooks?: readonly (string | undefined)[];
  /** False = the namespace's Secrets have not been read yet. */
  readonly isListed?: () => boolean;
  /** Given = tokens that somebody must be asked about. */
  readonly reviewer?: PublishReviewer;
  readonly tokenInQuery?: boolean;
  readonly rateLimitPerSecond?: number;
  readonly deliveriesMax?: number;
  readonly limits?: Partial<IngestLimits>;
  readonly hubLimits?: Partial<HubLimits>;
  readonly clock?: Clock;
  /** Given = stands for the memory store wherever results are read. */
  readonly result?: Store["result"];
  /** Stands between ingest and the memory store. */
  readonly accept?: (request: AcceptRequest, store: Store) => Promise<AcceptResult>;
  readonly strict?: boolean;
  /** Instead of a memory store; not open yet. */
  readonly store?: Store;
  /** What all namespaces together may hold, bytes, and each; without room nothing is judged. */
  readonly roomBytes?: () => number | undefined;
  readonly storageLimit?: (namespace: string) => StorageLimit;
  readonly drainMs?: number;
  readonly log?: Log;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Given = TLS. */
  readonly identity?: IdentitySource;
}

function hookSettings(text: string | undefined): HookSettings | undefined {
  const read = text === undefined ? undefined : decodeHookSettings(text);
  if (read?.ok === false) throw new Error(read.problems.map(({ message }) => message).join("; "));
  return read?.value;
}

/** A real ingest on a free port over a real store, in memory where none is given. */
export async function runningIngest(setup: IngestSetup = {}) {
  const clock = setup.clock ?? new SystemClock();
  const store: Store = setup.store ?? new MemoryStore();
  await store.open({ owner: "test", nowMs: clock.nowMs(), idempotencyTtlMs: 86_400_000 });
  const state = { ready: true, diskLow: false, table: RouteTable.build(setup.routes ?? [route("orders", ["order.*"])]) };
  const metrics = new Metrics({ version: "test", defaults: false });
  const log = setup.log ?? silentLog;
  const events = new BusinessEvents(metrics, log, testDeliveryNames);
  const intake = new RecordingIntake();
  let tell = (_eventId: string | undefined): void => undefined;
  const digests = (setup.tokens ?? []).flatMap((token) => storedTokenDigest(Buffer.from(token)) ?? []);
  const hooks = (setup.hooks ?? []).map(hookSettings);
  const server = buildIngest({
    listen: { host: setup.host ?? "127.0.0.1", port: 0, identity: setup.identity ?? identityOfLink() },
    authenticator:
      setup.tokens === undefined && setup.reviewer === undefined
        ? ingestOpenToAll
        : new IngestTokenAuthenticator({
            ...(setup.tokens === undefined
              ? {}
              : {
                  tokens: {
                    tokens: (namespace) => (namespace === "shop" ? digests : []),
                    producerAt: (_namespace, place) => setup.producers?.[place] ?? "secret:static",
                    hooksAt: (_namespace, place) => hooks[place],
                    hookPlaces: (namespace) => new Set(namespace === "shop" ? hooks.flatMap((one) => one?.token ?? []) : []),
                    isListed: () => setup.isListed?.() ?? true,
                  },
                }),
            ...(setup.reviewer === undefined ? {} : { reviewer: setup.reviewer }),
          }),
    deliveriesMax: setup.deliveriesMax ?? 10_000,
    rateLimitPerSecond: setup.rateLimitPerSecond ?? 0,
    tokenInQuery: setup.tokenInQuery ?? false,
    diskLow: () => state.diskLow,
    store: {
      accept: (request) => setup.accept?.(request, store) ?? store.accept(request),
      readEvent: (namespace, id) => store.readEvent(namespace, id),
      result: (namespace, id, nowMs) => setup.result?.(namespace, id, nowMs) ?? store.result(namespace, id, nowMs),
    },
    storage: new StorageQuota({
      usage: () => store.usage(),
      roomBytes: () => setup.roomBytes?.(),
      limitOf: (namespace) => setup.storageLimit?.(namespace) ?? "none",
    }),
    ends: { onDeliveryEnded: (listener) => (tell = listener) },
    nameOf: (uid) => uid.replace("uid-", ""),
    ...(setup.hubLimits === undefined ? {} : { hubLimits: setup.hubLimits }),
    routes: { ready: () => state.ready, table: () => state.table },
    intake,
    events,
    log,
    clock,
    isStrict: () => setup.strict ?? false,
    drainMs: setup.drainMs ?? 2_000,
    ...(setup.limits === undefined ? {} : { limits: setup.limits }),
  });
  const url = await server.open();
  const abort = new AbortController();
  const done = server.run(abort.signal);
  return {
    url,
    port: Number(new URL(url).port),
    store,
    intake,
    metrics,
    state,
    abort,
    done,
    drain: (): void => server.drain(),
    /** Acts as the engine: deliveries of this event have ended, durably. */
    tellEnded: (eventId: string | undefined): void => tell(eventId),
    async stop(): Promise<void> {
      abort.abort();
      await done;
      await store.close();
    },
    post(body: string | Uint8Array, headers: Record<string, string> = {}, namespace = "shop"): Promise<Response> {
      return fetch(`${url}/v1/namespaces/${namespace}/events`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : new Uint8Array(body),
      });
    },
  };
}

export type RunningIngest = Awaited<ReturnType<typeof runningIngest>>;

/** A socket on which a test says exactly which bytes go out; `answer` is everything that came back once the server closed it. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  readonly closed: Promise<string>;
  #waiting: { readonly pattern: RegExp; readonly resolve: (text: string) => void }[] = [];

  constructor(port: number) {
    this.socket = connectTo(port, { allowHalfOpen: true, noDelay: true });
    this.socket.on("error", () => undefined);
    this.socket.on("end", () => this.socket.end());
    this.socket.on("data", (chunk: Buffer) => {
      this.received += chunk.toString("latin1");
      this.#waiting = this.#waiting.filter(({ pattern, resolve }) => {
        if (!pattern.test(this.received)) return true;
        resolve(this.received);
        return false;
      });
    });
    this.closed = new Promise((resolve) => {
      this.socket.once("close", () => resolve(this.received));
    });
  }

  send(text: string | Uint8Array): this {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
    return this;
  }

  /** No more bytes from us; the answer can still come. */
  finish(): this {
    this.socket.end();
    return this;
  }

  /** Resolves once what came back matches. */
  until(pattern: RegExp): Promise<string> {
    if (pattern.test(this.received)) return Promise.resolve(this.received);
    return new Promise((resolve) => {
      this.#waiting.push({ pattern, resolve });
    });
  }
}

/** The JSON body of the last answer in raw text. */
export function lastBody(raw: string): Record<string, unknown> {
  const at = raw.lastIndexOf("\r\n\r\n");
  return JSON.parse(raw.slice(at + 4)) as Record<string, unknown>;
}
