import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { openPortFault } from "../core/access-token.ts";
import { didYouMean } from "../lib/nearest-name.ts";
import { ConfigError } from "./config-error.ts";
import { envName } from "./env.ts";
import type { ListenAddress } from "../lib/listen.ts";
import { LIST_SETTINGS, SETTINGS, type SettingName, type Settings } from "./settings.ts";

export type AuthMode = "kubernetes" | "static" | "none";

/** What `run` obeys: validated and frozen, with the defaults that depend on the provider filled in. */
export interface Config extends Omit<Settings, "store" | "ingest-listen" | "api-listen" | "metrics-listen" | "ingest-auth" | "api-auth"> {
  readonly store: NonNullable<Settings["store"]>;
  readonly "ingest-listen": ListenAddress;
  readonly "api-listen": ListenAddress;
  readonly "metrics-listen": ListenAddress;
  readonly "ingest-auth": readonly AuthMode[];
  readonly "api-auth": readonly AuthMode[];
}

export type RawSettings = Readonly<Partial<Record<SettingName, string | readonly string[]>>>;

export interface ConfigSources {
  /** From the command line; wins over the environment, which wins over the file. */
  readonly flags: RawSettings;
  readonly env: Readonly<Record<string, string>>;
  readonly file?: string | undefined;
}

/** Reads, merges and checks all sources. @throws ConfigError */
export function loadConfig(sources: ConfigSources): Config {
  const fileValues = sources.file === undefined ? {} : readConfigFile(sources.file);
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const raw = sources.flags[name] ?? fromEnv(name, sources.env) ?? fileValues[name];
    const parsed = SETTINGS[name].safeParse(raw);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(...parsed.error.issues.map((issue) => `--${name}: ${issue.message}`));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return complete(values as unknown as Settings);
}

function fromEnv(name: SettingName, env: Readonly<Record<string, string>>): string | string[] | undefined {
  const raw = env[envName(name)];
  if (raw === undefined) return undefined;
  return LIST_SETTINGS.has(name) ? raw.split(",").map((part) => part.trim()) : raw;
}

function readConfigFile(file: string): RawSettings {
  let parsed: unknown;
  try {
    parsed = parseYaml(readFileSync(file, "utf8"), { maxAliasCount: 0 });
  } catch (error) {
    throw new ConfigError([`--config ${file}: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);
  const checked = z.record(z.string(), z.union([scalar, z.array(scalar)])).safeParse(parsed ?? {});
  if (!checked.success) throw new ConfigError([`--config ${file}: write one 'flag-name: value' a line, lists as YAML lists`]);
  const unknown = Object.keys(checked.data).filter((key) => !(key in SETTINGS));
  if (unknown.length > 0) {
    const names = Object.keys(SETTINGS);
    throw new ConfigError(unknown.map((key) => `--config ${file}: there is no setting '${key}'${didYouMean(key, names)}`));
  }
  return checked.data;
}

function complete(settings: Settings): Config {
  const withFiles = settings.provider === "file";
  const problems: string[] = [];
  if (withFiles && settings.manifests === undefined) problems.push("--manifests: --provider file needs --manifests DIR");
  if (!withFiles && settings.manifests !== undefined) problems.push("--manifests: works only with --provider file");
  if (settings.store === undefined) problems.push("--store: choose where events are stored: sqlite:DIR, or memory: for a trial");
  const { "store-size-max": sizeMax, "store-free-min": freeMin, "store-reserve": reserve } = settings;
  if (sizeMax !== undefined && sizeMax <= freeMin + reserve)
    problems.push(
      `--store-size-max: ${sizeMax} bytes leave no room for events in addition to --store-free-min and --store-reserve, ${freeMin + reserve}`,
    );
  const host = withFiles ? "127.0.0.1" : "0.0.0.0";
  const ingestListen = settings["ingest-listen"] ?? { host, port: 8_080 };
  const apiListen = settings["api-listen"] ?? { host, port: 8_081 };
  const authDefault: readonly AuthMode[] = [withFiles ? "static" : "kubernetes"];
  const ingestAuth = settings["ingest-auth"] ?? authDefault;
  const apiAuth = settings["api-auth"] ?? authDefault;
  problems.push(...authProblems("ingest", ingestAuth, ingestListen), ...authProblems("api", apiAuth, apiListen), ...tlsProblems(settings));
  if (problems.length > 0 || settings.store === undefined) throw new ConfigError(problems);
  return Object.freeze({
    ...settings,
    store: settings.store,
    "ingest-listen": ingestListen,
    "api-listen": apiListen,
    "metrics-listen": settings["metrics-listen"] ?? { host, port: 9_090 },
    "ingest-auth": ingestAuth,
    "api-auth": apiAuth,
  });
}

function authProblems(port: "ingest" | "api", modes: readonly AuthMode[], listen: ListenAddress): string[] {
  const flag = `--${port}-auth`;
  if (modes.length === 0) return [`${flag}: name at least one of kubernetes, static, none`];
  const fault = modes.includes("none") ? openPortFault(flag, listen.host) : undefined;
  if (fault !== undefined) return [fault];
  if (modes.includes("none") && modes.length > 1) return [`${flag} none: makes the other modes pointless; use either none or the others`];
  return [];
}

/** A port speaks TLS with a certificate and its key, or not at all: half of it must not be read as plain HTTP. */
function tlsProblems(settings: Settings): string[] {
  const problems: string[] = [];
  for (const port of ["ingest", "api", "metrics"] as const) {
    const [certificate, key] = [`${port}-tls-certificate-file`, `${port}-tls-key-file`] as const;
    if ((settings[certificate] === undefined) === (settings[key] === undefined)) continue;
    const [given, missing] = settings[key] === undefined ? [certificate, key] : [key, certificate];
    problems.push(`--${missing}: is missing: --${given} needs it`);
  }
  if (settings["ingest-tls-client-ca-file"] !== undefined && settings["ingest-tls-certificate-file"] === undefined) {
    problems.push("--ingest-tls-client-ca-file: needs --ingest-tls-certificate-file and --ingest-tls-key-file");
  }
  return problems;
}
