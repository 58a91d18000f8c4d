import type { SecretObject } from "../objects.ts";
import { objectKey, SIGNING_FOR_LABEL } from "../objects.ts";
import { subscriptionOf } from "./accepted-specs.ts";
import type { AcceptedSpec } from "./accepted-specs.ts";
import { signingForLabel } from "./signing-secret.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";

/**
 * Deletes the generated Secret of a subscription that is gone and drained, if `secretDeletionPolicy` says so and no one else signs with it. Before the
 * finalizer is taken off, so that a crash in between repeats it. Where the API server refuses, the Secret stays and an Event says so: a missing
 * permission must not keep the subscription from going. Rejects to be called again.
 */
export async function dropSigningSecret(parts: SubscriptionParts, last: AcceptedSpec): Promise<void> {
  const { spec, namespace, signingSecretName: name } = last;
  const { secretDeletionPolicy = "Retain", secretRefs } = spec.signing;
  if (secretDeletionPolicy !== "Delete" || name === undefined || secretRefs.some((ref) => ref.name === name)) return;
  if (isNeeded(parts, last, name)) return;
  const found = await parts.resources.findSecret(namespace, name);
  if (found.state === "unknown") throw new Error(`the Secret ${name} cannot be deleted yet: ${found.message}`);
  if (found.state === "forbidden") return tell(parts, last, name, found.message);
  // Without our label it is not ours, whatever it is called.
  if (found.state !== "usable" || !isLabelled(found.secret, last)) return;
  const result = await parts.sink.deleteSigningSecret(found.secret);
  if (result.kind === "conflict") throw new Error(`the Secret ${name} has changed in the meantime`);
  if (result.kind !== "failed") return;
  if (result.refused !== true) throw new Error(result.message);
  tell(parts, last, name, result.message);
}

/** A newer subscription of this name, or one of another name, signs with it; or this one is not deleted but has another class now. */
function isNeeded({ resources, dependencies }: SubscriptionParts, { uid, namespace, name }: AcceptedSpec, secret: string): boolean {
  const object = resources.get("WebhookSubscription", namespace, name);
  if (object !== undefined && (object.metadata.uid !== uid || object.metadata.deletionTimestamp === undefined)) return true;
  const own = objectKey({ kind: "WebhookSubscription", namespace, name });
  for (const key of dependencies.of({ kind: "Secret", namespace, name: secret })) if (key !== own) return true;
  return false;
}

function isLabelled({ metadata }: SecretObject, { name }: AcceptedSpec): boolean {
  return metadata.labels?.[SIGNING_FOR_LABEL] === signingForLabel(name);
}

function tell({ sink }: SubscriptionParts, last: AcceptedSpec, secret: string, why: string): void {
  const command = `kubectl delete secret ${secret} -n ${last.namespace}`;
  const message = `The signing Secret ${secret} could not be deleted with its subscription: ${why}. Delete it with: ${command}`;
  sink.recordEvent(subscriptionOf(last), { type: "Warning", reason: "SecretNotDeleted", message });
}
