import { decodeSubscription } from "../../api/decode-subscription.ts";
import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import type { PolicyResolution } from "../../core/policy-resolution.ts";
import { drainingClasses } from "../../core/drain-finalizer.ts";
import type { Decoded, Problem } from "../../core/problem.ts";
import { SCHEMES } from "../../core/signing/scheme-registry.ts";
import type { SubscriptionSpec } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { AcceptedSpec } from "./accepted-specs.ts";
import { namedKey, namedRefs } from "../endpoint/named-refs.ts";
import type { NamedByKey, NamedRef } from "../endpoint/named-refs.ts";
import type { NamedLookup, ObjectRef, Resources, SecretLookup } from "../objects.ts";
import type { PolicyView } from "../policy/policy-view.ts";
import { secretNames } from "../endpoint/secret-refs.ts";
import type { SecretsByName } from "../endpoint/secret-refs.ts";
import { signingSecretName } from "./signing-secret.ts";

/**
 * Ordered deliveries wait this long at most for the installation that had the subscription before, ms: the 5 minutes that it may drain, and as much for
 * it to be started again. One that is gone forever ends nobody's deliveries.
 */
export const HAND_OVER_MAX_MS = 10 * 60_000;

/** All that is read for one subscription; the checks look at nothing else. */
export interface SubscriptionFacts {
  readonly object: WebhookSubscription;
  readonly uid: string;
  readonly generation: number;
  readonly decoded: Decoded<SubscriptionSpec>;
  readonly lastAccepted: AcceptedSpec | undefined;
  /** For the spec as it is now (or, where that cannot be read, the last accepted one). */
  readonly resolution: PolicyResolution;
  /** For the last accepted spec. */
  readonly lastResolution: PolicyResolution;
  readonly secrets: SecretsByName;
  /** Objects of other kinds that the specs name, and what was found. */
  readonly namedRefs: readonly NamedRef[];
  readonly named: NamedByKey;
  /** Secrets of the operator's own namespace that the cluster policy names. */
  readonly systemSecrets: SecretsByName;
  readonly systemNamespace: string;
  /** The Secret that is generated when none is named. */
  readonly signingName: string;
  /** Why the object's newest form is not this one (a manifest file that has become broken); this one goes on. */
  readonly newerRefused: Problem | undefined;
  /** The namespace is being deleted. */
  readonly terminating: boolean;
  /** Another class that still delivers what it accepted, and has not been waited for long enough. */
  readonly drainedBy: string | undefined;
}

/** Where facts are read. */
export interface FactSources {
  readonly resources: Resources;
  readonly policies: PolicyView;
  readonly systemNamespace: string;
  readonly className: string;
  readonly clock: Pick<Clock, "nowMs">;
}

/** Reads everything that matters for one subscription. */
export async function gatherFacts(
  { resources, policies, systemNamespace, className, clock }: FactSources,
  object: WebhookSubscription,
  lastAccepted: AcceptedSpec | undefined,
): Promise<SubscriptionFacts> {
  const { namespace, name, uid = "", generation = 1 } = object.metadata;
  const decoded = safelyDecoded(object);
  const signingName = lastAccepted?.signingSecretName ?? object.status?.signingSecretName ?? signingSecretName(name);
  const specs = [decoded.ok ? decoded.value : undefined, lastAccepted?.spec].filter((spec) => spec !== undefined);
  const names = new Set(specs.flatMap((spec) => [...secretNames(spec)]));
  if (specs.some(generatesKey)) names.add(signingName);
  const lastResolution = policies.resolve(namespace, lastAccepted?.spec.policyName);
  const resolution = decoded.ok ? policies.resolve(namespace, decoded.value.policyName) : lastResolution;
  const proxies = [resolution, lastResolution].map(({ effective }) => effective.egress.proxySecretRef?.name);
  const refs = specs.flatMap(namedRefs);
  const others = drainingClasses(object.metadata.finalizers, className);
  return {
    object,
    uid,
    generation,
    decoded,
    lastAccepted,
    resolution,
    lastResolution,
    secrets: await findSecrets(resources, namespace, names),
    namedRefs: refs,
    named: await findNamed(resources, namespace, refs),
    systemSecrets: await findSecrets(resources, systemNamespace, new Set(proxies.filter((proxy) => proxy !== undefined))),
    systemNamespace,
    signingName,
    newerRefused: resources.refusalOf?.({ kind: "WebhookSubscription", namespace, name }),
    terminating: resources.get("Namespace", "", namespace)?.terminating ?? false,
    drainedBy: clock.nowMs() - (lastAccepted?.takenOverSinceMs ?? clock.nowMs()) < HAND_OVER_MAX_MS ? others[0] : undefined,
  };
}

/** Where nothing has to be asked nothing is waited for: ten thousand subscriptions are looked at in one go. */
async function findSecrets(resources: Resources, namespace: string, names: ReadonlySet<string>): Promise<SecretsByName> {
  const secrets = new Map<string, SecretLookup>();
  for (const name of names) {
    const found = resources.findSecret(namespace, name);
    secrets.set(name, found instanceof Promise ? await found : found);
  }
  return secrets;
}

async function findNamed(resources: Resources, namespace: string, refs: readonly NamedRef[]): Promise<NamedByKey> {
  const named = new Map<string, NamedLookup>();
  for (const ref of refs) {
    const found = resources.findNamed(ref.kind, namespace, ref.name);
    named.set(namedKey(ref), found instanceof Promise ? await found : found);
  }
  return named;
}

/** The objects whose change makes another verdict possible. */
export function dependenciesOf({
  object,
  secrets,
  signingName,
  namedRefs,
  systemSecrets,
  systemNamespace,
}: SubscriptionFacts): ObjectRef[] {
  const { namespace } = object.metadata;
  const refs: ObjectRef[] = [{ kind: "Secret", namespace, name: signingName }];
  for (const name of secrets.keys()) refs.push({ kind: "Secret", namespace, name });
  for (const name of systemSecrets.keys()) refs.push({ kind: "Secret", namespace: systemNamespace, name });
  for (const { kind, name } of namedRefs) refs.push({ kind, namespace, name });
  return refs;
}

/** Whether a signing Secret is generated for this spec. */
export function generatesKey(spec: SubscriptionSpec): boolean {
  return SCHEMES[spec.signing.scheme].needsKey && spec.signing.secretRefs.length === 0;
}

/** A resource stored under another version of the schema is a problem to show, never an exception. */
function safelyDecoded(object: WebhookSubscription): Decoded<SubscriptionSpec> {
  try {
    return decodeSubscription(object);
  } catch (error) {
    const message = `the object cannot be read: ${error instanceof Error ? error.message : String(error)}; apply it again`;
    return { ok: false, problems: [{ field: "", reason: "InvalidObject", message }] };
  }
}
