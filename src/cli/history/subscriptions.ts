import { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { type OutputFlags, withOutput } from "../api/list-flags.ts";
import { parsedAnswer, printExact, printList, tableSetting } from "../api/listing.ts";
import type { SubscriptionRow } from "../api/rows.ts";
import { Table } from "../api/table.ts";
import { shown, tell } from "../terminal.ts";
import { SUBSCRIPTIONS } from "./kinds.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # how each of them is, how much waits, what its receiver said last
  postrider subscriptions -n shop

  # one with spec and status, as the operator has them
  postrider subscriptions -n shop crm -o yaml

postrider status says the same of one in a sentence, with what to do.
Exit code: 0 done, 1 refused, unreachable or unknown, 2 wrong usage.`;

/** `postrider subscriptions`: how each subscription is now. */
export function subscriptionsCommand(clock: Clock): Command {
  const command = new Command("subscriptions")
    .description("list subscriptions with their state, or show one")
    .argument("[name]", "only this one");
  return withOutput(withConnection(command))
    .addHelpText("after", EXAMPLES)
    .action(async (name: string | undefined, flags: ConnectionFlags & OutputFlags, self: Command) => {
      const namespace = namespaceOf(flags, self);
      await withClient(openClient(flags, clock), async (client) => {
        if (name === undefined) {
          const query = { client, path: pathOf(namespace, "subscriptions"), parameters: {}, unpaged: true as const };
          await printList({ query, kind: SUBSCRIPTIONS, flags, where: ` in namespace ${namespace}` });
          return;
        }
        const text = await client.get(pathOf(namespace, "subscriptions", bareId(name)));
        const exact = parsedAnswer(text);
        const row = JSON.parse(text) as SubscriptionRow;
        if (flags.output === "name") tell(shown`subscription/${row.name}`);
        else if (flags.output !== "table" && flags.output !== "wide") printExact(exact, flags.output);
        else for (const line of new Table(SUBSCRIPTIONS.columns(flags.utc === true), tableSetting(flags)).page([row])) tell(line);
      });
    });
}
