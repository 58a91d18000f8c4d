import { Command, Option } from "commander";
import { loadConfig, type RawSettings } from "../config/config.ts";
import { readEnv } from "../config/env.ts";
import { LIST_SETTINGS, SETTINGS, SWITCH_SETTINGS, type SettingName } from "../config/settings.ts";
import type { StartOperator } from "./operator.ts";
import { shownJson, tell } from "./terminal.ts";
import type { ProcessSignals } from "./process-signals.ts";

const EXAMPLES = `
Examples:
  # without a cluster: manifests from a folder, events kept in ./data
  postrider run --provider file --manifests ./manifests --store sqlite:./data \\
    --ingest-auth none

  # in a cluster (the chart does this)
  postrider run --store sqlite:/data

Every flag is also an environment variable (--ingest-listen is
POSTRIDER_INGEST_LISTEN) and a line in --config FILE.
Once everything listens, one JSON line on stdout says so:
{"msg":"ready","ingest":"http://…","api":"http://…","metrics":"http://…"}.
SIGTERM finishes what is in flight and exits 0; a second signal, at least 1 s
later, ends at once.`;

/** `postrider run`: the operator. */
export function runCommand(start: StartOperator, signals: ProcessSignals): Command {
  const command = new Command("run").description("run the operator: accept events and deliver them").addHelpText("after", EXAMPLES);
  command.option("--config <file>", "YAML file with one 'flag-name: value' a line");
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const isSwitch = SWITCH_SETTINGS.has(name);
    const option = new Option(`--${name} ${isSwitch ? "[value]" : "<value>"}`, SETTINGS[name].description ?? "");
    if (isSwitch) option.preset("true");
    if (LIST_SETTINGS.has(name)) option.argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value]);
    command.addOption(option);
  }
  command.action(async (options: Record<string, unknown>) => {
    const config = loadConfig({ flags: rawFlags(options), env: readEnv(), file: options["config"] as string | undefined });
    const operator = await start(config);
    tell(shownJson({ msg: "ready", ...operator.urls, pid: process.pid }));
    signals.onStop(() => operator.stop());
    process.exitCode = await operator.finished;
  });
  return command;
}

/** Commander names options in camelCase; settings keep the flag's own name. */
function rawFlags(options: Record<string, unknown>): RawSettings {
  const raw: Record<string, string | string[]> = {};
  for (const name of Object.keys(SETTINGS)) {
    const value = options[name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
    if (typeof value === "string" || Array.isArray(value)) raw[name] = value as string | string[];
  }
  return raw;
}
