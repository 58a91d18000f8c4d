import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import type { WebhookSubscription } from "../api/generated/custom-resources.ts";
import { decodeSubscription } from "../api/decode-subscription.ts";
import { readManifestFile } from "../api/manifest.ts";
import type { ObjectRef, SecretObject } from "../controller/objects.ts";
import { SIGNING_SECRET_KEY, signingSecretName } from "../controller/subscription/signing-secret.ts";
import { SCHEMES } from "../core/signing/scheme-registry.ts";
import { NAMED_SIGNINGS, namedSigning, SCHEME_NAMES } from "../core/signing/signing-styles.ts";
import type { SigningSpec } from "../core/subscription.ts";
import type { Verifier } from "../core/signing/verify.ts";
import { didYouMean } from "../lib/nearest-name.ts";
import { manifestRef, objectOf } from "../provider/manifest-object.ts";
import { manifestFiles } from "./manifest-files.ts";
import { CommandFailure } from "./program.ts";
import { cannotRead } from "./read-fault.ts";
import { readStdin } from "./stdin.ts";

export interface VerifierOptions {
  readonly scheme?: SigningSpec;
  readonly filename?: readonly string[];
  readonly subscription?: string;
  readonly secret?: string;
  readonly secretFile?: string;
}

const NAMES = [...NAMED_SIGNINGS.keys()].join(", ");

/** Flags that say how requests are signed and with which key; without --scheme and -f it is told from the request. */
export function addVerifierOptions(command: Command): Command {
  return command
    .option("--secret <secret>", "whsec_…, whpk_… (Ed25519) or the Secret's text")
    .option("--secret-file <file>", "the same in a file, or - for stdin")
    .option("--scheme <name>", `how it is signed: ${NAMES}; default: detected from the request`, scheme)
    .option(
      "-f, --filename <path>",
      "take scheme and style from the subscription in this manifest, and its key from a Secret there; repeatable",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .option("--subscription <name>", "which subscription of the manifests (name or namespace/name)");
}

function scheme(name: string): SigningSpec {
  const signing = namedSigning(name);
  if (signing !== undefined) return signing;
  const words = [...NAMED_SIGNINGS.keys(), ...SCHEME_NAMES];
  throw new InvalidArgumentError(
    name.toLowerCase() === "hmac"
      ? "HMAC has many styles: write github, shopify, stripe or slack, or take the subscription's own with -f subscription.yaml."
      : `unknown scheme${didYouMean(name, words) || `: write ${NAMES}.`}`,
  );
}

/** How to judge requests, from the flags; undefined where no key was given. @throws CommandFailure when a file does not serve */
export function readVerifier(options: VerifierOptions, command: Command): Verifier | undefined {
  const { secret, secretFile, filename } = options;
  if (secret !== undefined && secretFile !== undefined) usage(command, "give either --secret or --secret-file");
  if (options.scheme !== undefined && filename !== undefined)
    usage(command, "give either --scheme or -f: the subscription says how it signs");
  if (options.subscription !== undefined && filename === undefined) usage(command, "--subscription needs -f FILE, which contains it");
  const own = secretFile !== undefined ? [readSecretFile(secretFile)] : secret !== undefined ? [Buffer.from(secret)] : undefined;
  if (filename === undefined) {
    if (own === undefined && (options.scheme === undefined || SCHEMES[options.scheme.scheme].needsKey)) return undefined;
    return { signing: options.scheme, secrets: own ?? [] };
  }
  return fromManifests(filename, options.subscription, own, command);
}

function usage(command: Command, message: string): never {
  return command.error(`error: ${message}`, { exitCode: 2 });
}

/** A secret's bytes as they are; of a file in which the operator keeps a generated key (STORE/.keys/*.json) the key. */
export function readSecretFile(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = file === "-" ? readStdin() : readFileSync(file);
  } catch (error) {
    throw cannotRead(file, error);
  }
  return generatedKey(bytes) ?? bytes;
}

function generatedKey(bytes: Buffer): Buffer | undefined {
  if (bytes[0] !== 0x7b) return undefined;
  try {
    const { ownerUid, value } = JSON.parse(bytes.toString("utf8")) as { ownerUid?: unknown; value?: unknown };
    return typeof ownerUid === "string" && typeof value === "string" ? Buffer.from(value) : undefined;
  } catch {
    return undefined;
  }
}

function fromManifests(
  paths: readonly string[],
  wanted: string | undefined,
  own: readonly Buffer[] | undefined,
  command: Command,
): Verifier {
  const { subscriptions, secrets } = readObjects(paths, wanted);
  const named = ({ metadata }: WebhookSubscription): string => `${metadata.namespace}/${metadata.name}`;
  const chosen = subscriptions.filter((one) => wanted === undefined || wanted === one.metadata.name || wanted === named(one));
  const [subscription] = chosen;
  if (subscription === undefined) {
    const there = subscriptions.map(named);
    const what =
      wanted === undefined
        ? "no WebhookSubscription"
        : `no WebhookSubscription ${wanted}${didYouMean(wanted, wanted.includes("/") ? there : subscriptions.map((one) => one.metadata.name))}`;
    throw new CommandFailure(`${paths.join(", ")} holds ${what}${there.length === 0 ? "" : ` (there are ${there.join(", ")})`}`);
  }
  if (chosen.length > 1)
    usage(command, `the manifests hold ${chosen.length} subscriptions: choose one with --subscription ${chosen.map(named).join(" or ")}`);
  const decoded = decodeSubscription(subscription);
  if (!decoded.ok) throw new CommandFailure(`${named(subscription)}: ${decoded.problems.map(({ message }) => message).join("; ")}`);
  const { signing } = decoded.value;
  return { signing, secrets: own ?? keysOf(subscription, signing, secrets) };
}

/** The keys that sign, from Secrets in the same files. */
function keysOf({ metadata }: WebhookSubscription, signing: SigningSpec, secrets: ReadonlyMap<string, SecretObject>): Uint8Array[] {
  if (!SCHEMES[signing.scheme].needsKey) return [];
  const isGenerated = signing.secretRefs.length === 0;
  const refs = isGenerated ? [{ name: signingSecretName(metadata.name), key: SIGNING_SECRET_KEY }] : signing.secretRefs;
  const found = refs.flatMap(({ name, key }) => secrets.get(`${metadata.namespace}/${name}`)?.data[key] ?? []);
  if (found.length > 0) return found;
  const [{ name, key } = { name: "", key: "" }] = refs;
  const read = `kubectl -n ${metadata.namespace} get secret ${name} -o jsonpath='{.data.${key.replaceAll(".", "\\.")}}' | base64 -d`;
  const files = isGenerated ? `, or --secret-file STORE/.keys/${metadata.namespace}.${name}.json of an operator with files` : "";
  throw new CommandFailure(
    `the key is in the Secret ${name} (key ${key}), which is not in these files: add its manifest with -f${files}, or pipe it in:\n  ${read} | … --secret-file -`,
  );
}

/** A mistake in another subscription than the one that is asked for is nobody's concern here. */
function isAnother({ kind, namespace, name }: ObjectRef, wanted: string | undefined): boolean {
  return wanted !== undefined && kind === "WebhookSubscription" && wanted !== name && wanted !== `${namespace}/${name}`;
}

function readObjects(
  paths: readonly string[],
  wanted: string | undefined,
): { subscriptions: WebhookSubscription[]; secrets: Map<string, SecretObject> } {
  const subscriptions: WebhookSubscription[] = [];
  const secrets = new Map<string, SecretObject>();
  for (const { file, text } of paths.flatMap(manifestFiles)) {
    const { manifests, problems } = readManifestFile(text);
    const [wrong] = problems;
    if (wrong !== undefined) throw new CommandFailure(`${file}:${wrong.line}: ${wrong.message}`);
    for (const manifest of manifests) {
      const ref = manifestRef(manifest);
      if (ref?.kind !== "WebhookSubscription" && ref?.kind !== "Secret") continue;
      const read = objectOf(manifest, ref, undefined);
      if (!read.ok && isAnother(ref, wanted)) continue;
      if (!read.ok) {
        const [first] = read.problems;
        const place = `${file}:${manifest.locate(first?.field ?? "")}`;
        throw new CommandFailure(`${place}: ${first?.field ?? ""}: ${first?.message ?? ""} (\`postrider validate -f ${file}\` shows all)`);
      }
      if (read.value.kind === "WebhookSubscription") subscriptions.push(read.value);
      if (read.value.kind === "Secret") secrets.set(`${ref.namespace}/${ref.name}`, read.value);
    }
  }
  return { subscriptions, secrets };
}
