import { Command } from "commander";
import { ExpressionCache } from "../controller/expression-cache.ts";
import type { ExpressionCompiler } from "../controller/expression-cache.ts";
import { checkManifests } from "./manifest-check.ts";
import type { Finding } from "./manifest-check.ts";
import { manifestFiles } from "./manifest-files.ts";
import { outputFormat } from "./option-values.ts";
import { CommandFailure, requireFlags } from "./program.ts";

const EXAMPLES = `
Examples:
  # everything in a folder, before it is committed
  postrider validate -f manifests/

  # a subscription together with the cluster policy that will judge where it may
  # deliver to
  postrider validate -f subscription.yaml -f cluster-policy.yaml

  # for a program
  postrider validate -f manifests/ -o json

The files are judged together, by the code that the API server's rules and the
controller consist of: without a ClusterDeliveryPolicy among them, deliveries
may go to public https addresses only.
Exit code: 0 all good, 1 something is refused (file, line and field are
printed), 2 wrong usage.`;

interface ValidateOptions {
  readonly filename: readonly string[];
  readonly output: "text" | "json";
}

/** `postrider validate`: checks manifests offline, with the code the controller uses. */
export function validateCommand(compiler: ExpressionCompiler): Command {
  const command = new Command("validate").description(
    "check manifests without a cluster; say file, line and field of what would be refused",
  );
  return requireFlags(command, "--filename")
    .option(
      "-f, --filename <path>",
      "(required) a file, a folder (with its subfolders), or - for stdin; repeatable",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action((options: ValidateOptions) => {
      const files = options.filename.flatMap(manifestFiles);
      if (files.length === 0) throw new CommandFailure("there is no .yaml, .yml or .json file to check");
      const { findings, objects } = checkManifests(files, new ExpressionCache(compiler));
      const refused = findings.filter(({ severity }) => severity === "error").length;
      if (options.output === "json") process.stdout.write(`${JSON.stringify({ objects, files: files.length, refused, findings })}\n`);
      else process.stdout.write(`${[...findings.map(findingLine), summary(files.length, objects, refused)].join("\n")}\n`);
      if (refused > 0) process.exitCode = 1;
    });
}

function findingLine({ file, line, field, severity, object, reason, message }: Finding): string {
  const place = [object, field].filter((part) => part !== "").join(" ");
  return `${file}:${line}: ${severity === "note" ? "note: " : ""}${place === "" ? "" : `${place}: `}${message} (${reason})`;
}

function summary(files: number, objects: number, refused: number): string {
  return `${files} ${files === 1 ? "file" : "files"}, ${objects} Postrider ${objects === 1 ? "object" : "objects"}: ${refused === 0 ? "all good" : `${refused} refused`}`;
}
