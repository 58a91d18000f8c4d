import type { IncomingMessage, ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import { STRANGER_IDLE_MS } from "../lib/door/door.ts";
import { localTarget } from "../lib/door/framing.ts";
import { Listener } from "../lib/door/listener.ts";
import type { ListenAddress } from "../lib/listen.ts";
import type { Service } from "../lib/service.ts";
import { STOOD_MIN_MS } from "../lib/timer-wheel.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { ScrapeAccess } from "./scrape-access.ts";
import { SCRAPE_PATHS, Scrapes, type ScrapePath } from "./scrape.ts";

/** One named condition of readiness; `reason` says what is missing, undefined = fine. Must not throw or block. */
export interface HealthCheck {
  readonly name: string;
  reason(): string | undefined;
  /** Something to know that is no reason to fail; shown behind `ok`. */
  note?(): string | undefined;
}

export interface HealthServerOptions {
  readonly listen: ListenAddress;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  /** `/livez`, beside the event loop: what only a new process can mend. */
  readonly alive?: readonly HealthCheck[];
  /** `/readyz`: all must be fine. */
  readonly ready: readonly HealthCheck[];
  /** `/startupz`: all must have been fine once. */
  readonly started: readonly HealthCheck[];
  /** Who may read `/metrics`; left out = everybody. Probes are never asked. */
  readonly authorize?: ScrapeAccess | undefined;
}

/** The loop did not turn for so long: `/livez` fails and Kubernetes starts the Pod anew, in ms. */
export const LOOP_STALL_MAX_MS = 10_000;
/** A stall from this on has a line in the log, ms: there is at most one of them a second. */
const STALL_TOLD_MIN_MS = 1_000;
const TEXT = "text/plain; charset=utf-8";
const BEAT_MS = 200;
/** The lag metric looks back over this many beats. */
const LAG_BEATS = 50;
/** The longest stall is shown of this many beats (5 min) and the as many before. */
const STALL_BEATS = 1_500;
/** Connections at once; for one more another is closed. */
const CONNECTIONS_MAX = 1_024;
/** Nobody who reads metrics or asks how we are sends more before the first is answered. */
const PIPELINED_MAX = 4;
/** Bytes of answers that readers have not taken yet, in all. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;

/**
 * `/livez` (the event loop turns, the store answers), `/readyz` and `/startupz` (named checks with reasons; 503 when one fails), the pages of metrics. On a port of
 * its own, so that a flood of events never hides how we are. Stopping closes it at once.
 */
export class HealthServer implements Service {
  readonly name = "health";
  readonly #options: HealthServerOptions;
  readonly #listener: Listener;
  readonly #scrapes: Scrapes;
  #delay: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #lastBeatMs: number;
  readonly #stalls: StallCount;
  #started = false;
  #url: string | undefined;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#lastBeatMs = options.clock.monotonicMs();
    this.#stalls = new StallCount(options.metrics, options.log);
    this.#listener = new Listener({
      listen: options.listen,
      http: { headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 30_000, requireHostHeader: false },
      serve: (request, response) => this.#receive(request, response),
      limits: {
        connections: CONNECTIONS_MAX,
        strangerConnections: CONNECTIONS_MAX,
        unreadBytes: UNREAD_BYTES_MAX,
        strangerIdleMs: STRANGER_IDLE_MS,
        pipelined: { stranger: PIPELINED_MAX, known: PIPELINED_MAX },
      },
      clock: options.clock,
      watch: options.metrics.doorOf("metrics"),
    });
    const listener = this.#listener;
    const { metrics, clock } = options;
    const giveUp = (given: IncomingMessage): void => listener.door.giveUp(given, "unread");
    this.#scrapes = new Scrapes({ metrics, clock, giveUp });
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. Safe to call twice. */
  async open(): Promise<string> {
    if (this.#url !== undefined) return this.#url;
    this.#url = await this.#listener.open();
    return this.#url;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.open();
    const delay = monitorEventLoopDelay({ resolution: 20 });
    delay.enable();
    this.#delay = delay;
    let cancel = (): void => undefined;
    let beats = 0;
    const beat = (): void => {
      const nowMs = this.#options.clock.monotonicMs();
      if (beats > 0) this.#stalls.beat(nowMs - this.#lastBeatMs - BEAT_MS);
      this.#lastBeatMs = nowMs;
      if (++beats % LAG_BEATS === 0) this.#measureLag();
      if (beats % STALL_BEATS === 0) this.#stalls.turnPage();
      cancel = this.#options.clock.after(BEAT_MS, beat);
    };
    beat();
    await aborted(signal);
    cancel();
    delay.disable();
    this.#delay = undefined;
    const closed = this.#listener.close();
    this.#listener.server.closeAllConnections();
    await closed;
    this.#url = undefined;
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const fault = this.#listener.door.receive(request, response);
    if (fault === "gone") return;
    request.resume();
    if (fault !== undefined) return send(response, fault.code === "coding_unsupported" ? 501 : 400, TEXT, `${fault.detail}\n`);
    // Nobody shows a credential here: who asks is known, who does nothing is not.
    this.#listener.door.know(request);
    void this.#answer(request, response);
  }

  #measureLag(): void {
    const delay = this.#delay;
    if (delay === undefined || delay.count === 0) return;
    this.#options.metrics.eventLoopLag.set(delay.percentile(99) / 1e9);
    delay.reset();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request;
    const path = localTarget(request.url ?? "").split("?")[0];
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      send(response, 405, TEXT, "use GET\n");
    } else if (isScrapePath(path)) await this.#scrape(path, request, response);
    else if (path === "/livez") this.#tell(response, [this.#loop(), ...(this.#options.alive ?? [])]);
    else if (path === "/readyz") this.#tell(response, this.#options.ready);
    else if (path === "/startupz") this.#startup(response);
    else send(response, 404, TEXT, `the paths are ${SCRAPE_PATHS.join(", ")}, /livez, /readyz and /startupz\n`);
  }

  async #scrape(path: ScrapePath, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const access = await this.#options.authorize?.(request.headersDistinct["authorization"] ?? []);
      if (access?.ok === false) {
        if (access.status === 401) response.setHeader("WWW-Authenticate", 'Bearer realm="postrider"');
        send(response, access.status, TEXT, access.text);
        return;
      }
      await this.#scrapes.answer(path, request, response);
    } catch (error) {
      const reason = error instanceof Error ? error.message : "unknown";
      if (response.headersSent) response.destroy();
      else send(response, 500, TEXT, `metrics could not be gathered: ${reason}\n`);
    }
  }

  #startup(response: ServerResponse): void {
    if (!this.#started) this.#started = this.#options.started.every((check) => check.reason() === undefined);
    this.#tell(response, this.#started ? [] : this.#options.started);
  }

  /** Answering at all proves that the loop turns now; the beat shows whether it was stuck or timers starve. */
  #loop(): HealthCheck {
    const silentMs = this.#options.clock.monotonicMs() - this.#lastBeatMs;
    const reason = silentMs > LOOP_STALL_MAX_MS ? `no timer fired for ${Math.round(silentMs)} ms` : undefined;
    return { name: "event-loop", reason: () => reason };
  }

  /** One line a check, as the API server's own `/readyz?verbose`. */
  #tell(response: ServerResponse, checks: readonly HealthCheck[]): void {
    let failed = 0;
    const lines = checks.map((check) => {
      const text = check.reason();
      if (text !== undefined) failed++;
      const note = text === undefined ? check.note?.() : undefined;
      return text === undefined ? `[+] ${check.name} ok${note === undefined ? "" : `: ${note}`}\n` : `[-] ${check.name} failed: ${text}\n`;
    });
    const verdict = failed === 0 ? "ok\n" : `not ok: ${failed} of ${checks.length} checks failed\n`;
    send(response, failed === 0 ? 200 : 503, TEXT, lines.join("") + verdict);
  }
}

function isScrapePath(path: string | undefined): path is ScrapePath {
  return (SCRAPE_PATHS as readonly (string | undefined)[]).includes(path);
}

/** How often the loop stood still, and for how long at most lately. */
class StallCount {
  readonly #metrics: Metrics;
  readonly #log: Log;
  #maxMs = 0;
  #maxBeforeMs = 0;

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#log = log;
    this.#metrics.loopStallMax.set(0);
  }

  /** A beat came so much later than it should. */
  beat(lateMs: number): void {
    if (lateMs < STOOD_MIN_MS) return;
    this.#metrics.loopStalls.inc();
    this.#metrics.loopStalledSeconds.inc(lateMs / 1_000);
    if (lateMs >= STALL_TOLD_MIN_MS) {
      const msg = `the event loop stood still for ${(lateMs / 1_000).toFixed(1)} s: answers and deliveries were late by as much; the process was frozen, short of CPU (see its limit), or collecting garbage`;
      this.#log.warn({ event: "loop.stalled", stalledMs: Math.round(lateMs) }, msg);
    }
    this.#maxMs = Math.max(this.#maxMs, lateMs);
    this.#show();
  }

  turnPage(): void {
    this.#maxBeforeMs = this.#maxMs;
    this.#maxMs = 0;
    this.#show();
  }

  #show(): void {
    this.#metrics.loopStallMax.set(Math.max(this.#maxMs, this.#maxBeforeMs) / 1_000);
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { ...headersOf(type), "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function headersOf(type: string): Record<string, string> {
  return { "Content-Type": type, "Cache-Control": "no-store" };
}
