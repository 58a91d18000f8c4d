import { ownText } from "../lib/own-text.ts";
import type { ConditionType, Reason } from "./reasons.ts";

/** A Kubernetes condition: one aspect of an object's state (API conventions, "Typical status properties"). */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  /** One CamelCase word for programs. */
  readonly reason: string;
  /** A sentence for people: why, and what to do. */
  readonly message: string;
  /** RFC 3339, whole seconds; moves only when `status` moves. */
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

/** What a controller says now; when it began to hold is worked out by `mergeConditions`. */
export interface ConditionDraft extends Pick<Condition, "status" | "message"> {
  readonly type: ConditionType;
  readonly reason: Reason;
}

/** A message longer than this is cut, so that a status stays far under 16 KiB whatever a tenant writes. */
export const CONDITION_MESSAGE_CHARS_MAX = 1_024;

/** The new conditions in the drafts' order: a draft whose status has not moved keeps its old transition time. */
export function mergeConditions(
  previous: readonly Condition[],
  drafts: readonly ConditionDraft[],
  observedGeneration: number,
  nowMs: number,
): Condition[] {
  return drafts.map((draft) => {
    const before = previous.find((condition) => condition.type === draft.type);
    return {
      type: draft.type,
      status: draft.status,
      reason: draft.reason,
      message: cut(draft.message),
      lastTransitionTime: before?.status === draft.status ? before.lastTransitionTime : wholeSeconds(nowMs),
      observedGeneration,
    };
  });
}

/** The drafts whose status or reason moved; what Kubernetes Events tell about. */
export function movedConditions(previous: readonly Condition[], drafts: readonly ConditionDraft[]): ConditionDraft[] {
  return drafts.filter((draft) => {
    const before = previous.find((condition) => condition.type === draft.type);
    return before?.status !== draft.status || before.reason !== draft.reason;
  });
}

/** metav1.Time: RFC 3339 without fractions, which is all that the API server keeps. */
export function wholeSeconds(atMs: number): string {
  const second = Math.floor(atMs / 1_000);
  if (lastSecond.second !== second) lastSecond = { second, text: ownText(`${new Date(second * 1_000).toISOString().slice(0, 19)}Z`) };
  return lastSecond.text;
}

/** Thousands of conditions are made in one second, and each keeps its time: they keep the same text. */
let lastSecond = { second: 0, text: "1970-01-01T00:00:00Z" };

function cut(message: string): string {
  return message.length > CONDITION_MESSAGE_CHARS_MAX ? `${message.slice(0, CONDITION_MESSAGE_CHARS_MAX - 1)}…` : message;
}
