import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { MANIFEST_FILE_BYTES_MAX } from "../api/manifest.ts";
import { ExpressionCache } from "../controller/expression-cache.ts";
import type { ExpressionCompiler } from "../controller/expression-cache.ts";
import { checkManifests } from "./manifest-check.ts";
import type { Finding, ManifestText } from "./manifest-check.ts";
import { CommandFailure } from "./program.ts";
import { shown, shownJson, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # everything in a folder, before it is committed
  postrider validate -f manifests/

  # a subscription together with the cluster policy that will judge where it may deliver to
  postrider validate -f subscription.yaml -f cluster-policy.yaml

  # for a program
  postrider validate -f manifests/ -o json

The files are judged together, by the code that the API server's rules and the controller consist of: without a
ClusterDeliveryPolicy among them, deliveries may go to public https addresses only.
Exit code: 0 all good, 1 something is refused (file, line and field are printed), 2 wrong usage.`;

interface ValidateOptions {
  readonly filename: readonly string[];
  readonly output: "text" | "json";
}

/** `postrider validate`: checks manifests offline, with the code the controller uses. */
export function validateCommand(compiler: ExpressionCompiler): Command {
  return new Command("validate")
    .description("check manifests without a cluster; say file, line and field of what would be refused")
    .requiredOption(
      "-f, --filename <path>",
      "a file, a folder (with its subfolders), or - for stdin; repeatable",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .option("-o, --output <format>", "text or json", "text")
    .addHelpText("after", EXAMPLES)
    .action((options: ValidateOptions) => {
      const files = options.filename.flatMap(manifestFiles);
      if (files.length === 0) throw new CommandFailure("there is no .yaml, .yml or .json file to check");
      const { findings, objects } = checkManifests(files, new ExpressionCache(compiler));
      const refused = findings.filter(({ severity }) => severity === "error").length;
      if (options.output === "json") tell(shownJson({ objects, files: files.length, refused, findings }));
      else for (const line of [...findings.map(findingLine), summary(files.length, objects, refused)]) tell(shown`${line}`);
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

/** The same files that `run --manifests` reads: YAML and JSON, no dot files, no editor backups. */
function manifestFiles(path: string): ManifestText[] {
  if (path === "-") return [{ file: "stdin", text: readFileSync(0, "utf8") }];
  try {
    if (!statSync(path).isDirectory()) return [readManifestText(path)];
    return readdirSync(path, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ya?ml|json)$/i.test(name) && !name.split("/").some((part) => part.startsWith(".")))
      .toSorted()
      .map((name) => join(path, name))
      .filter((file) => statSync(file).isFile())
      .map(readManifestText);
  } catch (error) {
    throw error instanceof Error && "code" in error ? new CommandFailure(`cannot read ${path}: ${error.message}`) : error;
  }
}

function readManifestText(file: string): ManifestText {
  const { size } = statSync(file);
  if (size > MANIFEST_FILE_BYTES_MAX)
    throw new CommandFailure(`${file} has ${size} bytes; at most ${MANIFEST_FILE_BYTES_MAX} are read: split it`);
  return { file, text: readFileSync(file, "utf8") };
}
