import { namedKey, NamedReader, namedRefs } from "../controller/endpoint/named-refs.ts";
import type { NamedLookup, Resources, SecretLookup } from "../controller/objects.ts";
import type { References } from "../controller/endpoint/references.ts";
import { SecretReader, secretNames } from "../controller/endpoint/secret-refs.ts";
import { referenceProblems } from "../controller/endpoint/target.ts";
import type { EffectivePolicy } from "../core/policy-resolution.ts";
import type { Problem } from "../core/problem.ts";
import type { Reason } from "../core/reasons.ts";
import type { SubscriptionSpec } from "../core/subscription.ts";

/** What is not in the files may be in the cluster. */
const MAY_BE_ELSEWHERE: ReadonlySet<Reason> = new Set<Reason>([
  "SecretNotFound",
  "ConfigMapNotFound",
  "ServiceNotFound",
  "ServiceAccountNotFound",
]);

/** A subscription and the files that it is checked with. */
export interface CheckedSpec {
  readonly spec: SubscriptionSpec;
  readonly namespace: string;
  readonly effective: EffectivePolicy;
  readonly resources: Resources;
}

/**
 * What the controller would say of the references whose objects are in the files: keys that are missing, values that are malformed, labels.
 * An object that is in none of them is left out, unless one of its name is there in another namespace.
 */
export function referenceFaults(checked: CheckedSpec): readonly Problem[] {
  const { spec, namespace, effective, resources } = checked;
  const found = referenceProblems(spec, spec.signing.secretRefs, referencesIn(checked), effective);
  return found.flatMap((problem) => {
    if (!MAY_BE_ELSEWHERE.has(problem.reason)) return [problem];
    const name = [...secretNames(spec)].find((one) => problem.message.startsWith(`the Secret ${one} does not exist`));
    const elsewhere = name === undefined ? undefined : otherNamespace(resources, namespace, name);
    if (elsewhere === undefined) return [];
    const message = `the Secret ${name} is in namespace ${elsewhere}, the subscription in ${namespace}: a subscription uses Secrets of its own namespace only`;
    return [{ ...problem, message }];
  });
}

/** What a subscription names, as far as it is in the files. */
export function referencesIn({ spec, namespace, resources }: CheckedSpec): References {
  const secrets = new Map<string, SecretLookup>();
  for (const name of secretNames(spec)) {
    const found = resources.findSecret(namespace, name);
    if (!(found instanceof Promise)) secrets.set(name, found);
  }
  const named = new Map<string, NamedLookup>();
  for (const ref of namedRefs(spec)) {
    const found = resources.findNamed(ref.kind, namespace, ref.name);
    if (!(found instanceof Promise)) named.set(namedKey(ref), found);
  }
  return {
    namespace,
    secrets: new SecretReader(namespace, secrets),
    named: new NamedReader(namespace, named),
    system: new SecretReader("", new Map()),
  };
}

function otherNamespace(resources: Resources, namespace: string, name: string): string | undefined {
  for (const { metadata } of resources.list("Secret"))
    if (metadata.name === name && metadata.namespace !== namespace) return metadata.namespace;
  return undefined;
}
