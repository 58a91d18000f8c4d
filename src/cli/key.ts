import { Command } from "commander";
import { publicKeyForms } from "../core/signing/receiver-key.ts";
import type { Random } from "../lib/random.ts";
import { newSigningSecret } from "../controller/subscription/signing-secret.ts";
import { oneOf } from "./option-values.ts";
import { CommandFailure } from "./program.ts";
import { tellWhole } from "./terminal.ts";
import { addVerifierOptions, readVerifier } from "./verifier-options.ts";
import type { VerifierOptions } from "./verifier-options.ts";

const PUBLIC_EXAMPLES = `
Examples:
  # of a key in a cluster, for the receiver of the subscription orders
  kubectl -n shop get secret orders-signing -o jsonpath='{.data.secret}' \\
    | base64 -d | postrider key public --secret-file -

  # of a key that an operator with files has generated
  postrider key public --secret-file data/.keys/shop.orders-signing.json

  # of a key in the manifests, as PEM for OpenSSL and most libraries
  postrider key public -f manifests/ --subscription shop/orders -o pem

The public key is not secret; whsk_… is.`;

const NEW_EXAMPLES = `
Examples:
  postrider key new > key.txt
  kubectl -n shop create secret generic orders --from-file=secret=key.txt
  kubectl -n shop label secret orders postrider.dev/use=true`;

/** `postrider key`: signing keys for people: make one, and print the public half of an Ed25519 one. */
export function keyCommand(random: Random): Command {
  const publicKey = addVerifierOptions(new Command("public"))
    .description("print the public key (whpk_…) of an Ed25519 signing key (whsk_…), with which receivers verify")
    .option("-o, --output <format>", "whpk, pem, jwk or json (all of them)", oneOf("whpk", "pem", "jwk", "json"), "whpk")
    .addHelpText("after", PUBLIC_EXAMPLES)
    .action((options: VerifierOptions & { readonly output: "whpk" | "pem" | "jwk" | "json" }, command: Command) => {
      const verifier =
        readVerifier(options, command) ?? command.error("error: give the key: --secret-file FILE, or -f MANIFEST", { exitCode: 2 });
      for (const secret of verifier.secrets) tellWhole(`${printed(secret, options.output)}\n`);
    });
  const newKey = new Command("new")
    .description("print a new signing key, for the Secret that signing.secretRefs names")
    .option("--scheme <name>", "standard (whsec_…, also for HMAC styles) or ed25519 (whsk_…)", oneOf("standard", "ed25519"), "standard")
    .addHelpText("after", NEW_EXAMPLES)
    .action(({ scheme }: { readonly scheme: "standard" | "ed25519" }) => {
      tellWhole(`${newSigningSecret(scheme === "ed25519" ? "StandardWebhooksEd25519" : "StandardWebhooks", random)}\n`);
    });
  return new Command("key")
    .description("create signing keys; print the public key of an Ed25519 one")
    .addCommand(publicKey)
    .addCommand(newKey);
}

function printed(secret: Uint8Array, output: "whpk" | "pem" | "jwk" | "json"): string {
  const forms = publicKeyForms(secret);
  if (forms === undefined) {
    const isShared = Buffer.from(secret.subarray(0, 6)).toString("latin1") === "whsec_";
    const why = isShared
      ? "a whsec_ key is shared and has no public half: the receiver verifies with the same text"
      : "this is not an Ed25519 key: expected whsk_ + base64 of 32 or 64 bytes, or PEM";
    throw new CommandFailure(why);
  }
  switch (output) {
    case "pem":
      return forms.pem.trimEnd();
    case "jwk":
      return JSON.stringify(forms.jwk);
    case "json":
      return JSON.stringify(forms);
    case "whpk":
      return forms.whpk;
    default:
      return output satisfies never;
  }
}
