import { Command } from "commander";
import type { Verifier } from "../core/signing/verify.ts";
import { secretFault } from "../core/signing/verify.ts";
import type { Clock } from "../lib/clock.ts";
import { usesColour } from "./colour.ts";
import { DevelopmentReceiver } from "./development-receiver.ts";
import { forwardTarget } from "./forwarding.ts";
import { duration, outputFormat, wholeNumber } from "./option-values.ts";
import type { ProcessSignals } from "./process-signals.ts";
import { tell } from "./terminal.ts";
import { addVerifierOptions, readVerifier } from "./verifier-options.ts";
import type { VerifierOptions } from "./verifier-options.ts";

const EXAMPLES = `
Examples:
  # print what comes in on http://127.0.0.1:9999/, any path
  postrider listen --port 9999

  # verify the signatures with the subscription's secret; the request shows
  # which of the usual schemes it uses
  postrider listen --port 9999 --secret whsec_…
  postrider listen --port 9999 --secret-file key.txt --scheme github

  # the subscription's own style, and its key from a Secret there
  postrider listen --port 9999 -f manifests/ --subscription shop/orders

  # verify, then forward to the app under development; its answer is passed back
  postrider listen --port 9999 --secret whsec_… --forward-to localhost:3000

  # a bad receiver: slow, and every third request fails
  postrider listen --port 9999 --delay 2s --fail-every 3

  # for scripts: one JSON object a line; port 0 picks a free one, which the
  # first line names
  postrider listen --port 0 -o json

It answers 200 (or --status), or what the app answered. A request whose
signature is wrong is answered 401 and not forwarded. Ctrl-C ends it.
--forward-to without a path keeps the request's path; with one, all go there.`;

const DELAY_MAX_MS = 600_000;

interface ListenOptions extends VerifierOptions {
  readonly host: string;
  readonly port: number;
  readonly status: number;
  readonly delay: number;
  readonly failEvery?: number;
  readonly forwardTo?: URL;
  readonly showHeaders?: boolean;
  readonly output: "text" | "json";
}

/** `postrider listen`: a receiver for development. */
export function listenCommand(clock: Clock, signals: ProcessSignals): Command {
  return addVerifierOptions(
    new Command("listen")
      .description("receive webhooks on this machine: verify them and print them")
      .option("--host <address>", "address to listen on", "127.0.0.1")
      .option("--port <n>", "port to listen on; 0 picks a free one", wholeNumber(0, 65_535), 9_999),
  )
    .option("--forward-to <url>", "forward requests to an app on this machine, and answer what it answers", forwardTarget)
    .option("--status <code>", "answer with this status", wholeNumber(200, 599), 200)
    .option("--delay <duration>", "answer after this long, for example 500ms or 2s", duration(DELAY_MAX_MS, "10m"), 0)
    .option("--fail-every <n>", "answer every n-th request with 500", wholeNumber(1, 1_000_000))
    .option("--show-headers", "print every header too")
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action(async (options: ListenOptions, command: Command) => {
      const verifier = readVerifier(options, command);
      refuseBadSecrets(verifier, command);
      const shows = { output: options.output, colour: usesColour(process.stdout), headers: options.showHeaders === true };
      const receiver = new DevelopmentReceiver({ ...options, verifier, shows }, clock, tell);
      await receiver.start();
      await new Promise<void>((resolve) => {
        signals.onStop(resolve);
      });
      await receiver.stop();
    });
}

/** Better now than at every request. */
function refuseBadSecrets(verifier: Verifier | undefined, command: Command): void {
  for (const secret of verifier?.secrets ?? []) {
    const fault = secretFault(verifier?.signing?.scheme, secret);
    if (fault !== undefined) command.error(`error: ${fault}`, { exitCode: 2 });
  }
}
