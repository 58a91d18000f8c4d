import { Command } from "commander";
import { ExpressionCache } from "../controller/subscription/expression-cache.ts";
import type { ExpressionCompiler } from "../controller/subscription/expression-cache.ts";
import { checkManifests } from "./manifest-check.ts";
import type { Event } from "../core/event.ts";
import type { Clock } from "../lib/clock.ts";
import { readEvents } from "./event-file.ts";
import { previewEvent, previewText } from "./event-preview.ts";
import type { Preview, PreviewedSubscription, PreviewSetting } from "./event-preview.ts";
import type { Finding } from "./manifest-check.ts";
import { manifestFiles } from "./manifest-files.ts";
import { outputFormat } from "./option-values.ts";
import { CommandFailure, requireFlags } from "./program.ts";
import { shown, shownJson, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # everything in a folder, before it is committed
  postrider validate -f manifests/

  # a subscription together with the cluster policy that decides where it may
  # deliver to
  postrider validate -f subscription.yaml -f cluster-policy.yaml

  # what a sample event would do: who gets it, and exactly which request
  postrider validate -f manifests/ --event order.json -n shop

  # for a program
  postrider validate -f manifests/ -o json

The files are checked together, with the rules of the API server and of the
controller: without a ClusterDeliveryPolicy among them, deliveries
may go to public https addresses only.
The event is in the short form, a CloudEvent, or an array of CloudEvents. What
Secrets hold is not shown, except in signatures, which are made as of now.
Exit code: 0 all good, 1 something is rejected or fails for the event (file,
line and field are printed), 2 wrong usage.`;

interface ValidateOptions {
  readonly event?: string;
  readonly namespace?: string;
  readonly filename: readonly string[];
  readonly output: "text" | "json";
}

/** `postrider validate`: checks manifests offline, with the code the controller uses. */
export function validateCommand(compiler: ExpressionCompiler, clock: Clock, version: string): Command {
  const command = new Command("validate").description("check manifests without a cluster; show file, line and field of each problem");
  return requireFlags(command, "--filename")
    .option(
      "-f, --filename <path>",
      "(required) a file, a folder (with its subfolders), or - for stdin; repeatable",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .option("--event <file>", "show what would happen to the event in this file, or - for stdin")
    .option("-n, --namespace <name>", "namespace of the event; default: each one that has a subscription")
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action((options: ValidateOptions, self: Command) => {
      if (options.namespace !== undefined && options.event === undefined)
        self.error("error: --namespace needs --event FILE", { exitCode: 2 });
      const files = options.filename.flatMap(manifestFiles);
      if (files.length === 0) throw new CommandFailure("there is no .yaml, .yml or .json file to check");
      const expressions = new ExpressionCache(compiler);
      const { findings, objects, subscriptions } = checkManifests(files, expressions);
      const refused = findings.filter(({ severity }) => severity === "error").length;
      const setting = { expressions, nowSec: Math.floor(clock.trueMs() / 1_000), version };
      const events =
        options.event === undefined ? [] : previews(readEvents(options.event, clock), subscriptions, options.namespace, setting);
      if (options.output === "json") tell(shownJson(asJson({ objects, files: files.length, refused, findings }, events)));
      else {
        for (const line of [...findings.map(findingLine), summary(files.length, objects, refused)]) tell(shown`${line}`);
        for (const { event, previews: found } of events) tell(previewText(event, found));
      }
      if (refused > 0 || events.some(({ previews: found }) => found.some(({ result }) => result === "error"))) process.exitCode = 1;
    });
}

interface EventPreview {
  readonly event: Event;
  readonly previews: readonly Preview[];
}

function previews(
  read: (namespace: string) => readonly Event[],
  subscriptions: readonly PreviewedSubscription[],
  namespace: string | undefined,
  setting: PreviewSetting,
): EventPreview[] {
  const namespaces = namespace === undefined ? new Set(subscriptions.map((one) => one.namespace)) : [namespace];
  return [...namespaces].flatMap((one) => {
    const own = subscriptions.filter((subscription) => subscription.namespace === one);
    return read(one).map((event) => ({ event, previews: own.map((subscription) => previewEvent(subscription, event, setting)) }));
  });
}

function asJson(checked: object, events: readonly EventPreview[]): object {
  if (events.length === 0) return checked;
  return {
    ...checked,
    events: events.map(({ event, previews: found }) => ({ namespace: event.namespace, type: event.type, previews: found })),
  };
}

function findingLine({ file, line, field, severity, object, reason, message }: Finding): string {
  const place = [object, field].filter((part) => part !== "").join(" ");
  return `${file}:${line}: ${severity === "note" ? "note: " : ""}${place === "" ? "" : `${place}: `}${message} (${reason})`;
}

function summary(files: number, objects: number, refused: number): string {
  return `${files} ${files === 1 ? "file" : "files"}, ${objects} Postrider ${objects === 1 ? "object" : "objects"}: ${refused === 0 ? "all good" : `${refused} refused`}`;
}
