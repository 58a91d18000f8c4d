import { isAscii } from "node:buffer";
import { formAsJson } from "../core/event-data.ts";
import { EVENT_BYTES_MAX } from "../core/event.ts";
import { type HookSettings, NO_TYPE } from "../core/hook-settings.ts";
import { jsonString, scanJson } from "../core/json-scan.ts";
import { isJsonPart, isMultipartForm, partAsJson, type Part, partsAsJson, readMultipart } from "../core/multipart.ts";
import { formToken, memberCut, TOKEN_FIELD, withoutCut, type BodyToken } from "./body-token.ts";
import { type EventDraft, NO_DATA } from "./event-draft.ts";
import { type HookHead, hookKey, keptAttributes } from "./hook-head.ts";
import { type BodyRequest, classify, type DataPart } from "./json-envelope.ts";
import { isJson, isUtf8Charset, kindOfData, parseMediaType } from "./media-type.ts";
import { type Checked, jsonRefusal, refuse, type Refusal, refused } from "./refusal.ts";

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";

/** Where nothing is said: no header is kept, and each body is what its Content-Type says. */
const NO_SETTINGS: HookSettings = { token: [], idempotencyKey: undefined, headers: [], query: [], jsonTypes: [], jsonFields: [] };

/** Whether a body of this Content-Type can hold the field `token`. */
export function hookMayCarryToken(contentType: string | undefined): boolean {
  const essence = contentType === undefined ? undefined : parseMediaType(contentType)?.essence;
  return essence !== undefined && (essence === FORM || isJson(essence));
}

/** Whether the token of such a body stands in JSON, and not in a form. */
export function isJsonHook(contentType: string | undefined): boolean {
  const essence = contentType === undefined ? undefined : parseMediaType(contentType)?.essence;
  return essence !== undefined && isJson(essence);
}

/** A hook's request: the type is its path's. */
export interface HookRequest extends HookHead {
  readonly type: string;
  readonly contentType: string | undefined;
}

/**
 * A request of a caller that cannot be changed: the whole body is the data of an event whose type the path names. JSON is checked like
 * any JSON; a token that was matched is cut out, every other byte stays. What the owner of the caller's token says (core/hook-settings.ts) is known
 * only with the token, which may be in the body: so it is given to `drafts`.
 */
export function readHook(body: Uint8Array, request: HookRequest): Checked<BodyRequest> {
  const token = hookToken(body, request.contentType);
  if (!token.ok) return token;
  return {
    ok: true,
    value: {
      token: token.value?.text,
      drafts: (tokenMatched, settings) => {
        const cut = tokenMatched ? token.value?.cut : undefined;
        const draft = draftOf(cut === undefined ? body : withoutCut(body, cut), request, settings ?? NO_SETTINGS);
        return draft.ok ? { ok: true, value: [draft.value] } : draft;
      },
    },
  };
}

function hookToken(body: Uint8Array, contentType: string | undefined): Checked<BodyToken | undefined> {
  const media = contentType === undefined ? undefined : parseMediaType(contentType);
  if (body.length === 0 || media === undefined || !isUtf8Charset(media.charset)) return { ok: true, value: undefined };
  // One character a byte, so that places in the text are places in the bytes.
  if (media.essence === FORM) return { ok: true, value: formToken(Buffer.from(body).toString("latin1")) };
  if (!isJson(media.essence)) return { ok: true, value: undefined };
  const scan = scanJson(body, 1);
  if (!scan.ok) return { ok: false, refusal: jsonRefusal(scan.error) };
  const index = scan.root.members.findIndex(({ key, value }) => key === TOKEN_FIELD && value.kind === "string");
  const member = scan.root.members[index];
  if (member === undefined) return { ok: true, value: undefined };
  return { ok: true, value: { text: jsonString(body, member.value), cut: memberCut(scan.root, index) } };
}

function draftOf(body: Uint8Array, request: HookRequest, settings: HookSettings): Checked<EventDraft> {
  const kept = keptAttributes(request, settings);
  if (!kept.ok) return kept;
  const key = hookKey(request, settings);
  if (!key.ok) return key;
  const head = { identity: undefined, type: request.type, subject: undefined, time: undefined, extensions: kept.value, hookKey: key.value };
  if (body.length === 0) return { ok: true, value: { ...head, data: NO_DATA, dataKind: "none", dataContentType: undefined } };
  const data = dataOf(body, request.contentType, settings);
  return data.ok ? { ok: true, value: { ...head, ...data.value } } : data;
}

function dataOf(body: Uint8Array, contentType: string | undefined, settings: HookSettings): Checked<DataPart> {
  const media = contentType === undefined ? undefined : parseMediaType(contentType);
  if (settings.jsonTypes.includes(contentType === undefined ? NO_TYPE : (media?.essence ?? ""))) {
    // What JSON in another charset says is the same as long as it is ASCII.
    const charset = isUtf8Charset(media?.charset) || isAscii(body) ? "" : `; charset=${media?.charset}`;
    const read = classify(body, JSON_TYPE + charset, {});
    return read.ok ? { ok: true, value: { ...read.value, dataContentType: JSON_TYPE } } : read;
  }
  if (contentType !== undefined && isMultipartForm(contentType)) return multipartOf(body, contentType, settings.jsonFields);
  if (media?.essence === FORM && kindOfData(media, body) === "form") {
    const form = formWithJson(Buffer.from(body).toString("utf8"), settings.jsonFields);
    if (form !== undefined) return form;
  }
  return classify(body, contentType, {});
}

/** A form of several parts must be one, and its parts that say so must be JSON: they lie in the data's JSON as they are. */
function multipartOf(body: Uint8Array, contentType: string, jsonFields: readonly string[]): Checked<DataPart> {
  const read = readMultipart(body, contentType);
  if (!read.ok) {
    const { offset, message } = read.error;
    return refused("multipart_invalid", `At byte ${offset}: ${message}.`, { offset });
  }
  const isField = ({ name, filename }: Part): boolean => filename === undefined && jsonFields.includes(name);
  const chosen = read.parts.filter((part) => isField(part));
  const declared = read.parts.filter((part) => isJsonPart(part));
  for (const { name, value } of [...chosen, ...declared]) {
    const refusal = fieldRefusal(name, value);
    if (refusal !== undefined) return { ok: false, refusal };
  }
  const json = (): string => partsAsJson(read.parts, (part) => (isField(part) ? part.value.toString("utf8") : partAsJson(part)));
  if (chosen.length > 0) return asJson(json());
  const tooDeep = declared.length > 0 ? depthRefusal(Buffer.from(json())) : undefined;
  if (tooDeep !== undefined) return { ok: false, refusal: tooDeep };
  return { ok: true, value: { data: body, dataKind: "binary", dataContentType: contentType } };
}

/** The form as JSON, where it has any of these fields: their values must be JSON. */
function formWithJson(form: string, names: readonly string[]): Checked<DataPart> | undefined {
  const fields = names.length === 0 ? [] : [...new URLSearchParams(form)].filter(([name]) => names.includes(name));
  for (const [name, text] of fields) {
    const refusal = fieldRefusal(name, Buffer.from(text));
    if (refusal !== undefined) return { ok: false, refusal };
  }
  if (fields.length === 0) return undefined;
  return asJson(formAsJson(form, (name, text) => (names.includes(name) ? text : JSON.stringify(text))));
}

function fieldRefusal(name: string, value: Uint8Array): Refusal | undefined {
  const scan = scanJson(value);
  if (scan.ok) return undefined;
  const { offset, code } = jsonRefusal(scan.error);
  const detail = `The field '${name.slice(0, 64)}', at byte ${offset} of its value: ${scan.error.message}. It is read as JSON because the annotation postrider.dev/hooks of the token's Secret, or the part's Content-Type, says so.`;
  return refuse(code, detail, { pointer: `/${name.slice(0, 64).replaceAll("~", "~0").replaceAll("/", "~1")}` });
}

/** JSON that was put together of what came: as deep and as large as an event's may be. */
function asJson(json: string): Checked<DataPart> {
  const data = Buffer.from(json);
  if (data.length > EVENT_BYTES_MAX) {
    return refused("event_too_large", `The form has ${data.length} bytes as JSON; at most ${EVENT_BYTES_MAX} are allowed.`);
  }
  const tooDeep = depthRefusal(data);
  return tooDeep === undefined
    ? { ok: true, value: { data, dataKind: "json", dataContentType: JSON_TYPE } }
    : { ok: false, refusal: tooDeep };
}

/** Each field is JSON; within the form's object it is one or two levels deeper. */
function depthRefusal(json: Uint8Array): Refusal | undefined {
  const scan = scanJson(json);
  return scan.ok ? undefined : refuse(jsonRefusal(scan.error).code, `The form as JSON: ${scan.error.message}.`);
}
