import { INGEST_TOKEN_LABEL, type Resources } from "../controller/objects.ts";
import { tokenDigest, type IngestTokens } from "../ingest/authenticator.ts";

/** Digests of the values of a namespace's labelled Secrets of type Opaque; worked out again when one of its Secrets changes. */
export class SecretTokens implements IngestTokens {
  readonly #resources: Resources;
  readonly #digests = new Map<string, readonly Uint8Array[]>();

  constructor(resources: Resources) {
    this.#resources = resources;
    resources.onChange((ref) => {
      if (ref === undefined) this.#digests.clear();
      else if (ref.kind === "Secret") this.#digests.delete(ref.namespace);
      else if (ref.kind === "Namespace") this.#digests.delete(ref.name);
    });
  }

  tokens(namespace: string): readonly Uint8Array[] {
    const known = this.#digests.get(namespace);
    if (known !== undefined) return known;
    const digests: Uint8Array[] = [];
    for (const secret of this.#resources.list("Secret", namespace)) {
      if (secret.type !== "Opaque" || secret.metadata.labels?.[INGEST_TOKEN_LABEL] !== "true") continue;
      for (const value of Object.values(secret.data)) {
        const digest = tokenDigest(value);
        if (digest !== undefined) digests.push(digest);
      }
    }
    // Only namespaces that have tokens are remembered: names come from outside and must not fill the memory.
    if (digests.length > 0) this.#digests.set(namespace, digests);
    return digests;
  }
}
