import type { Problem } from "../../core/problem.ts";
import type { ReasonOf } from "../../core/reasons.ts";
import type { EndpointSpec, SubscriptionSpec } from "../../core/subscription.ts";
import { unreachable } from "../../lib/assert.ts";
import type { NamedKind, NamedLookup, ObjectsByKind } from "../objects.ts";

export interface NamedRef {
  readonly kind: NamedKind;
  readonly name: string;
}

/** Objects as gathered for one subscription, by `namedKey`: all of them are in its namespace. */
export type NamedByKey = ReadonlyMap<string, NamedLookup>;

export function namedKey({ kind, name }: NamedRef): string {
  return `${kind}/${name}`;
}

/** The objects other than Secrets that a spec names. */
export function namedRefs({ endpoint, deadLetter }: SubscriptionSpec): readonly NamedRef[] {
  return deadLetter === undefined ? endpointRefs(endpoint) : [...endpointRefs(endpoint), ...endpointRefs(deadLetter)];
}

function endpointRefs({ address, tls, auth }: EndpointSpec): NamedRef[] {
  const refs: NamedRef[] = [];
  if (address.kind === "serviceRef") refs.push({ kind: "Service", name: address.name });
  if (tls?.caRef?.kind === "ConfigMap") refs.push({ kind: "ConfigMap", name: tls.caRef.name });
  if (auth?.kind === "serviceAccount") refs.push({ kind: "ServiceAccount", name: auth.serviceAccountName });
  return refs;
}

const NOT_FOUND: Readonly<Record<NamedKind, ReasonOf<"ResolvedRefs">>> = {
  Service: "ServiceNotFound",
  ConfigMap: "ConfigMapNotFound",
  ServiceAccount: "ServiceAccountNotFound",
};

/** Reads the objects that a subscription of `namespace` names. */
export class NamedReader {
  readonly #namespace: string;
  readonly #named: NamedByKey;

  constructor(namespace: string, named: NamedByKey) {
    this.#namespace = namespace;
    this.#named = named;
  }

  /** The object, or why it cannot be had. `field` is where the reference stands. */
  object<K extends NamedKind>(kind: K, name: string, field: string): ObjectsByKind[K] | Problem {
    const found = (this.#named.get(namedKey({ kind, name })) ?? { state: "absent" }) as NamedLookup<K>;
    switch (found.state) {
      case "found":
        return found.object;
      case "absent":
        return {
          field,
          reason: NOT_FOUND[kind],
          message: `the ${kind} ${name} does not exist in namespace ${this.#namespace}: create it, or correct ${field}; until then deliveries wait`,
        };
      case "forbidden":
        return { field, reason: "RefAccessDenied", message: found.message };
      case "unknown":
        return { field, reason: "RefUnknown", message: found.message };
      default:
        return unreachable(found);
    }
  }

  /** A key of a ConfigMap. */
  text({ name, key }: { readonly name: string; readonly key: string }, field: string): string | Problem {
    const found = this.object("ConfigMap", name, field);
    if (isProblem(found)) return found;
    const text = Object.hasOwn(found.data, key) ? found.data[key] : undefined;
    if (text !== undefined) return text;
    const message = `the ConfigMap ${name} has no key ${key}: add it, or correct ${field}`;
    return { field, reason: "ConfigMapKeyNotFound", message };
  }
}

/** Tells an object from the reason why there is none. */
export function isProblem(value: object): value is Problem {
  return "reason" in value && "field" in value;
}
