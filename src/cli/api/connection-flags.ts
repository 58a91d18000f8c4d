import { type Command, Option } from "commander";
import { readEnv } from "../../config/env.ts";
import type { Clock } from "../../lib/clock.ts";
import { duration } from "../option-values.ts";
import { CommandFailure, EXIT_USAGE } from "../program.ts";
import { readValue, type ServerFlags, serverUrl, trustOf } from "../server-flags.ts";
import { ApiClient } from "./api-client.ts";

/** Default of `--api-listen`. */
const SERVER_DEFAULT = "http://127.0.0.1:8081";
const TIMEOUT_DEFAULT_MS = 30_000;
const TIMEOUT_MAX_MS = 600_000;
/** As much of a token's file as is read: a token is sent in one header. */
const TOKEN_CHARS_MAX = 16_384;

export interface ConnectionFlags extends Partial<ServerFlags> {
  readonly namespace?: string;
  readonly tokenFile?: string;
  readonly timeout: number;
}

/** The flags of every command that asks the API: where it is, whom to believe, who asks, and about which namespace. */
export function withConnection(command: Command): Command {
  return command
    .option("-n, --namespace <name>", "namespace (POSTRIDER_NAMESPACE)")
    .addOption(new Option("--server <url>", `address of the API port (POSTRIDER_SERVER; default: ${SERVER_DEFAULT})`).argParser(serverUrl))
    .option("--token-file <file>", "file with the token, or - for stdin (else POSTRIDER_TOKEN)")
    .option("--ca-file <file>", "trust this authority (PEM) for https://, and no other")
    .option("--client-certificate-file <file>", "show this certificate (PEM), where the API requires one")
    .option("--client-key-file <file>", "its private key (PEM)")
    .addOption(
      new Option("--timeout <duration>", "give up on one call after this")
        .argParser(duration(TIMEOUT_MAX_MS, "10m"))
        .default(TIMEOUT_DEFAULT_MS, "30s"),
    );
}

/** The environment is read late, so that a flag wins over it and a test can change it. */
export function openClient(flags: ConnectionFlags, clock: Clock): ApiClient {
  const server = serverOf(flags);
  const trust = trustOf({ ...flags, server });
  return new ApiClient({ server, trust, token: tokenOf(flags), timeoutMs: flags.timeout }, clock);
}

/** Demands a namespace. */
export function namespaceOf(flags: ConnectionFlags, command: Command): string {
  const given = flags.namespace ?? readEnv()["POSTRIDER_NAMESPACE"];
  if (given === undefined)
    return command.error("error: '-n, --namespace <name>' is required, or POSTRIDER_NAMESPACE", { exitCode: EXIT_USAGE });
  if (/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(given)) return given;
  return command.error(`error: '${given}' is not the name of a namespace: lower-case letters, digits and hyphens, at most 63`, {
    exitCode: EXIT_USAGE,
  });
}

function serverOf({ server }: ConnectionFlags): string {
  if (server !== undefined) return server;
  const given = readEnv()["POSTRIDER_SERVER"];
  if (given === undefined) return SERVER_DEFAULT;
  try {
    return serverUrl(given);
  } catch (error) {
    throw new CommandFailure(`POSTRIDER_SERVER is '${given}': ${error instanceof Error ? error.message : ""}`);
  }
}

/** A token in the arguments would be seen by everyone who lists processes, so there is no flag for it. */
function tokenOf({ tokenFile }: ConnectionFlags): string | undefined {
  const given =
    tokenFile === undefined ? readEnv()["POSTRIDER_TOKEN"] : readValue(tokenFile === "-" ? "-" : `@${tokenFile}`).toString("utf8");
  const token = given?.trim();
  if (token === undefined || (token === "" && tokenFile === undefined)) return undefined;
  const from = tokenFile === undefined ? "POSTRIDER_TOKEN" : tokenFile === "-" ? "stdin" : tokenFile;
  // Anything else is no token, and a line end in a header would be refused in words that say nothing.
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > TOKEN_CHARS_MAX)
    throw new CommandFailure(`${from} does not hold a token: expected 1 to ${TOKEN_CHARS_MAX} visible characters on one line`);
  return token;
}
