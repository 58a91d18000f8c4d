import { AcceptedReconciler, notAccepted } from "../accepted-reconciler.ts";
import type { Reconciler, ReconcilerParts } from "../reconciler.ts";

const NOT_OBEYED = notAccepted({
  reason: "NotImplemented",
  message: "DeliveryReplay is part of the API but not supported by this version: it has no effect",
});

/** DeliveryReplays: not obeyed yet, which each of them says. */
export function replayReconciler(parts: ReconcilerParts): Reconciler<"DeliveryReplay"> {
  return new AcceptedReconciler("DeliveryReplay", parts, { affects: "itself", judge: () => NOT_OBEYED });
}
