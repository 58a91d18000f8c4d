import { request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { InvalidArgumentError } from "commander";
import { errorCode } from "../lib/error-code.ts";
import { isLoopback } from "../lib/listen.ts";
import { wholeBody } from "../lib/whole-body.ts";

/** Longest answer of the app that is passed on, bytes. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** The app under development has this long to answer, ms: more than the longest timeout of a delivery policy would wait. */
const ANSWER_WITHIN_MS = 60_000;
/** Of one connection, not of the message (RFC 9110, 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
]);

/** What the app answered, or why it did not. */
export interface ForwardAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly tookMs: number;
  /** Set where there was no answer; `status` is then 502 or 504. */
  readonly failure?: string;
}

/** `--forward-to`: http, this machine only. */
export function forwardTarget(text: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${/^\d+$/.test(text) ? `127.0.0.1:${text}` : text}`;
  if (!URL.canParse(withScheme)) throw new InvalidArgumentError("expected a URL, for example http://127.0.0.1:3000/hooks.");
  const url = new URL(withScheme);
  if (url.protocol !== "http:") throw new InvalidArgumentError("expected plain http: the app runs on this machine.");
  if (!isLoopback(url.hostname.replace(/^\[(.*)\]$/, "$1")))
    throw new InvalidArgumentError(`${url.hostname} is not this machine: write 127.0.0.1, [::1] or localhost.`);
  return url;
}

/**
 * Passes a request on as it came: method, body, headers with the Host that was called (signatures may cover it). A target without a path
 * takes the request's own; one with a path takes all. Never rejects.
 */
export async function forward(target: URL, request: IncomingMessage, body: Buffer, nowMs: () => number): Promise<ForwardAnswer> {
  const startedMs = nowMs();
  const path = target.pathname === "/" && target.search === "" ? (request.url ?? "/") : `${target.pathname}${target.search}`;
  const headers: Record<string, string | string[]> = { "content-length": String(body.length) };
  for (const [name, value] of Object.entries(request.headers)) if (value !== undefined && !HOP_BY_HOP.has(name)) headers[name] = value;
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = httpRequest(
        {
          host: target.hostname.replace(/^\[(.*)\]$/, "$1"),
          port: target.port === "" ? 80 : Number(target.port),
          method: request.method,
          path,
          headers,
          agent: false,
          signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        },
        resolve,
      );
      outgoing.once("error", reject);
      outgoing.end(body);
    });
    const received = await wholeBody(answer, ANSWER_BYTES_MAX);
    if (received === undefined) throw new Error(`its answer has over ${ANSWER_BYTES_MAX} bytes`);
    return { status: answer.statusCode ?? 502, headers: answer.headers, body: received, tookMs: nowMs() - startedMs };
  } catch (error) {
    const isLate = error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
    const failure = isLate ? `no answer from ${target.host} within ${ANSWER_WITHIN_MS / 1_000} s` : unreachable(target, error);
    const text = Buffer.from(`${failure}\n`);
    return { status: isLate ? 504 : 502, headers: { "content-type": "text/plain" }, body: text, tookMs: nowMs() - startedMs, failure };
  }
}

function unreachable(target: URL, error: unknown): string {
  const code = errorCode(error) ?? "";
  if (code === "ECONNREFUSED") return `nothing is listening on ${target.host}: is the app running?`;
  return `no answer from ${target.host}: ${error instanceof Error ? error.message || code : String(error)}`;
}

/** The app's headers for our caller. */
export function answerHeaders({ headers, body }: ForwardAnswer): Record<string, string | string[]> {
  const passed: Record<string, string | string[]> = { "content-length": String(body.length) };
  for (const [name, value] of Object.entries(headers)) if (value !== undefined && !HOP_BY_HOP.has(name)) passed[name] = value;
  return passed;
}
