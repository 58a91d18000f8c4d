import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { isUndecided, TOLERANCE_SEC } from "../core/signing/verdict.ts";
import type { Genuine, Verification } from "../core/signing/verdict.ts";
import { provesOnlySender, verifyRequest } from "../core/signing/verify.ts";
import type { Clock } from "../lib/clock.ts";
import { outputFormat } from "./option-values.ts";
import { requireFlags } from "./program.ts";
import { cannotRead } from "./read-fault.ts";
import { linesOf, shown, type Shown, shownJson, tell } from "./terminal.ts";
import { addVerifierOptions, readVerifier } from "./verifier-options.ts";
import type { VerifierOptions } from "./verifier-options.ts";

const EXAMPLES = `
Examples:
  # headers one by one, the body as received (from a file, so that no shell
  # changes a byte)
  postrider verify --secret whsec_… --body @body.json -H 'webhook-id: 0198…' \\
    -H 'webhook-timestamp: 1767225600' -H 'webhook-signature: v1,K5oZ…'

  # headers from a file ("name: value" lines, as curl -D writes them), signed
  # as GitHub does it; a request from yesterday's log
  postrider verify --scheme github --secret-file key.txt \\
    --headers-file headers.txt --body @body.json --tolerance 0

  # the subscription's own scheme and style, and its key from a Secret there
  postrider verify -f manifests/ --subscription shop/orders \\
    --headers-file headers.txt --body @body.json

  # HTTP Message Signatures (RFC 9421): they cover the URL too
  postrider verify --secret-file key.txt --headers-file headers.txt \\
    --body @body.json --url https://example.com/hooks

Without --scheme and -f the scheme is detected from the request.
--tolerance 0 ignores the signature's age: right for a request from a log,
wrong in a receiver.
Exit code: 0 genuine, 1 not genuine (the first line says why), 2 wrong usage,
3 cannot tell (signed in a style that --scheme or -f must name, or unsigned).`;

const EXIT_UNDECIDED = 3;

interface VerifyOptions extends VerifierOptions {
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
  const command = new Command("verify").description("check the signature of one received request, and explain why it fails");
  return requireFlags(addVerifierOptions(command), "--body")
    .option("-H, --header <line>", "'name: value'; repeatable", (line: string, before: readonly string[]) => [...before, line], [])
    .option("--headers-file <file>", "'name: value' lines")
    .option("--url <url>", "the absolute URL it was sent to (HTTP Message Signatures cover it)")
    .option("--method <method>", "the request's method", "POST")
    .option("--body <text>", "(required) the body as received: @file, - for stdin, or the text itself")
    .option("--tolerance <seconds>", "how old the signature may be; 0 = any age", seconds, TOLERANCE_SEC)
    .option("-o, --output <format>", "text or json", outputFormat, "text")
    .addHelpText("after", EXAMPLES)
    .action((options: VerifyOptions, command: Command) => {
      const verifier =
        readVerifier(options, command) ??
        command.error("error: give the key: --secret, --secret-file, or -f with the Secret's manifest", { exitCode: 2 });
      const headers = readHeaderLines(options, command);
      const request = { headers, body: readBody(options.body), url: options.url, method: options.method };
      const toleranceSec = options.tolerance === 0 ? Number.MAX_SAFE_INTEGER : options.tolerance;
      const verdict = verifyRequest({ ...verifier, toleranceSec }, request, clock.trueMs());
      tell(options.output === "json" ? shownJson(verdict) : verdictLines(verdict));
      if (!verdict.ok) process.exitCode = isUndecided(verdict) ? EXIT_UNDECIDED : 1;
    });
}

function verdictLines(verdict: Verification): Shown {
  if (verdict.ok) return genuineLine(verdict);
  const { reason, message, hint } = verdict;
  const first = shown`${isUndecided(verdict) ? "cannot tell" : "not genuine"} (${reason}): ${message}`;
  return hint === undefined ? first : linesOf([first, shown`hint: ${hint}`]);
}

function genuineLine({ scheme, id, timestampSec }: Genuine): Shown {
  const isToken = provesOnlySender(scheme);
  const what = `${isToken ? scheme : `${scheme} signature`}${id === "" ? "" : ` of ${id}`}`;
  if (timestampSec === undefined) return shown`genuine: ${what}; it covers no time, so an old request can be replayed`;
  return shown`genuine: ${what}, signed ${signedAt(timestampSec)}${isToken ? "; it proves the sender, not the body" : ""}`;
}

function signedAt(timestampSec: number): string {
  const date = new Date(timestampSec * 1_000);
  return Number.isNaN(date.getTime()) ? `at ${timestampSec}` : date.toISOString();
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

/** Bytes as they are: a line end after them may be what was signed, or what breaks the signature. (`publish` cuts it off.) */
function readBody(value: string): Buffer {
  if (value === "-") return read(0);
  return value.startsWith("@") ? read(value.slice(1)) : Buffer.from(value, "utf8");
}

function read(file: string | number): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw cannotRead(file === 0 ? "stdin" : String(file), error);
  }
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("expected a whole number of seconds.");
  return Number(text);
}
