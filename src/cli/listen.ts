import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Command, InvalidArgumentError } from "commander";
import { type Verification, verifyRequest } from "../core/verification.ts";
import type { Clock } from "../lib/clock.ts";
import type { ProcessSignals } from "./process-signals.ts";
import { CommandFailure } from "./program.ts";
import { painted, shown, type Shown, shownJson, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # print what comes in on http://127.0.0.1:9999/, any path
  postrider listen --port 9999

  # verify the signatures with the subscription's secret
  postrider listen --port 9999 --secret whsec_…

  # a bad receiver: slow, and every third request fails
  postrider listen --port 9999 --delay 2s --fail-every 3

  # for scripts: one JSON object a line; port 0 takes a free one, the first line says which
  postrider listen --port 0 -o json

It answers 200 (or --status). A request whose signature is wrong is answered 401. Ctrl-C ends it.`;

/** Longest body read, in bytes: more than any delivery has. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const DELAY_MAX_MS = 600_000;

interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly secret?: string | undefined;
  readonly secretFile?: string;
  readonly status: number;
  readonly delay: number;
  readonly failEvery?: number;
  readonly output: "text" | "json";
}

/** `postrider listen`: a receiver for development. */
export function listenCommand(clock: Clock, signals: ProcessSignals): Command {
  return new Command("listen")
    .description("receive webhooks on this machine: verify them and print them")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on; 0 takes a free one", number(0, 65_535), 9_999)
    .option("--secret <secret>", "whsec_… (or whpk_… for Ed25519): verify signatures")
    .option("--secret-file <file>", "the secret in a file")
    .option("--status <code>", "answer with this status", number(200, 599), 200)
    .option("--delay <duration>", "answer after this long, for example 500ms or 2s", duration, 0)
    .option("--fail-every <n>", "answer every n-th request with 500", number(1, 1_000_000))
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action(async (options: ListenOptions, command: Command) => {
      if (options.secret !== undefined && options.secretFile !== undefined) {
        command.error("error: give either --secret or --secret-file", { exitCode: 2 });
      }
      const receiver = new DevelopmentReceiver({ ...options, secret: readSecret(options) }, clock, tell);
      await receiver.start();
      await new Promise<void>((resolve) => {
        signals.onStop(resolve);
      });
      await receiver.stop();
    });
}

function readSecret(options: ListenOptions): string | undefined {
  if (options.secretFile === undefined) return options.secret?.trim();
  try {
    return readFileSync(options.secretFile, "utf8").trim();
  } catch (error) {
    throw new CommandFailure(`cannot read ${options.secretFile}: ${error instanceof Error ? error.message : "unknown"}`);
  }
}

/** Receives, judges, prints, answers. */
export class DevelopmentReceiver {
  readonly #options: ListenOptions;
  readonly #clock: Clock;
  readonly #print: (lines: Shown) => void;
  readonly #server: Server;
  #count = 0;

  constructor(options: ListenOptions, clock: Clock, print: (lines: Shown) => void) {
    this.#options = options;
    this.#clock = clock;
    this.#print = print;
    this.#server = createServer((request, response) => {
      this.#receive(request, response).catch(() => response.destroy());
    });
  }

  /** Listens and prints where; answers the URL. Rejects when the port cannot be had. */
  async start(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#options.port, this.#options.host, resolve);
    });
    const { port } = this.#server.address() as AddressInfo;
    const { host, secret } = this.#options;
    const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    const note = secret === undefined ? "signatures are not verified: --secret does that" : "verifying signatures";
    this.#print(this.#options.output === "json" ? shownJson({ msg: "listening", url }) : shown`listening on ${url} (${note})`);
    return url;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readAll(request);
    const number = ++this.#count;
    if (body === undefined) {
      response.writeHead(413, { Connection: "close" }).end(`at most ${BODY_BYTES_MAX} bytes\n`);
      return;
    }
    const { secret, failEvery, delay } = this.#options;
    const verdict =
      secret === undefined
        ? undefined
        : verifyRequest(secret, { headers: request.headers, body, method: request.method, url: urlOf(request) }, this.#clock.trueMs());
    const fails = failEvery !== undefined && number % failEvery === 0;
    const status = fails ? 500 : verdict?.ok === false ? 401 : this.#options.status;
    if (delay > 0) await this.#pause(delay);
    this.#tell({ number, request, body, verdict, status });
    response.writeHead(status, { "Content-Type": "text/plain" }).end(status < 300 ? "ok\n" : "refused\n");
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }

  #tell(seen: Seen): void {
    this.#print(this.#options.output === "json" ? jsonLine(seen, this.#clock.trueMs()) : textLines(seen, process.stdout.isTTY));
  }
}

/** The URL as the sender knows it. Its scheme is not covered by signatures. */
function urlOf(request: IncomingMessage): string {
  return `http://${request.headers.host ?? "localhost"}${request.url ?? "/"}`;
}

interface Seen {
  readonly number: number;
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly verdict: Verification | undefined;
  readonly status: number;
}

function jsonLine({ number, request, body, verdict, status }: Seen, nowMs: number): Shown {
  return shownJson({
    number,
    time: new Date(nowMs).toISOString(),
    method: request.method,
    path: request.url,
    headers: request.headers,
    body: body.toString("utf8"),
    verified: verdict?.ok,
    failure: verdict?.ok === false ? { reason: verdict.reason, message: verdict.message } : undefined,
    status,
  });
}

function textLines({ number, request, body, verdict, status }: Seen, colours: boolean): Shown {
  const id = String(request.headers["webhook-id"] ?? "no webhook-id");
  const judged =
    verdict === undefined
      ? shown`not verified`
      : verdict.ok
        ? painted("green", shown`verified`, colours)
        : painted("red", shown`NOT genuine (${verdict.reason})`, colours);
  const answered = status < 300 ? shown`${status}` : painted("yellow", shown`${status}`, colours);
  const head = shown`#${number} ${request.method ?? ""} ${request.url ?? ""} ${id} ${judged} -> ${answered}`;
  const why = verdict?.ok === false ? shown`\n   ${verdict.message}` : "";
  const type = request.headers["content-type"] === undefined ? "" : shown`${request.headers["content-type"]}, `;
  return shown`${head}${why}\n   ${type}${body.length} bytes\n   ${body.toString("utf8")}`;
}

/** Undefined when it is too long. */
async function readAll(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max} is wanted.`);
    return value;
  };
}

function duration(text: string): number {
  const match = /^(\d{1,6})(ms|s|m)$/.exec(text);
  const ms = Number(match?.[1]) * ({ ms: 1, s: 1_000, m: 60_000 }[match?.[2] ?? ""] ?? Number.NaN);
  if (!(ms <= DELAY_MAX_MS)) throw new InvalidArgumentError("a duration up to 10m is wanted, for example 500ms or 2s.");
  return ms;
}

function outputFormat(text: string): "text" | "json" {
  if (text !== "text" && text !== "json") throw new InvalidArgumentError("text or json is wanted.");
  return text;
}
