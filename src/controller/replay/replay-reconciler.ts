import type { Problem } from "../../core/problem.ts";
import { AcceptedReconciler, stalledDraft } from "../accepted-reconciler.ts";
import type { Reconciler, ReconcilerParts } from "../reconciler.ts";

const NOT_OBEYED: Problem = {
  field: "",
  reason: "NotImplemented",
  message: "DeliveryReplay is part of the API but not supported by this version: it has no effect",
};

/** DeliveryReplays: not obeyed yet, which each of them says. */
export function replayReconciler(parts: ReconcilerParts): Reconciler<"DeliveryReplay"> {
  return new AcceptedReconciler("DeliveryReplay", parts, {
    judge: () => NOT_OBEYED,
    affectedBy: ({ kind }) => (kind === "DeliveryReplay" ? { which: "itself", lane: "transition" } : undefined),
    more: (_, refusal) => ({ conditions: [stalledDraft(refusal)] }),
  });
}
