import { Command } from "commander";
import { readEnv } from "../config/env.ts";
import { dataFault } from "./json-fault.ts";
import { duration, outputFormat, wholeNumber } from "./option-values.ts";
import { CommandFailure, requireFlags } from "./program.ts";
import { answerLines, jsonObject } from "./publish-answer.ts";
import { type ServerAnswer, ServerCaller } from "./server-call.ts";
import { readValue, serverUrl, trustOf } from "./server-flags.ts";
import { shownJsonText, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # one event into namespace shop of an operator on this machine
  postrider publish -n shop --type order.paid --data '{"id":"o-1","total":12}'

  # the data from a file or from stdin, byte for byte
  postrider publish -n shop --type order.paid --data @order.json
  jq .order big.json | postrider publish -n shop --type order.paid --data -

  # safe to run twice: the same key is stored once
  postrider publish -n shop --type order.paid --data @order.json \\
    --idempotency-key order-o-1-paid

  # a CloudEvent with an identity of its own
  postrider publish -n shop --type order.paid --source /checkout --id 4711 \\
    --data @order.json

  # what each receiver said, as soon as it has, 10 s at most
  postrider publish -n shop --type order.paid --data @order.json --wait 10s

  # over HTTPS, with an authority of one's own
  postrider publish -n shop --type order.paid --data @order.json \\
    --server https://postrider-ingest.postrider-system:8080 --ca-file ca.crt

  # a hundred events, to see something move
  postrider publish -n shop --type order.paid --data '{"n":1}' --count 100

A token is also read from POSTRIDER_TOKEN, which a list of processes does not
show.
Exit code: 0 accepted, 1 refused or unreachable (with --wait also: a delivery
failed), 2 wrong usage.`;

interface PublishOptions {
  readonly namespace: string;
  readonly type: string;
  readonly data?: string;
  readonly subject?: string;
  readonly id?: string;
  readonly source?: string;
  readonly time?: string;
  readonly server: string;
  readonly caFile?: string;
  readonly clientCertificateFile?: string;
  readonly clientKeyFile?: string;
  readonly token?: string;
  readonly idempotencyKey?: string;
  readonly wait?: string;
  readonly count: number;
  readonly timeout: number;
  readonly output: "text" | "json";
}

const COUNT_MAX = 1_000_000;
/** The ingest waits no longer. */
const WAIT_MAX_MS = 55_000;

/** `postrider publish`: sends events to an ingest. */
export function publishCommand(): Command {
  const command = new Command("publish").description("send an event to the ingest, and report its result");
  return requireFlags(command, "--namespace", "--type")
    .option("-n, --namespace <name>", "(required) namespace the event belongs to")
    .option("--type <type>", "(required) event type, for example order.paid")
    .option("--data <json>", "the event's data: JSON, @file, or - for stdin; without it the event has no data")
    .option("--subject <text>", "what the event is about")
    .option("--id <id>", "CloudEvents id; with --source it makes the event safe to send twice")
    .option("--source <uri>", "CloudEvents source")
    .option("--time <rfc3339>", "when it happened")
    .option("--server <url>", "address of the ingest", serverUrl, "http://127.0.0.1:8080")
    .option("--ca-file <file>", "trust this authority (PEM) for https://, and no other")
    .option("--client-certificate-file <file>", "show this certificate (PEM), where the ingest requires one")
    .option("--client-key-file <file>", "its private key (PEM)")
    .option("--token <token>", "token for the namespace, or @file (POSTRIDER_TOKEN)")
    .option("--idempotency-key <key>", "stored once, however often it is sent")
    .option("--wait <duration>", "wait for the receivers' answers, at most 55s", waitTime)
    .option("--count <n>", "send it this many times (with --id or --idempotency-key, -1, -2 … is added)", wholeNumber(1, COUNT_MAX), 1)
    .option("--timeout <seconds>", "give up on one request after this", wholeNumber(1, COUNT_MAX), 30)
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action(async (options: PublishOptions) => {
      await publish(options);
    });
}

async function publish(options: PublishOptions): Promise<void> {
  const data = options.data === undefined ? undefined : readValue(options.data);
  const fault = data === undefined ? undefined : dataFault(data, options.data ?? "");
  if (fault !== undefined) throw new CommandFailure(fault);
  const given = options.token ?? readEnv()["POSTRIDER_TOKEN"];
  const token = given?.startsWith("@") === true ? readValue(given).toString("utf8").trim() : given?.trim();
  const caller = new ServerCaller(options.server, trustOf(options));
  try {
    for (let i = 1; i <= options.count; i++) {
      const request = requestOf(options, data, options.count === 1 ? "" : `-${i}`);
      const answer = await post(options, { caller, request, token });
      const said = answerLines(answer, options.wait !== undefined);
      tell(options.output === "json" ? shownJsonText(answer) : said.text);
      if (said.failed) process.exitCode = 1;
    }
  } finally {
    caller.close();
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
    if (options.id === undefined) throw new CommandFailure("--source also needs --id: together they identify the event");
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

interface Posting {
  readonly caller: ServerCaller;
  readonly request: PublishRequest;
  readonly token: string | undefined;
}

async function post(options: PublishOptions, { caller, request, token }: Posting): Promise<string> {
  const query = options.wait === undefined ? "" : `?wait=${options.wait}`;
  const url = `${options.server.replace(/\/+$/, "")}/v1/namespaces/${encodeURIComponent(options.namespace)}/events${query}`;
  const headers = token === undefined ? request.headers : { ...request.headers, authorization: `Bearer ${token}` };
  const timeoutMs = options.timeout * 1_000 + (options.wait === undefined ? 0 : WAIT_MAX_MS);
  const answer = await caller.call({ url, headers, body: request.body, timeoutMs });
  if (answer.status < 200 || answer.status > 299) throw new CommandFailure(refusalText(answer));
  return answer.text;
}

function refusalText({ status, statusText, retryAfter, text }: ServerAnswer): string {
  const problem = jsonObject(text);
  if (typeof problem?.["code"] !== "string") return `refused with ${status} ${statusText}: ${text.slice(0, 200)}`;
  const wait = retryAfter === undefined ? "" : ` Try again after ${retryAfter} s.`;
  const token = status === 401 ? " Here: --token @FILE, or POSTRIDER_TOKEN." : "";
  return `refused with ${status} ${problem["code"]}: ${String(problem["title"])}. ${String(problem["detail"])}${wait}${token}`;
}

/** As the ingest takes it. */
function waitTime(text: string): string {
  const ms = duration(WAIT_MAX_MS, "55s")(/^\d+$/.test(text) ? `${text}s` : text);
  return `${Math.ceil(ms / 1_000)}s`;
}
