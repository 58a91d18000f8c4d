import { jsonString, scanJson } from "../core/json-scan.ts";
import type { ApiProblem } from "./api-problem.ts";

/** Longest reason, in characters: it becomes part of a condition's message. */
export const PAUSE_REASON_CHARS_MAX = 256;

export type PauseRequestRead =
  | { readonly ok: true; readonly reason: string | undefined }
  | { readonly ok: false; readonly problem: ApiProblem };

/** Reads `{"reason": …}`, which is for people; an empty body gives none. */
export function readPauseRequest(body: Uint8Array): PauseRequestRead {
  if (body.length === 0) return { ok: true, reason: undefined };
  const scan = scanJson(body, 1);
  if (!scan.ok) return refused(`At byte ${scan.error.offset}: ${scan.error.message}.`);
  if (scan.root.kind !== "object") return refused('The body must be a JSON object such as {"reason": "the receiver is being moved"}.');
  let reason: string | undefined;
  for (const { key: name, value } of scan.root.members) {
    if (name !== "reason" || value.kind !== "string")
      return refused(`${JSON.stringify(name.slice(0, 64))} is not supported: give reason (a string), or nothing.`);
    reason = jsonString(body, value);
  }
  if (reason !== undefined && (reason.trim() === "" || reason.length > PAUSE_REASON_CHARS_MAX))
    return refused(`reason must have 1 to ${PAUSE_REASON_CHARS_MAX} characters.`);
  return { ok: true, reason };
}

function refused(detail: string): PauseRequestRead {
  return { ok: false, problem: { code: "body_invalid", detail } };
}
