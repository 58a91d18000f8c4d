import { Command } from "commander";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { StartOperator } from "./operator.ts";
import type { ProcessSignals } from "./process-signals.ts";
import type { Connect } from "./uninstall.ts";

export interface CommandsParts {
  readonly version: string;
  readonly start: StartOperator;
  readonly connect: Connect;
  readonly signals: ProcessSignals;
  readonly clock: Clock;
  readonly random: Random;
}

interface Entry {
  readonly group: string;
  readonly description: string;
  readonly load: (parts: CommandsParts) => Promise<Command>;
}

const OPERATE = "Run an operator:";
const WRITE = "Write and check manifests:";
const HISTORY = "What happened to an event, and send it again:";
const DEVELOP = "Send, receive and more:";

/**
 * Every command, in the order of `postrider --help`. A command's own file is loaded when it is used: what it needs (the expression engine, the
 * Kubernetes client) would make `--help` of all others ten times slower. Descriptions are here for that reason; a test compares them.
 */
const ENTRIES: Readonly<Record<string, Entry>> = {
  run: {
    group: OPERATE,
    description: "run the operator: accept events and deliver them",
    load: async ({ start, signals }) => (await import("./run.ts")).runCommand(start, signals),
  },
  demo: {
    group: OPERATE,
    description: "see it work: receivers healthy, flaky and dead, events, signed requests, retries, counters",
    load: async (parts) => (await import("./demo/demo.ts")).demoCommand(parts),
  },
  uninstall: {
    group: OPERATE,
    description: "before the operator is removed: take its finalizer off every subscription",
    load: async ({ clock, connect }) => (await import("./uninstall.ts")).uninstallCommand(clock, connect),
  },
  validate: {
    group: WRITE,
    description: "check manifests without a cluster; show file, line and field of each problem",
    load: async ({ clock, version }) => {
      const [{ validateCommand }, { compileBody, compileFilter }] = await Promise.all([
        import("./validate.ts"),
        import("../core/expression/compile.ts"),
      ]);
      return validateCommand({ filter: compileFilter, body: compileBody }, clock, version);
    },
  },
  plan: {
    group: WRITE,
    description: "show what changed manifests would mean for the events that really came",
    load: async ({ clock, version }) => {
      const [{ planCommand }, { compileBody, compileFilter }] = await Promise.all([
        import("./plan/plan.ts"),
        import("../core/expression/compile.ts"),
      ]);
      return planCommand({ compiler: { filter: compileFilter, body: compileBody }, clock, version });
    },
  },
  subscriptions: {
    group: HISTORY,
    description: "list subscriptions with their state, or show one",
    load: async ({ clock }) => (await import("./history/subscriptions.ts")).subscriptionsCommand(clock),
  },
  deliveries: {
    group: HISTORY,
    description: "list deliveries, newest first, or show one",
    load: async ({ clock }) => (await import("./history/deliveries.ts")).deliveriesCommand(clock),
  },
  attempts: {
    group: HISTORY,
    description: "list attempts with what came back, or those of one delivery",
    load: async ({ clock }) => (await import("./history/attempts.ts")).attemptsCommand(clock),
  },
  events: {
    group: HISTORY,
    description: "list events, also those that no subscription wanted, or show one",
    load: async ({ clock }) => (await import("./history/events.ts")).eventsCommand(clock),
  },
  find: {
    group: HISTORY,
    description: "find an event's deliveries by any id, or say why it has none",
    load: async ({ clock }) => (await import("./history/find.ts")).findCommand(clock),
  },
  status: {
    group: HISTORY,
    description: "say in a sentence how a subscription is, and what to do",
    load: async ({ clock }) => (await import("./history/status.ts")).statusCommand(clock),
  },
  tail: {
    group: HISTORY,
    description: "show attempts as they come, until ^C",
    load: async ({ clock, signals }) => (await import("./history/tail.ts")).tailCommand(clock, signals),
  },
  resend: {
    group: HISTORY,
    description: "send deliveries again, each once",
    load: async ({ clock, signals }) => (await import("./history/resend.ts")).resendCommand(clock, signals),
  },
  test: {
    group: HISTORY,
    description: "send a test event to a subscription's endpoint, and say what came back",
    load: async ({ clock }) => (await import("./history/test.ts")).testCommand(clock),
  },
  pause: {
    group: HISTORY,
    description: "hold the deliveries of a subscription back until resume",
    load: async ({ clock }) => (await import("./history/pause.ts")).pauseCommand(clock),
  },
  resume: {
    group: HISTORY,
    description: "lift the pause or automatic suspension of a subscription",
    load: async ({ clock }) => (await import("./history/pause.ts")).resumeCommand(clock),
  },
  publish: {
    group: DEVELOP,
    description: "send an event to the ingest, and report its result",
    load: async () => (await import("./publish.ts")).publishCommand(),
  },
  listen: {
    group: DEVELOP,
    description: "receive webhooks on this machine: verify them and print them",
    load: async ({ clock, signals }) => (await import("./listen.ts")).listenCommand(clock, signals),
  },
  verify: {
    group: DEVELOP,
    description: "check the signature of one received request, and explain why it fails",
    load: async ({ clock }) => (await import("./verify.ts")).verifyCommand(clock),
  },
  key: {
    group: DEVELOP,
    description: "create signing keys; print the public key of an Ed25519 one",
    load: async ({ random }) => (await import("./key.ts")).keyCommand(random),
  },
  completion: {
    group: DEVELOP,
    description: "print a script that completes commands, flags and names in a shell",
    load: async (parts) => (await import("./completion.ts")).completionCommand(() => allCommands(parts)),
  },
};

export const COMMAND_NAMES: readonly string[] = Object.keys(ENTRIES);

/** The commands of a program whose arguments are `words`: those that are named among them as they are, of the others only their line of the help. */
export async function commandsOf(parts: CommandsParts, words: readonly string[]): Promise<Command[]> {
  return Promise.all(
    Object.entries(ENTRIES).map(async ([name, { group, description, load }]) => {
      const command = words.includes(name) ? await load(parts) : new Command(name).description(description);
      return command.helpGroup(group);
    }),
  );
}

/** All of them with everything, for pages and tests. */
export function allCommands(parts: CommandsParts): Promise<Command[]> {
  return commandsOf(parts, COMMAND_NAMES);
}
