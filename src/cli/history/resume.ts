import { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { shown, tell } from "../terminal.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";

const EXAMPLES = `
Examples:
  # the receiver of crm is back
  postrider resume -n shop crm

Lifts an automatic suspension (AutoSuspended, EndpointGone) and closes the
circuit. A suspension by the spec (BySpec) is lifted in the manifest only.
Exit code: 0 resumed, 1 refused or unreachable, 2 wrong usage.`;

/** `postrider resume`: lets a suspended subscription send again. */
export function resumeCommand(clock: Clock): Command {
  const command = new Command("resume")
    .description("lift the automatic suspension of a subscription")
    .argument("<name>", "the subscription");
  return withConnection(command)
    .addHelpText("after", EXAMPLES)
    .action(async (given: string, flags: ConnectionFlags, self: Command) => {
      const namespace = namespaceOf(flags, self);
      const name = bareId(given);
      await withClient(openClient(flags, clock), async (client) => {
        await client.post(pathOf(namespace, "subscriptions", name, "resume"));
        tell(shown`${name} is resumed: see postrider status -n ${namespace} ${name}`);
      });
    });
}
