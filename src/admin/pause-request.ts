import { jsonString } from "../core/json-scan.ts";
import { bodyRefused, type BodyRefused, jsonMembers, unknownMember } from "./json-members.ts";

/** Longest reason, in characters: it becomes part of a condition's message. */
export const PAUSE_REASON_CHARS_MAX = 256;

export type PauseRequestRead = { readonly ok: true; readonly reason: string | undefined } | BodyRefused;

/** Reads `{"reason": …}`, which is for people; an empty body gives none. */
export function readPauseRequest(body: Uint8Array): PauseRequestRead {
  const read = jsonMembers(body, '{"reason": "the receiver is being moved"}');
  if (!read.ok) return read;
  let reason: string | undefined;
  for (const member of read.members) {
    if (member.key !== "reason" || member.value.kind !== "string") return unknownMember(member, "reason (a string), or nothing");
    reason = jsonString(body, member.value);
  }
  if (reason !== undefined && (reason.trim() === "" || reason.length > PAUSE_REASON_CHARS_MAX))
    return bodyRefused(`reason must have 1 to ${PAUSE_REASON_CHARS_MAX} characters.`);
  return { ok: true, reason };
}
