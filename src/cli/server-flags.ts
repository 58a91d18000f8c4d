import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { readCertificates } from "../lib/tls/pem-certificates.ts";
import { CommandFailure } from "./program.ts";
import { cannotRead } from "./read-fault.ts";
import type { Trust } from "./server-call.ts";
import { readStdin } from "./stdin.ts";

/** Which port of an operator is called, and what its TLS needs: the flags that all commands share that talk to one. */
export interface ServerFlags {
  readonly server: string;
  readonly caFile?: string;
  readonly clientCertificateFile?: string;
  readonly clientKeyFile?: string;
}

/** @throws CommandFailure */
export function trustOf({ server, caFile, clientCertificateFile, clientKeyFile }: ServerFlags): Trust {
  const given = Object.entries({
    "--ca-file": caFile,
    "--client-certificate-file": clientCertificateFile,
    "--client-key-file": clientKeyFile,
  }).find(([, file]) => file !== undefined);
  if (given === undefined) return {};
  if (!/^https:/i.test(server)) throw new CommandFailure(`${given[0]} needs an https:// address: --server is ${server}`);
  if ((clientCertificateFile === undefined) !== (clientKeyFile === undefined))
    throw new CommandFailure("--client-certificate-file and --client-key-file need each other");
  const read = (file: string | undefined): Buffer | undefined => (file === undefined ? undefined : readValue(`@${file}`));
  return { ca: authorities(caFile, read(caFile)), cert: read(clientCertificateFile), key: read(clientKeyFile) };
}

/**
 * Inline text, `@file`, or `-` for stdin: bytes as they are, without the line ends after them, which editors and `echo` add and no event means. (`verify`
 * keeps them: there they may be what was signed.)
 */
export function readValue(value: string): Buffer {
  if (value !== "-" && !value.startsWith("@")) return Buffer.from(value, "utf8");
  try {
    const bytes = value === "-" ? readStdin() : readFileSync(value.slice(1));
    let end = bytes.length;
    while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end--;
    return bytes.subarray(0, end);
  } catch (error) {
    throw cannotRead(value === "-" ? "stdin" : value.slice(1), error);
  }
}

/** A file without a certificate would be passed over without a word, and nothing would be trusted. */
function authorities(file: string | undefined, text: Buffer | undefined): Buffer | undefined {
  if (text === undefined) return undefined;
  const found = readCertificates(text.toString("utf8"));
  if (!found.ok) throw new CommandFailure(`--ca-file ${file}: ${found.fault}`);
  if (found.certificates.length === 0) throw new CommandFailure(`--ca-file ${file}: it contains no certificate in PEM form`);
  return Buffer.from(found.certificates.join("\n"));
}

/** The URL of a port, as `--server` has it. */
export function serverUrl(text: string): string {
  if (/^https?:\/\/./i.test(text) && URL.canParse(text)) return text;
  const isBare = !text.includes("://") && URL.canParse(`http://${text}`);
  throw new InvalidArgumentError(
    isBare ? `write http://${text}` : "expected an http:// or https:// URL, for example http://127.0.0.1:8080.",
  );
}
