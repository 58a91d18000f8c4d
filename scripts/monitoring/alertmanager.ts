/** One cause, one message: what is not sent while an alert that names the cause fires for the same installation. */
interface Inhibition {
  readonly because: readonly string[];
  readonly silent: readonly string[];
}

const ONE_RECEIVER = ["PostriderEndpointFailing", "PostriderEndpointDown", "PostriderEndpointUnreliable", "PostriderBacklogOld"];
const REFUSES = ["PostriderIngestFailing", "PostriderAcceptBudgetBurning"];
const SENDS_LATE = ["PostriderSendsLate", "PostriderDispatchBudgetBurning"];

export const INHIBITIONS: readonly Inhibition[] = [
  {
    because: ["PostriderManyReceiversFailing"],
    silent: [...ONE_RECEIVER, "PostriderDeliveredBudgetBurning", "PostriderFreshBudgetBurning"],
  },
  { because: ["PostriderManySubscriptionsNotReady"], silent: ["PostriderSubscriptionNotReady"] },
  { because: ["PostriderCrashing"], silent: ["PostriderUnavailable"] },
  {
    because: ["PostriderAbsent", "PostriderUnavailable", "PostriderCrashing"],
    silent: [...REFUSES, ...SENDS_LATE, "PostriderRestarting", "PostriderEventLoopBlocked"],
  },
  {
    because: ["PostriderDiskFull", "PostriderStoreNotWritable"],
    silent: [...REFUSES, "PostriderDiskNearlyFull", "PostriderDiskFillingUp"],
  },
  { because: ["PostriderStoreNotWritable"], silent: [...SENDS_LATE, "PostriderCommitSlow"] },
  { because: ["PostriderClassNotHeld"], silent: REFUSES },
  { because: ["PostriderIngestFailing"], silent: ["PostriderAcceptBudgetBurning"] },
  { because: ["PostriderSendsLate"], silent: ["PostriderDispatchBudgetBurning"] },
];

/** Alertmanager's configuration for these alerts: complete, so that it can be tried as it is, with receivers that send nothing yet. */
export function alertmanagerConfig(): object {
  const named = (names: readonly string[]): string[] => [`alertname=~"${names.join("|")}"`];
  return {
    route: {
      receiver: "on-call",
      routes: [
        { matchers: ['alertname=~"Postrider.*"', 'severity="info"'], receiver: "owners-of-receivers", group_by: ["job", "namespace"] },
        // Without the namespace and the subscription: a hundred receivers that fail are one message.
        { matchers: ['alertname=~"Postrider.*"'], receiver: "on-call", group_by: ["alertname", "job"] },
      ],
    },
    // The namespace is that of a tenant in some alerts and that of the Pod in others.
    inhibit_rules: INHIBITIONS.map(({ because, silent }) => ({
      source_matchers: named(because),
      target_matchers: named(silent),
      equal: ["cluster", "job"],
    })),
    receivers: [{ name: "on-call" }, { name: "owners-of-receivers" }],
  };
}
