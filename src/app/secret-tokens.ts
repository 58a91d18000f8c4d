import type { Resources, ResultSink, SecretObject } from "../controller/objects.ts";
import { storedTokenDigest, TOKEN_BYTES_MIN } from "../core/access-token.ts";

/**
 * Digests of the values of a namespace's labelled Secrets of type Opaque; worked out again when one of its Secrets changes. What is
 * ignored, although its label asks for it, is told by a Kubernetes Event on the Secret.
 */
export class SecretTokens {
  readonly #provider: Resources & ResultSink;
  readonly #label: string;
  readonly #digests = new Map<string, readonly Uint8Array[]>();
  #hasTold = false;

  constructor(provider: Resources & ResultSink, label: string) {
    this.#provider = provider;
    this.#label = label;
    provider.onChange((ref) => {
      if (ref === undefined) this.#reset();
      else if (ref.kind === "Namespace") this.#digests.delete(ref.name);
      else if (ref.kind === "Secret") {
        this.#digests.delete(ref.namespace);
        const secret = provider.get("Secret", ref.namespace, ref.name);
        if (secret !== undefined && this.#isMeant(secret)) this.#tellIgnored(secret);
      }
    });
  }

  /** Whether the namespace's tokens are known; those that we may not read are none. */
  isListed(namespace: string): boolean {
    const state = this.#provider.secretsOf(namespace);
    return state === "read" || state === "closed";
  }

  tokens(namespace: string): readonly Uint8Array[] {
    const known = this.#digests.get(namespace);
    if (known !== undefined) return known;
    const digests: Uint8Array[] = [];
    for (const secret of this.#provider.list("Secret", namespace)) {
      if (!this.#isMeant(secret) || secret.type !== "Opaque") continue;
      digests.push(...Object.values(secret.data).flatMap((value) => storedTokenDigest(value) ?? []));
    }
    // Only namespaces that have tokens are remembered: names come from outside and must not fill the memory.
    if (digests.length > 0) this.#digests.set(namespace, digests);
    return digests;
  }

  #reset(): void {
    this.#digests.clear();
    // What has come since was told when it came.
    if (this.#hasTold) return;
    this.#hasTold = true;
    for (const secret of this.#provider.list("Secret")) if (this.#isMeant(secret)) this.#tellIgnored(secret);
  }

  #isMeant(secret: SecretObject): boolean {
    return secret.metadata.labels?.[this.#label] === "true";
  }

  #tellIgnored(secret: SecretObject): void {
    const ignored = ignoredBecause(secret);
    if (ignored === undefined) return;
    this.#provider.recordEvent(secret, { type: "Warning", reason: "TokenIgnored", message: `${ignored} (label ${this.#label})` });
  }
}

/** Names keys, never values. */
function ignoredBecause({ type, data }: SecretObject): string | undefined {
  if (type !== "Opaque") return `Tokens are read from Secrets of type Opaque only, this one is of type ${type}: nothing of it is a token`;
  const short = Object.keys(data).filter((key) => storedTokenDigest(data[key]!) === undefined);
  if (short.length === 0) return undefined;
  return `Ignored as a token, because a value under ${TOKEN_BYTES_MIN} bytes can be guessed: ${short.join(", ")}`;
}
