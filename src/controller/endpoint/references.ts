import type { NamedReader } from "./named-refs.ts";
import type { SecretReader } from "./secret-refs.ts";

/** What a subscription may name, as it was gathered for it. */
export interface References {
  /** The subscription's own. */
  readonly namespace: string;
  readonly secrets: SecretReader;
  readonly named: NamedReader;
  /** Secrets of the operator's own namespace, for what a cluster policy names. */
  readonly system: SecretReader;
}
