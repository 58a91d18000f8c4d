import type { EventDraft } from "./event-draft.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** Characters that no writer of JSON, of addresses or of forms spells in another way. */
const PLAIN = /^[\w.~-]+$/;
const ESCAPED = Buffer.from("\\u00");

/**
 * Where one of the tokens that let a request in stands in what would be stored: then it would be sent on to receivers and shown in the history.
 * Looked for as it is, and as JSON, addresses and forms write it; undefined = nowhere.
 */
export function liveTokenRefusal(
  drafts: readonly EventDraft[],
  found: { readonly tokens: readonly string[]; readonly idempotencyKey: string | undefined },
): Refusal | undefined {
  if (found.tokens.length === 0) return undefined;
  const spellings = [...new Set(found.tokens.flatMap(spellingsOf))];
  const isIn = (text: string | undefined): boolean => text !== undefined && spellings.some((spelling) => text.includes(spelling));
  if (isIn(found.idempotencyKey)) return refusalFor("Idempotency-Key", {});
  const bytes = spellings.map((spelling) => Buffer.from(spelling));
  for (const [index, draft] of drafts.entries()) {
    const where = attributeWith(draft, isIn) ?? (isInData(draft, bytes) ? "data" : undefined);
    if (where !== undefined) return refusalFor(where, drafts.length > 1 ? { index } : {});
  }
  return undefined;
}

function refusalFor(where: string, place: { readonly index?: number }): Refusal {
  const detail = `The token that let this request in stands in the event too (${where}), from where it would be stored and sent on, and nothing was stored. Send it in the header Authorization, or once as the top-level field 'token' of the body, and nowhere else.`;
  return refuse("token_in_data", detail, place);
}

function attributeWith(draft: EventDraft, isIn: (text: string | undefined) => boolean): string | undefined {
  const { identity, type, subject, time, dataContentType, extensions } = draft;
  const attributes = { id: identity?.id, source: identity?.source, type, subject, time, datacontenttype: dataContentType };
  for (const [name, value] of Object.entries(attributes)) if (isIn(value)) return name;
  for (const name in extensions) if (isIn(extensions[name])) return "an extension attribute";
  return undefined;
}

function isInData({ data, dataKind }: EventDraft, spellings: readonly Buffer[]): boolean {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const isIn = (all: Buffer): boolean => spellings.some((spelling) => all.includes(spelling));
  if (isIn(bytes)) return true;
  if (dataKind !== "json" || !bytes.includes(ESCAPED)) return false;
  // ASCII may be escaped without need (RFC 8259 7); one character a byte, so that the other bytes stay what they are.
  const unescaped = bytes
    .toString("latin1")
    .replaceAll(/\\u00([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return isIn(Buffer.from(unescaped, "latin1"));
}

function spellingsOf(token: string): readonly string[] {
  if (PLAIN.test(token)) return [token];
  const json = JSON.stringify(token).slice(1, -1);
  const percent = encodeURIComponent(token.toWellFormed());
  const form = new URLSearchParams([["", token]]).toString().slice(1);
  const lower = (text: string): string => text.replaceAll(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase());
  return [token, json, json.replaceAll("/", "\\/"), percent, lower(percent), form, lower(form)];
}
