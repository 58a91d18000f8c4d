import type { Resources, ResultSink, SecretObject } from "../controller/objects.ts";
import { storedTokenDigest, TOKEN_BYTES_MIN } from "../core/access-token.ts";
import { userProducer } from "../ingest/authenticator.ts";

/**
 * Annotation of a Secret of tokens: whose idempotency keys its holders use. The user name of a ServiceAccount
 * (`system:serviceaccount:NAMESPACE:NAME`) makes them one with it; the same name on several Secrets makes these one.
 */
const PRODUCER_ANNOTATION = "postrider.dev/producer";

/** A namespace's tokens, and at the same indexes whose they are. */
interface Held {
  readonly digests: readonly Uint8Array[];
  readonly producers: readonly string[];
}

/**
 * Digests of the values of a namespace's labelled Secrets of type Opaque; worked out again when one of its Secrets changes. What is
 * ignored, although its label asks for it, is told by a Kubernetes Event on the Secret.
 */
export class SecretTokens {
  readonly #provider: Resources & ResultSink;
  readonly #label: string;
  readonly #held = new Map<string, Held>();
  #hasTold = false;

  constructor(provider: Resources & ResultSink, label: string) {
    this.#provider = provider;
    this.#label = label;
    provider.onChange((ref) => {
      if (ref === undefined) this.#reset();
      else if (ref.kind === "Namespace") this.#held.delete(ref.name);
      else if (ref.kind === "Secret") {
        this.#held.delete(ref.namespace);
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
    return this.#of(namespace).digests;
  }

  /** Whose token stands at this index: of whoever the Secret names, else of the Secret itself, whatever key and value it has. */
  producerAt(namespace: string, index: number): string {
    return this.#of(namespace).producers[index] ?? "";
  }

  #of(namespace: string): Held {
    const known = this.#held.get(namespace);
    if (known !== undefined) return known;
    const digests: Uint8Array[] = [];
    const producers: string[] = [];
    // By name: of two Secrets with the same value it is the first one's, at every start.
    const secrets = [...this.#provider.list("Secret", namespace)].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const secret of secrets) {
      if (!this.#isMeant(secret) || secret.type !== "Opaque") continue;
      for (const digest of Object.values(secret.data).flatMap((value) => storedTokenDigest(value) ?? [])) {
        digests.push(digest);
        producers.push(producerOf(secret));
      }
    }
    const held = { digests, producers };
    // Only namespaces that have tokens are remembered: names come from outside and must not fill the memory.
    if (digests.length > 0) this.#held.set(namespace, held);
    return held;
  }

  #reset(): void {
    this.#held.clear();
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

function producerOf({ metadata }: SecretObject): string {
  const named = metadata.annotations?.[PRODUCER_ANNOTATION] ?? "";
  return named === "" ? `secret:${metadata.name}` : userProducer(named);
}

/** Names keys, never values. */
function ignoredBecause({ type, data }: SecretObject): string | undefined {
  if (type !== "Opaque") return `Tokens are read only from Secrets of type Opaque; this Secret has type ${type}: it is ignored`;
  const short = Object.keys(data).filter((key) => storedTokenDigest(data[key]!) === undefined);
  if (short.length === 0) return undefined;
  return `Values under ${TOKEN_BYTES_MIN} bytes can be guessed and are ignored as tokens: ${short.join(", ")}`;
}
