import { EVENT_BYTES_MAX, EVENT_TYPE_CHARS_MAX } from "../core/event.ts";
import { jsonString, scanJson } from "../core/json-scan.ts";
import type { ApiProblem } from "./api-problem.ts";

export interface TestRequestBody {
  readonly type: string | undefined;
  readonly data: Uint8Array | undefined;
}

export type TestRequestRead =
  | { readonly ok: true; readonly request: TestRequestBody }
  | { readonly ok: false; readonly problem: ApiProblem };

/** Reads `{"type": …, "data": …}`, both optional; an empty body asks for neither. The data's bytes are kept as they came. */
export function readTestRequest(body: Uint8Array): TestRequestRead {
  if (body.length === 0) return { ok: true, request: { type: undefined, data: undefined } };
  if (body.length > EVENT_BYTES_MAX) return refused("request_too_large", `The body has more than ${EVENT_BYTES_MAX} bytes.`);
  const scan = scanJson(body, 1);
  if (!scan.ok) return refused("body_invalid", `At byte ${scan.error.offset}: ${scan.error.message}.`);
  if (scan.root.kind !== "object")
    return refused("body_invalid", 'The body must be a JSON object such as {"type": "order.paid", "data": {"id": 1}}.');
  let type: string | undefined;
  let data: Uint8Array | undefined;
  for (const { key: name, value } of scan.root.members) {
    if (name === "data") data = body.slice(value.start, value.end);
    else if (name === "type" && value.kind === "string") type = jsonString(body, value);
    else
      return refused("body_invalid", `${JSON.stringify(name.slice(0, 64))} is not supported: give type (a string) and data, or neither.`);
  }
  if (type !== undefined && (type.length === 0 || type.length > EVENT_TYPE_CHARS_MAX)) {
    return refused("body_invalid", `type must have 1 to ${EVENT_TYPE_CHARS_MAX} characters.`);
  }
  return { ok: true, request: { type, data } };
}

function refused(code: ApiProblem["code"], detail: string): TestRequestRead {
  return { ok: false, problem: { code, detail } };
}
