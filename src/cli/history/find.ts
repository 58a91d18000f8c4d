import { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ApiClient, type ApiParameters, ApiRefusal } from "../api/api-client.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { type Page, pageOf } from "../api/listing.ts";
import { timeText } from "../api/moment.ts";
import type { DeliveryRow, EventDetail, EventRow, SubscriptionRow } from "../api/rows.ts";
import { EXIT_FAILED } from "../program.ts";
import { linesOf, shown, type Shown, tell } from "../terminal.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";
import { deliverySentence, type Reading } from "./sentences.ts";

const EXAMPLES = `
Examples:
  # where is the webhook for order 4711?
  postrider find -n shop 4711

  # the customer tells the webhook-id of a request
  postrider find -n shop 019b76da-a800-7000-8a3f-0c9d5e1b2f44

TEXT is a record id (history.recordIDField), an event id (what receivers get as
webhook-id, or what the producer gave) or a delivery id. Where nothing is found,
it says why.
Exit code: 0 found, 1 not found, refused or unreachable, 2 wrong usage.`;

const ROWS = "20";
/** As the API's paths have it. */
const EVENT_ID = /^[-0-9a-zA-Z]{1,64}$/;
const DELIVERY_ID = /^[0-9a-fA-F]{32}$/;

/** `postrider find`: everything that has an id, in sentences. */
export function findCommand(clock: Clock): Command {
  const command = new Command("find")
    .description("find an event's deliveries by any id, or say why it has none")
    .argument("<text>", "record id, event id or delivery id");
  return withConnection(command)
    .option("--utc", "times in UTC; otherwise in this machine's zone")
    .addHelpText("after", EXAMPLES)
    .action(async (given: string, flags: ConnectionFlags & { readonly utc?: boolean }, self: Command) => {
      const namespace = namespaceOf(flags, self);
      const text = bareId(given);
      await withClient(openClient(flags, clock), async (client) => {
        const reading = { nowMs: clock.trueMs(), utc: flags.utc === true, namespace };
        const search = new Search(client, namespace, text);
        const found = await search.run();
        tell(foundText(text, found, reading));
        if (found.deliveries.length === 0) process.exitCode = EXIT_FAILED;
      });
    });
}

interface Found {
  readonly deliveries: readonly DeliveryRow[];
  /** There are more of them. */
  readonly isMore: boolean;
  /** As what it was found. */
  readonly by: string;
  readonly events: readonly (EventRow | EventDetail)[];
  /** The operator has no list of events, or the token may not read it. */
  readonly eventsUnseen: string | undefined;
  readonly subscriptions: readonly SubscriptionRow[];
}

/** One question after the other, until something is found; what may not be asked is noted, not fatal. */
class Search {
  readonly #client: ApiClient;
  readonly #namespace: string;
  readonly #text: string;
  #eventsUnseen: string | undefined;

  constructor(client: ApiClient, namespace: string, text: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.#text = text;
  }

  async run(): Promise<Found> {
    const text = this.#text;
    const nothing = { deliveries: [], isMore: false, by: "", events: [], eventsUnseen: undefined, subscriptions: [] };
    for (const [by, parameters] of [
      ["record id", { recordID: text }],
      ["event id", { eventID: text }],
    ] as const) {
      const page = await this.#list<DeliveryRow>("deliveries", parameters);
      if (page.items.length > 0) return { ...nothing, deliveries: page.items, isMore: page.nextCursor !== null, by };
    }
    const delivery = DELIVERY_ID.test(text) ? await this.#one<DeliveryRow>("deliveries", text.toLowerCase()) : undefined;
    if (delivery !== undefined) return { ...nothing, deliveries: [delivery], by: "delivery id" };
    const events = await this.#events();
    for (const { id } of events) {
      if (id === text) continue;
      // The producer's own id of an event leads to ours, and that to its deliveries.
      const { items, nextCursor } = await this.#list<DeliveryRow>("deliveries", { eventID: id });
      if (items.length > 0) return { ...nothing, deliveries: items, isMore: nextCursor !== null, by: "the producer's event id", events };
    }
    const subscriptions = await this.#subscriptions();
    return { ...nothing, events, eventsUnseen: this.#eventsUnseen, subscriptions };
  }

  async #events(): Promise<(EventRow | EventDetail)[]> {
    const text = this.#text;
    const event = EVENT_ID.test(text) ? await this.#one<EventDetail>("events", text) : undefined;
    if (event !== undefined) return [event];
    try {
      return [...(await this.#list<EventRow>("events", { sourceID: text })).items];
    } catch (error) {
      if (!(error instanceof ApiRefusal) || (error.status !== 403 && error.status !== 404)) throw error;
      this.#eventsUnseen =
        error.status === 403
          ? `the token may not list events, so an event that no subscription wanted is not seen (${error.detail})`
          : "this operator has no list of events yet, so an event that no subscription wanted is found by its event id only";
      return [];
    }
  }

  async #subscriptions(): Promise<readonly SubscriptionRow[]> {
    try {
      return pageOf<SubscriptionRow>(await this.#client.get(pathOf(this.#namespace, "subscriptions"))).items;
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 403) return [];
      throw error;
    }
  }

  async #list<T>(what: string, parameters: ApiParameters): Promise<Page<T>> {
    return pageOf<T>(await this.#client.get(pathOf(this.#namespace, what), { ...parameters, limit: ROWS }));
  }

  /** Undefined where there is none, or where it may not be read. */
  async #one<T>(what: string, id: string): Promise<T | undefined> {
    try {
      return JSON.parse(await this.#client.get(pathOf(this.#namespace, what, id))) as T;
    } catch (error) {
      if (!(error instanceof ApiRefusal) || (error.status !== 404 && error.status !== 403)) throw error;
      if (error.status === 403) this.#eventsUnseen = `the token may not read ${what} (${error.detail})`;
      return undefined;
    }
  }
}

function foundText(text: string, found: Found, reading: Reading): Shown {
  const { deliveries, isMore, by } = found;
  if (deliveries.length === 0) return linesOf(nothingLines(text, found, reading));
  const count = `${deliveries.length}${isMore ? " or more" : ""} ${deliveries.length === 1 && !isMore ? "delivery" : "deliveries"}`;
  return linesOf([
    shown`${text} is the ${by.replace(/^the /, "")} of ${count}:`,
    ...deliveries.map(
      (row) => shown`${row.id}  ${row.eventType} of ${timeText(row.acceptedTime, reading.utc)}: ${deliverySentence(row, reading)}`,
    ),
    ...(isMore
      ? [shown`There are more: postrider deliveries -n ${reading.namespace} ${by === "record id" ? "--record" : "--event"} ${text}`]
      : []),
  ]);
}

/** Why there is no delivery: the first reason that is known for certain, or else all that it can be. */
function nothingLines(text: string, { events, eventsUnseen, subscriptions }: Found, { namespace, utc }: Reading): Shown[] {
  const [event] = events;
  if (event !== undefined) {
    const at = timeText(event.receivedTime, utc);
    const isUnwanted = "matched" in event ? event.matched === 0 : !event.dataKept;
    return isUnwanted
      ? [
          shown`The event ${event.id} (${event.type}) was accepted at ${at}, and no subscription wanted it: nothing was sent.`,
          shown`Subscriptions and the types they want: ${wanted(subscriptions)}`,
        ]
      : [
          shown`The event ${event.id} (${event.type}) was accepted at ${at}, but its deliveries are past their retention (retention.history).`,
        ];
  }
  const without = subscriptions.filter((one) => !hasRecordId(one)).map(({ name }) => name);
  return [
    shown`Nothing in namespace ${namespace} has ${text} as its record id, event id or delivery id. One of these is the reason:`,
    shown`- It was never accepted: the producer's log has the answer of the ingest, 202 and an id where it was.`,
    shown`- Its retention is over: ${retentions(subscriptions)}; an event that no subscription wanted is kept for 24 h.`,
    ...(without.length === 0
      ? []
      : [shown`- It is a record id of a subscription that has none: history.recordIDField is not set for ${without.join(", ")}.`]),
    ...(eventsUnseen === undefined ? [] : [shown`Not certain: ${eventsUnseen}.`]),
  ];
}

function wanted(subscriptions: readonly SubscriptionRow[]): string {
  if (subscriptions.length === 0) return "none";
  return subscriptions.map(({ name, spec }) => `${name} (${(spec?.events?.types ?? []).join(", ")})`).join(", ");
}

function hasRecordId({ spec }: SubscriptionRow): boolean {
  return spec?.history?.recordIDField !== undefined;
}

function retentions(subscriptions: readonly SubscriptionRow[]): string {
  const kept = subscriptions.map(({ name, status }) => [name, status?.effectivePolicy?.values?.retention?.history] as const);
  const known = kept.filter(([, history]) => history !== undefined);
  if (known.length === 0) return "deliveries are kept as retention.history of their policy says";
  const lengths = new Set(known.map(([, history]) => history));
  const each = lengths.size === 1 ? (known[0]?.[1] ?? "") : known.map(([name, history]) => `${history} (${name})`).join(", ");
  return `deliveries are kept for ${each} after they ended`;
}
