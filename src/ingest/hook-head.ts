import { isUtf8 } from "node:buffer";
import type { Extensions } from "../core/event.ts";
import { BASIC, type HookSettings } from "../core/hook-settings.ts";
import { attributeMistake } from "./event-draft.ts";
import type { RequestHead } from "./request-head.ts";
import { type Checked, refused } from "./refusal.ts";

/** What a hook's request says beside its body. */
export type HookHead = Pick<RequestHead, "hookHeaders" | "hookQuery">;

interface HookToken {
  readonly place: string;
  readonly token: string;
}

const AUTHORIZATION = "authorization";
/** Tokens of one request that are judged: each costs a digest, and strangers may send thousands of headers. */
const TOKENS_MAX = 8;
const KEY_CHARS_MAX = 255;
const KEY = /^[\u0021-\u007e]+$/;

/** The tokens in these places of a hook, each with its place, in the order of the headers. A header that is there twice is none: two readers would see two. */
export function hookTokens({ hookHeaders }: HookHead, places: ReadonlySet<string>): readonly HookToken[] {
  if (places.size === 0) return [];
  const isAuthorization = places.has(BASIC) || places.has(AUTHORIZATION);
  const found = new Map<string, string | undefined>();
  for (let i = 0; i < hookHeaders.length; i += 2) {
    const name = hookHeaders[i]!.toLowerCase();
    const isPlace = name === AUTHORIZATION ? isAuthorization : places.has(name);
    if (isPlace) found.set(name, found.has(name) ? undefined : hookHeaders[i + 1]);
  }
  return [...found].flatMap(([name, value = ""]) => tokensIn(name, value)).slice(0, TOKENS_MAX);
}

function tokensIn(name: string, value: string): readonly HookToken[] {
  if (name !== AUTHORIZATION) return value === "" ? [] : [{ place: name, token: utf8(value) ?? value }];
  const password = basicPassword(value);
  if (password !== undefined) return password === "" ? [] : [{ place: BASIC, token: utf8(password) ?? password }];
  const token = bareToken(value);
  return token === undefined ? [] : [{ place: AUTHORIZATION, token: utf8(token) ?? token }];
}

/** The headers and parameters that are kept, as extension attributes; one that is not sent is absent. */
export function keptAttributes(head: HookHead, { headers, query }: HookSettings): Checked<Extensions> {
  const kept: Record<string, string> = {};
  for (const { from, attribute } of headers) {
    const values = valuesOf(head, from);
    if (values.length === 0) continue;
    // RFC 9110 5.3: a header that may be repeated means the same in one line.
    const text = utf8(values.join(", "));
    const mistake = text === undefined ? "is not UTF-8" : attributeMistake(attribute, text);
    if (mistake !== undefined || text === undefined)
      return refused("attribute_invalid", `Header '${from}', which is kept with the event, ${mistake}.`);
    kept[attribute] = text;
  }
  for (const { from, attribute } of query) {
    const found = parametersOf(head.hookQuery, from);
    if (found.length > 1) return refused("parameter_invalid", `The parameter ${from} appears twice: send it once.`);
    const text = found[0];
    if (text === undefined) continue;
    const mistake = text === UNREADABLE ? "is not UTF-8, percent-encoded" : attributeMistake(attribute, text);
    if (mistake !== undefined) return refused("parameter_invalid", `The parameter ${from}, which is kept with the event, ${mistake}.`);
    kept[attribute] = text;
  }
  return { ok: true, value: kept };
}

/** The header that names the event; undefined where none was chosen or sent. */
export function hookKey(head: HookHead, { idempotencyKey }: HookSettings): Checked<string | undefined> {
  if (idempotencyKey === undefined) return { ok: true, value: undefined };
  const [value, ...more] = valuesOf(head, idempotencyKey);
  if (more.length > 0)
    return refused("duplicate_header", `Header '${idempotencyKey}' appears twice, and it names the event: send it once.`);
  if (value === undefined || value === "") return { ok: true, value: undefined };
  if (KEY.test(value) && value.length <= KEY_CHARS_MAX) return { ok: true, value };
  const detail = `Header '${idempotencyKey}', which names the event, must have 1 to ${KEY_CHARS_MAX} visible ASCII characters without spaces.`;
  return refused("idempotency_key_invalid", detail);
}

/** The values of a header, in lower case, one character a byte. */
function valuesOf({ hookHeaders }: HookHead, name: string): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i < hookHeaders.length; i += 2) if (hookHeaders[i]!.toLowerCase() === name) values.push(hookHeaders[i + 1] ?? "");
  return values;
}

/** Stands for a value that is not UTF-8; no attribute may hold it. */
const UNREADABLE = "\0";

function parametersOf(query: string, name: string): readonly string[] {
  return query.split("&").flatMap((pair) => {
    const at = pair.indexOf("=");
    const found = decoded(at === -1 ? pair : pair.slice(0, at));
    if (found !== name) return [];
    return [at === -1 ? "" : (decoded(pair.slice(at + 1)) ?? UNREADABLE)];
  });
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function utf8(text: string): string | undefined {
  const bytes = Buffer.from(text, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}

const BASIC_CREDENTIALS = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i;

/** RFC 7617 2: what is behind the first colon. The user name means nothing: most callers demand one. */
function basicPassword(value: string): string | undefined {
  const pair = BASIC_CREDENTIALS.exec(value)?.[1];
  if (pair === undefined) return undefined;
  const text = Buffer.from(pair, "base64").toString("latin1");
  const at = text.indexOf(":");
  return at === -1 ? undefined : text.slice(at + 1);
}

/** A token alone, or behind a word such as `Token`, `GenieKey` or `Splunk`. */
function bareToken(value: string): string | undefined {
  return /^(?:[A-Za-z][\w-]{0,31} +)?([^\s,]+) *$/.exec(value)?.[1];
}
