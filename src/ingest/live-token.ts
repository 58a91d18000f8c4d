import { writtenForms } from "../core/written-forms.ts";
import type { EventDraft } from "./event-draft.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** Characters that no writer of JSON, of addresses or of forms spells in another way. */
const PLAIN = /^[\w.~-]+$/;
const ESCAPED = Buffer.from("\\u00");

/** In which the tokens may stand. Every request comes by: nothing is made that is not needed. */
interface Wanted {
  readonly texts: readonly string[];
  readonly bytes: readonly Buffer[];
  /** Length of the shortest. */
  readonly least: number;
}

/**
 * Where one of the tokens that let a request in stands in what would be stored: then it would be sent on to receivers and shown in the history.
 * Looked for as it is, and as JSON, addresses and forms write it; undefined = nowhere.
 */
export function liveTokenRefusal(
  drafts: readonly EventDraft[],
  found: { readonly tokens: readonly string[]; readonly idempotencyKey: string | undefined },
): Refusal | undefined {
  if (found.tokens.length === 0) return undefined;
  const wanted = wantedOf(found.tokens);
  if (isInText(found.idempotencyKey, wanted)) return refusalFor("Idempotency-Key", {});
  for (const [index, draft] of drafts.entries()) {
    const where = attributeWith(draft, wanted) ?? (isInData(draft, wanted) ? "data" : undefined);
    if (where !== undefined) return refusalFor(where, drafts.length > 1 ? { index } : {});
  }
  return undefined;
}

function wantedOf(tokens: readonly string[]): Wanted {
  const texts = tokens.every((token) => PLAIN.test(token)) ? tokens : [...new Set(tokens.flatMap(spellingsOf))];
  let least = Number.POSITIVE_INFINITY;
  for (const { length } of texts) least = Math.min(least, length);
  return { texts, bytes: texts.map((text) => Buffer.from(text)), least };
}

function refusalFor(where: string, at: { readonly index?: number }): Refusal {
  const detail = `The event also contains the token that authenticates this request (${where}), where it would be stored and sent on. Nothing was stored. Send the token in the header Authorization, or once as the top-level field 'token' of the body, and nowhere else.`;
  return refuse("token_in_data", detail, at);
}

function attributeWith(draft: EventDraft, wanted: Wanted): string | undefined {
  const { identity, extensions } = draft;
  if (isInText(identity?.id, wanted)) return "id";
  if (isInText(identity?.source, wanted)) return "source";
  if (isInText(draft.type, wanted)) return "type";
  if (isInText(draft.subject, wanted)) return "subject";
  if (isInText(draft.time, wanted)) return "time";
  if (isInText(draft.dataContentType, wanted)) return "datacontenttype";
  if (isInText(draft.hookKey, wanted)) return "the header that names the event";
  for (const name in extensions) if (isInText(String(extensions[name]), wanted)) return "an extension attribute";
  return undefined;
}

function isInText(text: string | undefined, { texts, least }: Wanted): boolean {
  if (text === undefined || text.length < least) return false;
  for (const wanted of texts) if (text.includes(wanted)) return true;
  return false;
}

function isInBytes(bytes: Buffer, { bytes: all }: Wanted): boolean {
  for (const wanted of all) if (bytes.includes(wanted)) return true;
  return false;
}

function isInData({ data, dataKind }: EventDraft, wanted: Wanted): boolean {
  if (data.length < wanted.least) return false;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (isInBytes(bytes, wanted)) return true;
  if (dataKind !== "json" || !bytes.includes(ESCAPED)) return false;
  // ASCII may be escaped without need (RFC 8259 7); one character a byte, so that the other bytes stay what they are.
  const unescaped = bytes
    .toString("latin1")
    .replaceAll(/\\u00([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return isInBytes(Buffer.from(unescaped, "latin1"), wanted);
}

function spellingsOf(token: string): readonly string[] {
  if (PLAIN.test(token)) return [token];
  const form = new URLSearchParams([["", token]]).toString().slice(1);
  const lower = (text: string): string => text.replaceAll(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase());
  return [...writtenForms(token), lower(encodeURIComponent(token.toWellFormed())), form, lower(form)];
}
