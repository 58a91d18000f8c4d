import { decodeSubscription } from "../api/decode-subscription.ts";
import type { WebhookSubscription } from "../api/generated/custom-resources.ts";
import type { Decoded } from "../core/problem.ts";
import type { PolicyResolution } from "../core/policy-resolution.ts";
import type { SubscriptionSpec } from "../core/subscription.ts";
import type { AcceptedSpec } from "./accepted-specs.ts";
import type { Resources, SecretLookup } from "./objects.ts";
import type { PolicyView } from "./policy-view.ts";
import { INVALID_OBJECT } from "./reasons.ts";
import { secretNames } from "./secret-refs.ts";
import type { SecretsByName } from "./secret-refs.ts";
import { signingSecretName } from "./signing-secret.ts";

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
  /** The Secret that is generated when none is named. */
  readonly signingName: string;
  /** The namespace is being deleted. */
  readonly terminating: boolean;
}

/** Reads everything that matters for one subscription. */
export async function gatherFacts(
  resources: Resources,
  policies: PolicyView,
  object: WebhookSubscription,
  lastAccepted: AcceptedSpec | undefined,
): Promise<SubscriptionFacts> {
  const { namespace, name, uid = "", generation = 1 } = object.metadata;
  const decoded = safelyDecoded(object);
  const signingName = lastAccepted?.signingSecretName ?? object.status?.signingSecretName ?? signingSecretName(name);
  const specs = [decoded.ok ? decoded.value : undefined, lastAccepted?.spec].filter((spec) => spec !== undefined);
  const names = new Set(specs.flatMap((spec) => [...secretNames(spec)]));
  if (specs.some(generatesKey)) names.add(signingName);
  const secrets = new Map<string, SecretLookup>();
  for (const secret of names) {
    const found = resources.findSecret(namespace, secret);
    secrets.set(secret, found instanceof Promise ? await found : found);
  }
  const lastResolution = policies.resolve(namespace, lastAccepted?.spec.policyName);
  return {
    object,
    uid,
    generation,
    decoded,
    lastAccepted,
    resolution: decoded.ok ? policies.resolve(namespace, decoded.value.policyName) : lastResolution,
    lastResolution,
    secrets,
    signingName,
    terminating: resources.get("Namespace", "", namespace)?.terminating ?? false,
  };
}

/** Whether a signing Secret is generated for this spec. */
export function generatesKey(spec: SubscriptionSpec): boolean {
  return spec.signing.scheme !== "None" && spec.signing.secretRefs.length === 0;
}

/** A resource stored under another version of the schema is a problem to show, never an exception. */
function safelyDecoded(object: WebhookSubscription): Decoded<SubscriptionSpec> {
  try {
    return decodeSubscription(object);
  } catch (error) {
    const message = `the object cannot be read: ${error instanceof Error ? error.message : String(error)}; apply it again`;
    return { ok: false, problems: [{ field: "", reason: INVALID_OBJECT, message }] };
  }
}
