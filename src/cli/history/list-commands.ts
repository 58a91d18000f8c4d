import { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import type { ApiClient } from "../api/api-client.ts";
import { namespaceOf, openClient } from "../api/connection-flags.ts";
import { filterParameters, type ListFlags, type RangeFlags } from "../api/list-flags.ts";
import { type Kind, printList, type Query } from "../api/listing.ts";
import { momentLines } from "../api/moment.ts";
import { allowReaderToLeave, complain } from "../terminal.ts";

/** Runs something with a client, and closes it. */
export async function withClient(client: ApiClient, work: (client: ApiClient) => Promise<void>): Promise<void> {
  allowReaderToLeave();
  try {
    await work(client);
  } finally {
    client.close();
  }
}

export interface ListCommand<T, F extends RangeFlags> {
  readonly kind: Kind<T>;
  readonly description: string;
  readonly examples: string;
  readonly clock: Clock;
  /** What `[id]` is called in the usage, and what is done with one. */
  readonly one: { readonly argument: string; readonly show: (order: OneOrder<F>) => Promise<void> };
  /** The flags besides `[id]`. */
  readonly flags: (command: Command) => Command;
  readonly query: (order: { readonly client: ApiClient; readonly namespace: string; readonly flags: F }) => Query;
}

export interface OneOrder<F> {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly id: string;
  readonly flags: F;
}

/** A command that lists a kind, or shows one of it. */
export function listCommand<T, F extends RangeFlags>(parts: ListCommand<T, F>): Command {
  const { kind, description, examples, clock, one } = parts;
  const command = new Command(kind.plural).description(description).argument(`[${one.argument}]`, `only this one, in full`);
  return parts
    .flags(command)
    .addHelpText("after", examples)
    .action(async (id: string | undefined, flags: F, self: Command) => {
      const namespace = namespaceOf(flags, self);
      await withClient(openClient(flags, clock), async (client) => {
        if (id !== undefined) return one.show({ client, namespace, id: bareId(id), flags });
        await printList<T>({ query: parts.query({ client, namespace, flags }), kind, flags, where: ` in namespace ${namespace}` });
        for (const line of momentLines({ "--since": flags.since, "--until": flags.until }, client.skew)) complain(line);
      });
    });
}

/** `delivery/ID`, as `-o name` writes it, is ID. */
export function bareId(text: string): string {
  return text.trim().replace(/^(?:delivery|attempt|event|subscription)\//, "");
}

/** A path below a namespace, each part of it as one segment. */
export function pathOf(namespace: string, ...parts: readonly string[]): string {
  return ["namespaces", namespace, ...parts].map((part) => encodeURIComponent(part)).join("/");
}

export function historyQuery(client: ApiClient, path: string, flags: ListFlags): Query {
  return { client, path, parameters: filterParameters(flags) };
}
