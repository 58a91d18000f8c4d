import { readCustomResource } from "../../api/custom-resource.ts";
import { decodeSubscription } from "../../api/decode-subscription.ts";
import type { WebhookSubscription } from "../../api/generated/custom-resources.ts";
import { API_VERSION } from "../../api/schema.ts";
import type { Resources } from "../../controller/objects.ts";
import { PolicyView } from "../../controller/policy/policy-view.ts";
import { policyValues } from "../../controller/subscription/status.ts";
import type { SubscriptionRow } from "../api/rows.ts";
import type { PreviewedSubscription } from "../event-preview.ts";
import { conditionOf, policyText } from "../history/kinds.ts";
import type { ManifestCheck } from "../manifest-check.ts";
import { CommandFailure } from "../program.ts";
import { type Difference, differences } from "./differences.ts";
import type { Pair } from "./subscription-plan.ts";

/**
 * The subscriptions that the files concern, each as it is and as it would be: joins what the files say with what the operator shows. A subscription that is in no file stays as it is, but may obey a policy that is in one.
 * Nothing is taken for deleted because the files do not have it: they may be a part.
 */
export function pairsOf(check: ManifestCheck, namespace: string, live: readonly SubscriptionRow[]): Pair[] {
  const pairs: Pair[] = [];
  const rows = new Map(live.map((row) => [row.name, row]));
  for (const after of check.subscriptions) {
    if (after.namespace !== namespace) continue;
    const row = rows.get(after.name);
    rows.delete(after.name);
    const subscription = `${namespace}/${after.name}`;
    const object = check.resources.get("WebhookSubscription", namespace, after.name);
    const known = row === undefined ? undefined : objectOf(row);
    pairs.push({
      subscription,
      before: known === undefined ? undefined : checkedOf(known, check.resources),
      after,
      spec: known === undefined ? [] : differences(known.spec, object?.spec).map(withoutSecrets),
      ...policyOf(row, after),
    });
  }
  for (const row of rows.values()) {
    const known = objectOf(row);
    const same = checkedOf(known, check.resources);
    if (same === undefined) continue;
    const { policy, notes } = policyOf(row, same);
    if (policy.length > 0) pairs.push({ subscription: `${namespace}/${row.name}`, before: same, after: same, spec: [], policy, notes });
  }
  return pairs;
}

/** As the operator has it. A newer one may know fields that this version does not: to compare without them would be guessing. @throws CommandFailure */
function objectOf({ name, namespace, spec }: SubscriptionRow): WebhookSubscription {
  const read = readCustomResource({ apiVersion: API_VERSION, kind: "WebhookSubscription", metadata: { name, namespace }, spec });
  if (read.ok && read.value.kind === "WebhookSubscription") return read.value;
  const [problem] = read.ok ? [] : read.problems;
  const what = problem === undefined ? "" : `: ${problem.field}: ${problem.message}`;
  throw new CommandFailure(
    `the operator's spec of ${namespace}/${name} cannot be read by this version of postrider, use the operator's${what}`,
  );
}

function checkedOf(object: WebhookSubscription, resources: Resources): PreviewedSubscription | undefined {
  const decoded = decodeSubscription(object);
  if (!decoded.ok) return undefined;
  const { name, namespace } = object.metadata;
  const { effective } = new PolicyView(resources, object.spec.className ?? "").resolve(namespace, decoded.value.policyName);
  return { name, namespace, spec: decoded.value, effective, resources };
}

/** Values of headers are mostly credentials: that they differ is enough. */
function withoutSecrets(difference: Difference): Difference {
  if (!/^endpoint\.headers(?:\[\d+\](?:\.value)?)?$/.test(difference.path)) return difference;
  return { path: difference.path, before: "<hidden>", after: "<hidden>" };
}

function policyOf(row: SubscriptionRow | undefined, after: PreviewedSubscription): Pick<Pair, "policy" | "notes"> {
  const { effective, spec } = after;
  const now = row?.status?.effectivePolicy;
  const notes: string[] = [];
  if (row !== undefined && conditionOf(row, "Accepted")?.status === "False")
    notes.push("the spec that is written now is rejected: an older one is in force, and events are compared with the one that is written");
  if (!isInFiles(after, now)) {
    const wanted = spec.policyName;
    if (wanted !== undefined && now?.name !== wanted)
      notes.push(`the DeliveryPolicy ${wanted} is not in the files: its values are not compared`);
    return { policy: [], notes };
  }
  if (now?.values === undefined) return { policy: [], notes };
  const values = policyValues(effective.policy);
  const clamped = new Set(now.clamped);
  const hasCeilings = effective.cluster !== undefined || now.cluster === undefined;
  if (!hasCeilings)
    notes.push(`the ClusterDeliveryPolicy ${now.cluster?.name ?? ""} is not in the files: its limits may lower the values of the policy`);
  const changes = differences(now.values, values).filter(({ path }) => hasCeilings || !clamped.has(path));
  const before = policyText(now);
  const name = policyText(effective);
  const renamed = before === name || row === undefined ? [] : [{ path: "policy", before, after: name }];
  return { policy: [...renamed, ...changes], notes };
}

/** Whether the policy that would win is in the files: a DeliveryPolicy that is not there may be applied already, and wins over what is there. */
function isInFiles({ effective, spec }: PreviewedSubscription, now: { readonly kind?: string } | undefined): boolean {
  if (effective.kind === "DeliveryPolicy") return true;
  return effective.kind === "ClusterDeliveryPolicy" && spec.policyName === undefined && now?.kind !== "DeliveryPolicy";
}
