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

/** Which of them, by when and how many. */
export interface RangeFlags extends ConnectionFlags, OutputFlags {
  readonly type?: string;
  readonly since?: Moment;
  readonly until?: Moment;
  readonly limit: number;
  readonly all?: boolean;
}

export interface ListFlags extends RangeFlags {
  readonly subscription?: string;
  readonly state?: string;
  readonly status?: string;
  readonly record?: string;
  readonly event?: string;
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

/** The flags of everything that is listed by time. */
export function withRange(command: Command, clock: Clock): Command {
  const at = moment(() => clock.trueMs());
  return withOutput(
    command
      .option("--type <type>", "event type")
      .addOption(new Option("--since <time>", "accepted since: 2h, 02:00 or RFC 3339").argParser(at))
      .addOption(new Option("--until <time>", "accepted before").argParser(at))
      .addOption(new Option("--limit <n>", "how many, newest first").argParser(wholeNumber(1, LIMIT_MAX)).default(LIMIT_DEFAULT))
      .option("--all", "all that fit, however many"),
  );
}

/** Every flag of a list of deliveries or attempts. */
export function withListFlags(command: Command, clock: Clock): Command {
  return withRange(
    withConnection(command)
      .option("-s, --subscription <name>", "of this subscription, by name or uid")
      .option("--state <states>", "Pending, Ready, Claimed, Delivered, Failed, Discarded; several with commas")
      .addOption(new Option("--status <code>", "last HTTP status: 503, or 5xx").argParser(statusCode))
      .option("--record <id>", "record id (history.recordIDField)")
      .option("--event <id>", "event id: what receivers get as webhook-id"),
    clock,
  );
}

function statusCode(text: string): string {
  if (/^[1-9](?:\d\d|xx)$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError("expected an HTTP status such as 503, or a class such as 5xx.");
}

/** What the API calls the filters that all lists have. */
export function rangeParameters({ type, since, until }: RangeFlags): ApiParameters {
  return { type, since: since && rfc3339(since.atMs), until: until && rfc3339(until.atMs) };
}

/** What the API calls the filters of deliveries and attempts. */
export function filterParameters(flags: ListFlags): ApiParameters {
  const { subscription, state, status, record, event } = flags;
  return { ...rangeParameters(flags), subscription, state, statusCode: status, recordID: record, eventID: event };
}
