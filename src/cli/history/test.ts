import { Command, Option } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ApiClient, ApiRefusal } from "../api/api-client.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { parsedAnswer, printExact } from "../api/listing.ts";
import type { SubscriptionRow } from "../api/rows.ts";
import { dataFault } from "../json-fault.ts";
import { outputFormat } from "../option-values.ts";
import { CommandFailure, EXIT_FAILED } from "../program.ts";
import { readValue } from "../server-flags.ts";
import { complain, linesOf, shown, type Shown, tell } from "../terminal.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # what does the receiver of crm say now?
  postrider test -n shop crm

  # to an event of one's own
  postrider test -n shop crm --type order.paid --data @order.json

It is sent at once, past queue, pauses and limits, and is not part of the
history. A success lifts an automatic suspension.
Exit code: 0 the receiver accepted it, 1 it did not, or refused or unreachable,
2 wrong usage.`;

/** The longest test that the API waits for. */
const TEST_MAX_MS = 35_000;

interface TestFlags extends ConnectionFlags {
  readonly type?: string;
  readonly data?: string;
  readonly output: "text" | "json";
}

interface TestAnswer {
  readonly ok: boolean;
  readonly eventID: string;
  readonly eventType: string;
  readonly url: string;
  readonly outcome: string;
  readonly statusCode: number | null;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly durationMs: number;
  readonly message: string;
}

/** `postrider test`: what a receiver says to a test event now. */
export function testCommand(clock: Clock): Command {
  const command = new Command("test")
    .description("send a test event to a subscription's endpoint, and say what came back")
    .argument("<name>", "the subscription");
  return withConnection(command)
    .option("--type <type>", "event type; default: the first that the subscription names")
    .option("--data <json>", "the event's data: JSON, @file, or - for stdin")
    .addOption(new Option("-o, --output <format>", "text or json").argParser(outputFormat).default("text"))
    .addHelpText("after", EXAMPLES)
    .action(async (given: string, flags: TestFlags, self: Command) => {
      const namespace = namespaceOf(flags, self);
      const name = bareId(given);
      const body = bodyOf(flags);
      await withClient(openClient(flags, clock), async (client) => {
        const text = await client.post(pathOf(namespace, "subscriptions", name, "test"), { body, waitMs: TEST_MAX_MS });
        const answer = JSON.parse(text) as TestAnswer;
        if (flags.output === "json") printExact(parsedAnswer(text), "json");
        else tell(answerText(name, answer));
        if (!answer.ok) process.exitCode = EXIT_FAILED;
        if (flags.type !== undefined) await warnUnwanted(client, pathOf(namespace, "subscriptions", name), flags.type);
      });
    });
}

/** The data's bytes are spliced in, so that numbers keep their spelling. */
function bodyOf({ type, data }: TestFlags): string {
  const head = JSON.stringify({ type });
  if (data === undefined) return head;
  const bytes = readValue(data);
  const fault = dataFault(bytes, data);
  if (fault !== undefined) throw new CommandFailure(fault);
  return `${head.slice(0, -1)}${type === undefined ? "" : ","}"data":${bytes.toString("utf8")}}`;
}

function answerText(name: string, answer: TestAnswer): Shown {
  const { ok, eventType, url, outcome, statusCode, durationMs, message, connectionStatus, tlsStatus } = answer;
  const said = statusCode === null ? outcome : `HTTP ${statusCode}`;
  return linesOf([
    shown`${name}: ${ok ? "accepted" : "NOT accepted"}, ${said} in ${durationMs} ms: ${message}`,
    shown`  event ${eventType} to ${url} (connection ${connectionStatus}, TLS ${tlsStatus})`,
  ]);
}

/** It is sent all the same; but a real event of this type would not be. */
async function warnUnwanted(client: ApiClient, path: string, type: string): Promise<void> {
  try {
    const { name, spec } = JSON.parse(await client.get(path)) as SubscriptionRow;
    const types = spec?.events?.types ?? [];
    if (types.some((pattern) => (pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : pattern === type))) return;
    complain(shown`note: ${name} does not want events of type ${type}: its types are ${types.join(", ")}`);
  } catch (error) {
    if (!(error instanceof ApiRefusal)) throw error;
  }
}
