import { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { ApiRefusal } from "../api/api-client.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { CommandFailure } from "../program.ts";
import { shown, tell } from "../terminal.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";

const PAUSE_EXAMPLES = `
Examples:
  # the customer asks for quiet until their migration is over
  postrider pause -n shop crm --reason 'migration, ticket 4711'

Deliveries wait until postrider resume, over restarts and other changes; their
maxAge goes by meanwhile. Events are accepted as before.
Exit code: 0 paused, 1 refused or unreachable, 2 wrong usage.`;

const RESUME_EXAMPLES = `
Examples:
  # the receiver of crm is back
  postrider resume -n shop crm

Lifts a pause and an automatic suspension (AutoSuspended, EndpointGone), and
closes the circuit. A suspension by the spec (BySpec) is lifted in the manifest
only.
Exit code: 0 resumed, 1 refused or unreachable, 2 wrong usage.`;

/** `postrider pause`: holds a subscription's deliveries back until `resume`. */
export function pauseCommand(clock: Clock): Command {
  const command = new Command("pause")
    .description("hold the deliveries of a subscription back until resume")
    .argument("<name>", "the subscription");
  return withConnection(command)
    .option("--reason <text>", "why, for everyone who looks at its status")
    .addHelpText("after", PAUSE_EXAMPLES)
    .action(async (given: string, flags: ConnectionFlags & { readonly reason?: string }, self: Command) => {
      const namespace = namespaceOf(flags, self);
      const name = bareId(given);
      await withClient(openClient(flags, clock), async (client) => {
        const body = flags.reason === undefined ? "" : JSON.stringify({ reason: flags.reason });
        try {
          await client.post(pathOf(namespace, "subscriptions", name, "pause"), { body });
        } catch (error) {
          if (!(error instanceof ApiRefusal) || error.problem !== "not_found") throw error;
          throw new CommandFailure("this operator cannot pause through its API yet: set spec.suspend to true in the manifest");
        }
        tell(shown`${name} is paused: its deliveries wait until postrider resume -n ${namespace} ${name}`);
      });
    });
}

/** `postrider resume`: lets a paused or suspended subscription send again. */
export function resumeCommand(clock: Clock): Command {
  const command = new Command("resume")
    .description("lift the pause or automatic suspension of a subscription")
    .argument("<name>", "the subscription");
  return withConnection(command)
    .addHelpText("after", RESUME_EXAMPLES)
    .action(async (given: string, flags: ConnectionFlags, self: Command) => {
      const namespace = namespaceOf(flags, self);
      const name = bareId(given);
      await withClient(openClient(flags, clock), async (client) => {
        await client.post(pathOf(namespace, "subscriptions", name, "resume"));
        tell(shown`${name} is resumed: see postrider status -n ${namespace} ${name}`);
      });
    });
}
