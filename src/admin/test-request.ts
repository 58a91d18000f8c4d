import { EVENT_BYTES_MAX, EVENT_TYPE_CHARS_MAX } from "../core/event.ts";
import { jsonString } from "../core/json-scan.ts";
import { bodyRefused, type BodyRefused, jsonMembers, unknownMember } from "./json-members.ts";

export interface TestRequestBody {
  readonly type: string | undefined;
  readonly data: Uint8Array | undefined;
}

export type TestRequestRead = { readonly ok: true; readonly request: TestRequestBody } | BodyRefused;

/** Reads `{"type": …, "data": …}`, both optional; an empty body asks for neither. The data's bytes are kept as they came. */
export function readTestRequest(body: Uint8Array): TestRequestRead {
  if (body.length > EVENT_BYTES_MAX)
    return { ok: false, problem: { code: "request_too_large", detail: `The body has more than ${EVENT_BYTES_MAX} bytes.` } };
  const read = jsonMembers(body, '{"type": "order.paid", "data": {"id": 1}}');
  if (!read.ok) return read;
  let type: string | undefined;
  let data: Uint8Array | undefined;
  for (const member of read.members) {
    const { key: name, value } = member;
    if (name === "data") data = body.slice(value.start, value.end);
    else if (name === "type" && value.kind === "string") type = jsonString(body, value);
    else return unknownMember(member, "type (a string) and data, or neither");
  }
  if (type !== undefined && (type.length === 0 || type.length > EVENT_TYPE_CHARS_MAX))
    return bodyRefused(`type must have 1 to ${EVENT_TYPE_CHARS_MAX} characters.`);
  return { ok: true, request: { type, data } };
}
