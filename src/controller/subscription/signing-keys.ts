import { keyIdentity } from "../../core/signing/key-identity.ts";
import type { KeyIdentity } from "../../core/signing/key-identity.ts";
import type { Problem } from "../../core/problem.ts";
import type { SecretKeyRef, SubscriptionSpec } from "../../core/subscription.ts";
import { lookupProblem } from "../endpoint/secret-refs.ts";
import type { SecretLookup, SecretObject } from "../objects.ts";
import { SIGNING_FOR_LABEL, USE_LABEL } from "../objects.ts";
import type { SubscriptionFacts } from "./facts.ts";
import { generatesKey } from "./facts.ts";
import { SIGNING_SECRET_KEY, signingForLabel } from "./signing-secret.ts";

const FIELD = "spec.signing.secretRefs";

export interface KeyRefs {
  readonly refs: readonly SecretKeyRef[];
  readonly problem: Problem | undefined;
  /** None is named and none was generated yet. */
  readonly missing: boolean;
  /** The generated Secret, once it exists and is this subscription's. */
  readonly own: SecretObject | undefined;
}

/** A key that signs, as the status shows it. */
export interface ShownKey extends KeyIdentity {
  readonly secretName: string;
}

/** The keys that sign: those named, or the generated one, which is ours or is not used at all. */
export function signingKeys(facts: SubscriptionFacts, spec: SubscriptionSpec): KeyRefs {
  const found = facts.secrets.get(facts.signingName) ?? { state: "absent" };
  const own = found.state === "usable" && isOwn(found.secret, facts) ? found.secret : undefined;
  if (!generatesKey(spec)) return { refs: spec.signing.secretRefs, problem: undefined, missing: false, own };
  const refs = [{ name: facts.signingName, key: SIGNING_SECRET_KEY }];
  if (own !== undefined) return { refs, problem: undefined, missing: false, own };
  const missing = found.state === "absent" && !wasGenerated(facts);
  return { refs, problem: generatedProblem(facts, found), missing, own };
}

/**
 * Whether a Secret of the generated name was generated for this subscription, or for one of this name before it: deleted and restored, replaced,
 * created again by GitOps. Version 0.1 wrote no label but an owner, whose uid a restore does not keep.
 */
function isOwn({ metadata, controllerUid, ownerName }: SecretObject, { object, uid }: SubscriptionFacts): boolean {
  const { name } = object.metadata;
  const label = metadata.labels?.[SIGNING_FOR_LABEL];
  return label === undefined ? controllerUid === uid || ownerName === name : label === signingForLabel(name);
}

/** The Secret as version 0.1 wrote it: without the label, or with an owner with which the garbage collector would delete it. */
export function needsAdoption({ metadata, ownerName }: SecretObject): boolean {
  return metadata.labels?.[SIGNING_FOR_LABEL] === undefined || ownerName !== undefined;
}

function wasGenerated({ lastAccepted, object }: SubscriptionFacts): boolean {
  return (lastAccepted?.signingSecretName ?? object.status?.signingSecretName) !== undefined;
}

function generatedProblem(facts: SubscriptionFacts, found: SecretLookup): Problem {
  const { signingName, object } = facts;
  const { namespace, name } = object.metadata;
  switch (found.state) {
    case "usable":
    case "unlabelled": {
      const other = found.state === "usable" ? found.secret.metadata.labels?.[SIGNING_FOR_LABEL] : undefined;
      const lacking = found.state === "unlabelled" ? `${USE_LABEL}=true` : SIGNING_FOR_LABEL;
      const why = other === undefined ? `lacks the label ${lacking}` : `is labelled ${SIGNING_FOR_LABEL}=${other}`;
      const labels = `${USE_LABEL}=true ${SIGNING_FOR_LABEL}=${signingForLabel(name)}`;
      const adopt = `kubectl label secret ${signingName} ${labels} --overwrite -n ${namespace}`;
      const message = `the Secret ${signingName} exists, but is not marked as this subscription's generated one (it ${why}): delete or rename it, name your own in ${FIELD}, or, if receivers know its key, allow it with \`${adopt}\``;
      return { field: FIELD, reason: "SecretConflict", message };
    }
    case "absent": {
      if (!wasGenerated(facts))
        return { field: FIELD, reason: "SecretPending", message: `the signing Secret ${signingName} is being generated` };
      const message = `the generated Secret ${signingName} is gone and is not generated again, because receivers know its key: restore it, or name your own in ${FIELD}`;
      return { field: FIELD, reason: "SecretNotFound", message };
    }
    default:
      return lookupProblem(found, namespace, signingName, FIELD);
  }
}

/** Says what to do where the generated key does not fit, mostly because it was generated for another scheme. */
export function withAdvice(problem: Problem, { own, refs }: KeyRefs, facts: SubscriptionFacts): Problem {
  if (own === undefined || refs[0]?.name !== own.metadata.name || problem.reason !== "SecretInvalid" || problem.field !== `${FIELD}[0]`)
    return problem;
  const drop = `delete the Secret ${own.metadata.name}, and a new key is generated`;
  const advice = wasGenerated(facts) ? "set the scheme back" : drop;
  return { ...problem, message: `${problem.message}: the key was generated for another scheme; ${advice}, or name your own in ${FIELD}` };
}

/** What the status shows of the keys that sign. */
export function shownKeys(refs: readonly SecretKeyRef[], { secrets }: SubscriptionFacts, own: SecretObject | undefined): ShownKey[] {
  return refs.flatMap(({ name, key }) => {
    const found = secrets.get(name);
    const value = found?.state === "usable" ? found.secret.data[key] : undefined;
    const isGenerated = own?.metadata.name === name && key === SIGNING_SECRET_KEY;
    return value === undefined ? [] : [{ secretName: name, ...keyIdentity(value, isGenerated) }];
  });
}

/** `fingerprint 0123…`, or what else there is to tell a key by. */
export function tellKey({ fingerprint, publicKey }: KeyIdentity): string {
  if (publicKey !== undefined) return `fingerprint ${fingerprint}, public key ${publicKey}`;
  return fingerprint === undefined ? "no fingerprint, because the key is not a generated one" : `fingerprint ${fingerprint}`;
}
