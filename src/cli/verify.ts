import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { TOLERANCE_SEC, verifyRequest } from "../core/verification.ts";
import type { Clock } from "../lib/clock.ts";
import { CommandFailure } from "./program.ts";
import { shown, shownJson, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # headers one by one, the body exactly as it came (a file, so that no shell changes a byte)
  postrider verify --secret whsec_… -H 'webhook-id: 0198…' -H 'webhook-timestamp: 1767225600' \\
    -H 'webhook-signature: v1,K5oZ…' --body @body.json

  # headers from a file ("name: value" lines, as curl -D writes them), an old request
  postrider verify --secret-file secret.txt --headers-file headers.txt --body @body.json --tolerance 0

  # HTTP Message Signatures (RFC 9421): they cover the URL too
  postrider verify --secret-file secret.txt --headers-file headers.txt --body @body.json --url https://example.com/hooks

Which scheme it is, Standard Webhooks or HTTP Message Signatures, is told by the headers.
--tolerance 0 leaves the time out of the judgement: right for a request from yesterday's log, wrong in a receiver.
Exit code: 0 genuine, 1 not genuine (the first line says why), 2 wrong usage.`;

interface VerifyOptions {
  readonly secret?: string;
  readonly secretFile?: string;
  readonly header: readonly string[];
  readonly headersFile?: string;
  readonly body: string;
  readonly url?: string;
  readonly method: string;
  readonly tolerance: number;
  readonly output: "text" | "json";
}

/** `postrider verify`: is one received request genuine, and if not, why. */
export function verifyCommand(clock: Clock): Command {
  return new Command("verify")
    .description("check the signature of one received request, and say exactly why it fails")
    .option("--secret <secret>", "whsec_… (or whpk_… for Ed25519; or the Secret's text)")
    .option("--secret-file <file>", "the secret in a file")
    .option("-H, --header <line>", "'name: value'; repeatable", (line: string, before: readonly string[]) => [...before, line], [])
    .option("--headers-file <file>", "'name: value' lines")
    .option("--url <url>", "the absolute URL it was sent to (HTTP Message Signatures cover it)")
    .option("--method <method>", "the request's method", "POST")
    .requiredOption("--body <text>", "the body as it came: @file, - for stdin, or the text itself")
    .option("--tolerance <seconds>", "how old the signature may be; 0 = any age", seconds, TOLERANCE_SEC)
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action((options: VerifyOptions, command: Command) => {
      const secret = readSecret(options, command);
      const headers = readHeaderLines(options, command);
      const request = { headers, body: readBody(options.body), url: options.url, method: options.method };
      const toleranceSec = options.tolerance === 0 ? Number.MAX_SAFE_INTEGER : options.tolerance;
      const verdict = verifyRequest(secret, request, clock.trueMs(), toleranceSec);
      if (options.output === "json") tell(shownJson(verdict));
      else if (verdict.ok) tell(shown`genuine: ${verdict.scheme} signature of ${verdict.id}, signed ${signedAt(verdict.timestampSec)}`);
      else tell(shown`not genuine (${verdict.reason}): ${verdict.message}`);
      if (!verdict.ok) process.exitCode = 1;
    });
}

function signedAt(timestampSec: number): string {
  const date = new Date(timestampSec * 1_000);
  return Number.isNaN(date.getTime()) ? `at ${timestampSec}` : date.toISOString();
}

function readSecret(options: VerifyOptions, command: Command): string {
  if ((options.secret === undefined) === (options.secretFile === undefined))
    command.error("error: give either --secret or --secret-file", { exitCode: 2 });
  return (options.secret ?? read(options.secretFile ?? "").toString("utf8")).trim();
}

/** Names are told apart without case; a repeated one is joined, as HTTP allows, so that nothing is hidden. */
function readHeaderLines(options: VerifyOptions, command: Command): Record<string, string> {
  const lines = [...options.header];
  if (options.headersFile !== undefined) lines.push(...read(options.headersFile).toString("utf8").split(/\r?\n/));
  const headers: Record<string, string> = {};
  for (const line of lines) {
    if (line.trim() === "" || /^HTTP\/|^[A-Z]+ \S+ HTTP\//.test(line)) continue;
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line);
    if (match?.[1] === undefined) command.error(`error: '${line.slice(0, 80)}' is not 'name: value'`, { exitCode: 2 });
    const name = (match?.[1] ?? "").toLowerCase();
    const value = match?.[2] ?? "";
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return headers;
}

function readBody(value: string): Buffer {
  if (value === "-") return read(0);
  return value.startsWith("@") ? read(value.slice(1)) : Buffer.from(value, "utf8");
}

function read(file: string | number): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandFailure(`cannot read ${file === 0 ? "stdin" : file}: ${error instanceof Error ? error.message : "unknown"}`);
  }
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("a whole number of seconds is wanted.");
  return Number(text);
}

function outputFormat(text: string): "text" | "json" {
  if (text !== "text" && text !== "json") throw new InvalidArgumentError("text or json is wanted.");
  return text;
}
