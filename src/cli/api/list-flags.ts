import { type Command, InvalidArgumentError, Option } from "commander";
import type { Clock } from "../../lib/clock.ts";
import type { ColourWish } from "../colour.ts";
import { oneOf, wholeNumber } from "../option-values.ts";
import type { ApiParameters } from "./api-client.ts";
import { type ConnectionFlags, withConnection } from "./connection-flags.ts";
import { type Moment, moment, rfc3339 } from "./moment.ts";

export const FORMATS = ["table", "wide", "json", "jsonl", "yaml", "name"] as const;
export type Format = (typeof FORMATS)[number];

export interface OutputFlags {
  readonly output: Format;
  /** False for `--no-headers`. */
  readonly headers: boolean;
  readonly utc?: boolean;
  readonly color: ColourWish;
}

export interface ListFlags extends ConnectionFlags, OutputFlags {
  readonly subscription?: string;
  readonly state?: string;
  readonly status?: string;
  readonly type?: string;
  readonly record?: string;
  readonly event?: string;
  readonly since?: Moment;
  readonly until?: Moment;
  readonly limit: number;
  readonly all?: boolean;
}

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1_000_000;

/** How what is found is written. */
export function withOutput(command: Command): Command {
  return command
    .addOption(new Option("-o, --output <format>", FORMATS.join(", ")).argParser(oneOf(...FORMATS)).default("table"))
    .option("--no-headers", "no titles above the columns")
    .option("--utc", "times in UTC; otherwise in this machine's zone")
    .addOption(new Option("--color <when>", "auto, always or never").argParser(oneOf("auto", "always", "never")).default("auto"));
}

/** Every flag of a list of the history. */
export function withListFlags(command: Command, clock: Clock): Command {
  const at = moment(() => clock.trueMs());
  withOutput(
    withConnection(command)
      .option("-s, --subscription <name>", "of this subscription, by name or uid")
      .option("--state <states>", "Pending, Ready, Claimed, Delivered, Failed, Discarded; several with commas")
      .addOption(new Option("--status <code>", "last HTTP status: 503, or 5xx").argParser(statusCode))
      .option("--type <type>", "event type")
      .option("--record <id>", "record id (history.recordIDField)")
      .option("--event <id>", "event id: what receivers get as webhook-id")
      .addOption(new Option("--since <time>", "accepted since: 2h, 02:00 or RFC 3339").argParser(at))
      .addOption(new Option("--until <time>", "accepted before").argParser(at))
      .addOption(new Option("--limit <n>", "how many, newest first").argParser(wholeNumber(1, LIMIT_MAX)).default(LIMIT_DEFAULT))
      .option("--all", "all that fit, however many"),
  );
  return command;
}

function statusCode(text: string): string {
  if (/^[1-9](?:\d\d|xx)$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError("expected an HTTP status such as 503, or a class such as 5xx.");
}

/** What the API calls the filters. */
export function filterParameters(flags: ListFlags): ApiParameters {
  const { subscription, state, status, type, record, event, since, until } = flags;
  return {
    subscription,
    state,
    statusCode: status,
    type,
    recordID: record,
    eventID: event,
    since: since && rfc3339(since.atMs),
    until: until && rfc3339(until.atMs),
  };
}
