import { jsonString, scanJson } from "../core/json-scan.ts";
import { formToken, memberCut, TOKEN_FIELD, withoutCut, type BodyToken } from "./body-token.ts";
import { type EventDraft, NO_DATA } from "./event-draft.ts";
import { type BodyRequest, classify } from "./json-envelope.ts";
import { isJson, isUtf8Charset, parseMediaType } from "./media-type.ts";
import { type Checked, jsonRefusal } from "./refusal.ts";

const FORM = "application/x-www-form-urlencoded";

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

/**
 * A request of a caller that cannot be changed: the whole body is the data of an event whose type the path names. JSON is checked like
 * any JSON; a token that was matched is cut out, every other byte stays.
 */
export function readHook(body: Uint8Array, type: string, contentType: string | undefined): Checked<BodyRequest> {
  const token = hookToken(body, contentType);
  if (!token.ok) return token;
  return {
    ok: true,
    value: {
      token: token.value?.text,
      drafts: (tokenMatched) => {
        const cut = tokenMatched ? token.value?.cut : undefined;
        const draft = draftOf(cut === undefined ? body : withoutCut(body, cut), type, contentType);
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

function draftOf(body: Uint8Array, type: string, contentType: string | undefined): Checked<EventDraft> {
  const head = { identity: undefined, type, subject: undefined, time: undefined, extensions: {} };
  if (body.length === 0) return { ok: true, value: { ...head, data: NO_DATA, dataKind: "none", dataContentType: undefined } };
  const data = classify(body, contentType, {});
  return data.ok ? { ok: true, value: { ...head, ...data.value } } : data;
}
