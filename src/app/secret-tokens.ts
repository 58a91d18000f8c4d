import { PRODUCER_ANNOTATION } from "../api/decode-hook-settings.ts";
import type { Resources, ResultSink, SecretObject } from "../controller/objects.ts";
import type { HookSettings } from "../core/hook-settings.ts";
import { storedTokenDigest, TOKEN_BYTES_MIN } from "../core/access-token.ts";
import { userProducer } from "../ingest/authenticator.ts";

/** A namespace's tokens, and at the same indexes whose they are and how hooks of their holders are read. */
interface Held {
  readonly digests: readonly Uint8Array[];
  readonly producers: readonly string[];
  readonly hooks: readonly (HookSettings | undefined)[];
  /** Where hooks of the namespace may have their token, in addition to `Authorization: Bearer`. */
  readonly places: ReadonlySet<string>;
}

/** What Secrets say about the hooks of their holders (hook-settings-book.ts). */
interface HookBook {
  of(secret: SecretObject): HookSettings | undefined;
  /** A Secret is there, has changed, or (undefined) is there no longer or is no Secret of tokens. */
  note(namespace: string, name: string, secret: SecretObject | undefined): void;
  /** A namespace is there no longer. */
  forget(namespace: string): void;
}

/**
 * Digests of the values of a namespace's labelled Secrets of type Opaque; worked out again when one of its Secrets changes. What is
 * ignored, although its label asks for it, is told by a Kubernetes Event on the Secret.
 */
export class SecretTokens {
  readonly #provider: Resources & ResultSink;
  readonly #label: string;
  readonly #hooks: HookBook | undefined;
  readonly #held = new Map<string, Held>();
  #hasTold = false;

  constructor(provider: Resources & ResultSink, label: string, hooks?: HookBook) {
    this.#provider = provider;
    this.#label = label;
    this.#hooks = hooks;
    provider.onChange((ref) => {
      if (ref === undefined) this.#reset();
      else if (ref.kind === "Namespace") {
        this.#held.delete(ref.name);
        if (provider.get("Namespace", "", ref.name) === undefined) this.#hooks?.forget(ref.name);
      } else if (ref.kind === "Secret") {
        this.#held.delete(ref.namespace);
        const secret = provider.get("Secret", ref.namespace, ref.name);
        const meant = secret !== undefined && this.#isMeant(secret) ? secret : undefined;
        this.#hooks?.note(ref.namespace, ref.name, meant);
        if (meant !== undefined) this.#tellIgnored(meant);
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

  /** How hooks of the holder of the token at this index are read, where its Secret says so. */
  hooksAt(namespace: string, index: number): HookSettings | undefined {
    return this.#of(namespace).hooks[index];
  }

  hookPlaces(namespace: string): ReadonlySet<string> {
    return this.#of(namespace).places;
  }

  #of(namespace: string): Held {
    const known = this.#held.get(namespace);
    if (known !== undefined) return known;
    const digests: Uint8Array[] = [];
    const producers: string[] = [];
    const hooks: (HookSettings | undefined)[] = [];
    // By name: of two Secrets with the same value it is the first one's, at every start.
    const secrets = [...this.#provider.list("Secret", namespace)].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const secret of secrets) {
      if (!this.#isMeant(secret) || secret.type !== "Opaque") continue;
      const settings = this.#hooks?.of(secret);
      for (const digest of Object.values(secret.data).flatMap((value) => storedTokenDigest(value) ?? [])) {
        digests.push(digest);
        producers.push(producerOf(secret));
        hooks.push(settings);
      }
    }
    const held = { digests, producers, hooks, places: new Set(hooks.flatMap((settings) => settings?.token ?? [])) };
    // Only namespaces that have tokens are remembered: names come from outside and must not fill the memory.
    if (digests.length > 0) this.#held.set(namespace, held);
    return held;
  }

  #reset(): void {
    this.#held.clear();
    // What has come since was told when it came.
    if (this.#hasTold) return;
    this.#hasTold = true;
    for (const secret of this.#provider.list("Secret")) {
      if (!this.#isMeant(secret)) continue;
      this.#hooks?.note(secret.metadata.namespace ?? "", secret.metadata.name, secret);
      this.#tellIgnored(secret);
    }
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

/**
 * Whose idempotency keys the holders use. The user name of a ServiceAccount (`system:serviceaccount:NAMESPACE:NAME`) makes them one with it; the same
 * name on several Secrets makes these one.
 */
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
