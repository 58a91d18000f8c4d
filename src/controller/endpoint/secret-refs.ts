import { isUtf8 } from "node:buffer";
import type { Problem } from "../../core/problem.ts";
import type { EndpointSpec, SecretKeyRef, SubscriptionSpec } from "../../core/subscription.ts";
import { unreachable } from "../../lib/assert.ts";
import type { SecretLookup, SecretObject } from "../objects.ts";
import { USE_LABEL } from "../objects.ts";

/** Secrets as gathered for one subscription, by name. */
export type SecretsByName = ReadonlyMap<string, SecretLookup>;

/** The Secrets that a spec names, each once. */
export function secretNames(spec: SubscriptionSpec): ReadonlySet<string> {
  const names = new Set<string>(spec.signing.secretRefs.map(({ name }) => name));
  addEndpointNames(spec.endpoint, names);
  if (spec.deadLetter !== undefined) addEndpointNames(spec.deadLetter, names);
  return names;
}

function addEndpointNames({ address, headers, auth, tls }: EndpointSpec, names: Set<string>): void {
  if (address.kind === "urlSecretRef") names.add(address.ref.name);
  for (const { value } of headers) if (typeof value !== "string") names.add(value.name);
  if (auth?.kind === "bearer") names.add(auth.ref.name);
  if (auth?.kind === "basic") {
    names.add(auth.passwordRef.name);
    if (typeof auth.username !== "string") names.add(auth.username.name);
  }
  if (auth?.kind === "oauth2") names.add(auth.clientIdRef.name).add(auth.clientSecretRef.name);
  if (tls?.caRef?.kind === "Secret") names.add(tls.caRef.name);
  if (tls?.clientCertSecretName !== undefined) names.add(tls.clientCertSecretName);
}

/** Reads the keys that a subscription of `namespace` names. */
export class SecretReader {
  readonly #namespace: string;
  readonly #secrets: SecretsByName;

  constructor(namespace: string, secrets: SecretsByName) {
    this.#namespace = namespace;
    this.#secrets = secrets;
  }

  /** The Secret, or why it may not or cannot be had. `field` is where the reference stands. */
  secret(name: string, field: string): SecretObject | Problem {
    const found = this.#secrets.get(name) ?? { state: "absent" };
    return found.state === "usable" ? found.secret : lookupProblem(found, this.#namespace, name, field);
  }

  /** The bytes of a key, or why they may not or cannot be had. */
  bytes(ref: SecretKeyRef, field: string): Uint8Array | Problem {
    const secret = this.secret(ref.name, field);
    if ("reason" in secret) return secret;
    const bytes = Object.hasOwn(secret.data, ref.key) ? secret.data[ref.key] : undefined;
    if (bytes !== undefined) return bytes;
    const keys = Object.keys(secret.data).toSorted().slice(0, 10);
    const has = keys.length === 0 ? "it has none" : `it has ${keys.join(", ")}`;
    return {
      field,
      reason: "SecretKeyNotFound",
      message: `the Secret ${ref.name} has no key ${ref.key} (${has}): add it, or correct ${field}`,
    };
  }

  /** The same as text, without one trailing newline (`kubectl create secret --from-file` keeps it). */
  text(ref: SecretKeyRef, field: string): string | Problem {
    const bytes = this.bytes(ref, field);
    if (!(bytes instanceof Uint8Array)) return bytes;
    if (isUtf8(bytes))
      return Buffer.from(bytes)
        .toString("utf8")
        .replace(/\r?\n$/, "");
    const message = `the Secret ${ref.name}, key ${ref.key}, is not UTF-8 text: write it in UTF-8`;
    return { field, reason: "SecretInvalid", message };
  }
}

/** Says what keeps a Secret from being used, and what to do. */
export function lookupProblem(lookup: Exclude<SecretLookup, { state: "usable" }>, namespace: string, name: string, field: string): Problem {
  switch (lookup.state) {
    case "absent":
      return {
        field,
        reason: "SecretNotFound",
        message: `the Secret ${name} does not exist in namespace ${namespace}: create it with the label ${USE_LABEL}=true, or correct ${field}; until then deliveries wait`,
      };
    case "unlabelled":
      return {
        field,
        reason: "RefNotPermitted",
        message: `the Secret ${name} may not be used by subscriptions: allow it with \`kubectl label secret ${name} ${USE_LABEL}=true -n ${namespace}\` (in its manifest: metadata.labels, ${USE_LABEL}: "true")`,
      };
    case "forbidden":
      return { field, reason: "SecretAccessDenied", message: lookup.message };
    case "unknown":
      return { field, reason: "SecretUnknown", message: lookup.message };
    default:
      return unreachable(lookup);
  }
}
