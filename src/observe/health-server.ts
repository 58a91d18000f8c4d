import { createServer, type Server, type ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import { listenOn } from "../lib/listen.ts";
import type { ListenAddress } from "../lib/listen.ts";
import type { Service } from "../lib/service.ts";
import { STOOD_MIN_MS } from "../lib/timer-wheel.ts";
import type { Metrics } from "./metrics.ts";

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
  /** `/livez`, beside the event loop: what only a new process can mend. */
  readonly alive?: readonly HealthCheck[];
  /** `/readyz`: all must be fine. */
  readonly ready: readonly HealthCheck[];
  /** `/startupz`: all must have been fine once. */
  readonly started: readonly HealthCheck[];
  /** Called before every scrape: gauges that are cheaper to look up than to follow. Must not throw. */
  readonly beforeScrape?: () => void;
}

/** The loop did not turn for so long: `/livez` fails and Kubernetes starts the Pod anew, in ms. */
export const LOOP_STALL_MAX_MS = 10_000;
const BEAT_MS = 200;
/** The lag metric looks back over this many beats. */
const LAG_BEATS = 50;
/** The longest stall is shown of this many beats (5 min) and the as many before. */
const STALL_BEATS = 1_500;
const CONNECTIONS_MAX = 64;

/**
 * `/livez` (the event loop turns, the store answers), `/readyz` and `/startupz` (named checks with reasons; 503 when one fails), `/metrics`. On a port of
 * its own, so that a flood of events never hides how we are. Stopping closes it at once.
 */
export class HealthServer implements Service {
  readonly name = "health";
  readonly #options: HealthServerOptions;
  readonly #server: Server;
  #delay: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #lastBeatMs: number;
  readonly #stalls: StallCount;
  #started = false;
  #url: string | undefined;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#lastBeatMs = options.clock.monotonicMs();
    this.#stalls = new StallCount(options.metrics);
    this.#server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 30_000 }, (request, response) => {
      request.resume();
      void this.#answer(request.method ?? "", request.url ?? "", response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. Safe to call twice. */
  async open(): Promise<string> {
    if (this.#url !== undefined) return this.#url;
    this.#url = await listenOn(this.#server, this.#options.listen);
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
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    this.#url = undefined;
  }

  #measureLag(): void {
    const delay = this.#delay;
    if (delay === undefined || delay.count === 0) return;
    this.#options.metrics.eventLoopLag.set(delay.percentile(99) / 1e9);
    delay.reset();
  }

  async #answer(method: string, url: string, response: ServerResponse): Promise<void> {
    const path = url.split("?")[0];
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      send(response, 405, "text/plain; charset=utf-8", "use GET\n");
    } else if (path === "/metrics") await this.#scrape(response);
    else if (path === "/livez") this.#tell(response, [this.#loop(), ...(this.#options.alive ?? [])]);
    else if (path === "/readyz") this.#tell(response, this.#options.ready);
    else if (path === "/startupz") this.#startup(response);
    else send(response, 404, "text/plain; charset=utf-8", "there are /metrics, /livez, /readyz and /startupz\n");
  }

  async #scrape(response: ServerResponse): Promise<void> {
    try {
      this.#options.beforeScrape?.();
      const text = await this.#options.metrics.expose();
      send(response, 200, this.#options.metrics.contentType, text);
    } catch (error) {
      send(
        response,
        500,
        "text/plain; charset=utf-8",
        `metrics could not be gathered: ${error instanceof Error ? error.message : "unknown"}\n`,
      );
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
    send(response, failed === 0 ? 200 : 503, "text/plain; charset=utf-8", lines.join("") + verdict);
  }
}

/** How often the loop stood still, and for how long at most lately. */
class StallCount {
  readonly #metrics: Metrics;
  #maxMs = 0;
  #maxBeforeMs = 0;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#metrics.loopStallMax.set(0);
  }

  /** A beat came so much later than it should. */
  beat(lateMs: number): void {
    if (lateMs < STOOD_MIN_MS) return;
    this.#metrics.loopStalls.inc();
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
  response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body), "Cache-Control": "no-store" });
  response.end(body);
}
