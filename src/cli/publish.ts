import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { CommandFailure } from "./program.ts";
import { shown, shownJsonText, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # one event into namespace shop of an operator on this machine
  postrider publish -n shop --type order.paid --data '{"order":"o-1","total":"12.50"}'

  # the data from a file or from stdin, byte for byte
  postrider publish -n shop --type order.paid --data @order.json
  jq .order big.json | postrider publish -n shop --type order.paid --data -

  # safe to run twice: the same key is stored once
  postrider publish -n shop --type order.paid --data @order.json --idempotency-key order-o-1-paid

  # a CloudEvent with an identity of its own
  postrider publish -n shop --type order.paid --source /checkout --id 4711 --data @order.json

  # a hundred events, to see something move
  postrider publish -n shop --type order.paid --data '{"n":1}' --count 100

Exit code: 0 accepted, 1 refused or unreachable, 2 wrong usage.`;

interface PublishOptions {
  readonly namespace: string;
  readonly type: string;
  readonly data?: string;
  readonly subject?: string;
  readonly id?: string;
  readonly source?: string;
  readonly time?: string;
  readonly server: string;
  readonly token?: string;
  readonly idempotencyKey?: string;
  readonly count: number;
  readonly timeout: number;
  readonly output: "text" | "json";
}

const COUNT_MAX = 1_000_000;

/** `postrider publish`: sends events to an ingest. */
export function publishCommand(): Command {
  return new Command("publish")
    .description("send an event to the ingest, and say what became of it")
    .requiredOption("-n, --namespace <name>", "namespace the event belongs to")
    .requiredOption("--type <type>", "event type, for example order.paid")
    .option("--data <json>", "the event's data: JSON, @file, or - for stdin (left out: an event without data)")
    .option("--subject <text>", "what the event is about")
    .option("--id <id>", "CloudEvents id; with --source it makes the event safe to send twice")
    .option("--source <uri>", "CloudEvents source")
    .option("--time <rfc3339>", "when it happened")
    .option("--server <url>", "address of the ingest", "http://127.0.0.1:8080")
    .option("--token <token>", "token for the namespace, or @file")
    .option("--idempotency-key <key>", "stored once, however often it is sent")
    .option("--count <n>", "send it so many times (with --id or --idempotency-key, -1, -2 … is added)", wholeNumber, 1)
    .option("--timeout <seconds>", "give up on one request after this", wholeNumber, 30)
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action(async (options: PublishOptions) => {
      await publish(options);
    });
}

async function publish(options: PublishOptions): Promise<void> {
  const data = options.data === undefined ? undefined : readValue(options.data);
  const token = options.token?.startsWith("@") === true ? readValue(options.token).toString("utf8").trim() : options.token;
  for (let i = 1; i <= options.count; i++) {
    const request = requestOf(options, data, options.count === 1 ? "" : `-${i}`);
    const answer = await post(options, request, token);
    tell(options.output === "json" ? shownJsonText(answer) : shown`${describe(answer)}`);
  }
}

/** Inline text, `@file`, or `-` for stdin: bytes as they are, but for line ends after them. */
function readValue(value: string): Buffer {
  if (value !== "-" && !value.startsWith("@")) return Buffer.from(value, "utf8");
  try {
    const bytes = readFileSync(value === "-" ? 0 : value.slice(1));
    let end = bytes.length;
    while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end--;
    return bytes.subarray(0, end);
  } catch (error) {
    throw new CommandFailure(`cannot read ${value}: ${error instanceof Error ? error.message : "unknown"}`);
  }
}

interface PublishRequest {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** The data's bytes are spliced in, never parsed: what the receiver gets is what was given here. */
function requestOf(options: PublishOptions, data: Buffer | undefined, suffix: string): PublishRequest {
  const isCloudEvent = options.id !== undefined || options.source !== undefined;
  const fields: Record<string, string | undefined> = { type: options.type, subject: options.subject, time: options.time };
  if (isCloudEvent) {
    if (options.id === undefined) throw new CommandFailure("--source needs --id too: together they name the event");
    fields["specversion"] = "1.0";
    fields["id"] = options.id + suffix;
    fields["source"] = options.source ?? "/postrider/publish";
  }
  const head = JSON.stringify(fields);
  const body =
    data === undefined ? Buffer.from(head) : Buffer.concat([Buffer.from(`${head.slice(0, -1)},"data":`), data, Buffer.from("}")]);
  const headers: Record<string, string> = { "content-type": isCloudEvent ? "application/cloudevents+json" : "application/json" };
  if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey + suffix;
  return { headers, body };
}

async function post(options: PublishOptions, request: PublishRequest, token: string | undefined): Promise<string> {
  const url = `${options.server.replace(/\/+$/, "")}/v1/namespaces/${encodeURIComponent(options.namespace)}/events`;
  const headers = token === undefined ? request.headers : { ...request.headers, authorization: `Bearer ${token}` };
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(options.timeout * 1_000);
    response = await fetch(url, { method: "POST", headers, body: new Uint8Array(request.body), redirect: "manual", signal });
    text = await response.text();
  } catch (error) {
    throw new CommandFailure(`no answer from ${options.server}: ${reasonOf(error)}. Is the operator running? --server says where.`);
  }
  if (response.status < 200 || response.status > 299) throw new CommandFailure(refusalText(response, text));
  return text;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || error.cause.name : error.message;
}

function refusalText(response: Response, text: string): string {
  const problem = parsed(text);
  if (typeof problem?.["code"] !== "string") return `refused with ${response.status} ${response.statusText}: ${text.slice(0, 200)}`;
  const retryAfter = response.headers.get("retry-after");
  const wait = retryAfter === null ? "" : ` Try again after ${retryAfter} s.`;
  return `refused with ${response.status} ${problem["code"]}: ${String(problem["title"])}. ${String(problem["detail"])}${wait}`;
}

function describe(text: string): string {
  const answer = parsed(text);
  if (typeof answer?.["id"] !== "string") throw new CommandFailure(`this is no ingest: it answered ${text.slice(0, 200)}`);
  const matched = Number(answer["matched"]);
  const who = matched === 0 ? "no subscription wants it" : matched === 1 ? "1 subscription gets it" : `${matched} subscriptions get it`;
  return `${answer["id"]} ${answer["duplicate"] === true ? "already stored (duplicate)" : "stored"}: ${who}`;
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > COUNT_MAX)
    throw new InvalidArgumentError(`a whole number from 1 to ${COUNT_MAX} is wanted.`);
  return value;
}

function outputFormat(text: string): "text" | "json" {
  if (text !== "text" && text !== "json") throw new InvalidArgumentError("text or json is wanted.");
  return text;
}
