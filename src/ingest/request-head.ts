import type { IncomingMessage } from "node:http";
import { bearerToken } from "../core/access-token.ts";
import { passedOn } from "../core/trace-context.ts";
import { TOKEN_FIELD } from "./body-token.ts";
import { encodingMistake } from "./content-encoding.ts";
import { attributeMistake } from "./event-draft.ts";
import { localTarget } from "../lib/door/framing.ts";
import { type Checked, type Refusal, refuse, refused } from "./refusal.ts";
import { readWish, type ResultWish } from "./results/result-wish.ts";

/** What the ingest reads from a request before its body. */
export interface RequestHead {
  readonly namespace: string;
  /** The event type that a path `/hooks/{type}` names; undefined for `/events`. */
  readonly hookType: string | undefined;
  /** Of a hook: its headers as they came (name, value, name, …), and its query without the token. */
  readonly hookHeaders: readonly string[];
  readonly hookQuery: string;
  /** Asks whether a hook would be let in, and brings nothing. */
  readonly isProbe: boolean;
  /** The id that a path `/results/{correlationId}` names, as it was sent: such a request asks, it brings no event. */
  readonly resultId: string | undefined;
  readonly wish: ResultWish;
  readonly contentType: string | undefined;
  readonly contentLength: number | undefined;
  readonly idempotencyKey: string | undefined;
  /** Token of `Authorization: Bearer`, else of the query (when that is switched on). */
  readonly token: string | undefined;
  /** The same, when it was in the query. */
  readonly queryToken: string | undefined;
  /** An Authorization header that is no Bearer token was there. */
  readonly foreignAuthorization: boolean;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly origin: string | undefined;
  /** W3C Trace Context of the producer's request, when it is valid. */
  readonly traceparent: string | undefined;
}

const IDEMPOTENCY_KEY_CHARS_MAX = 255;
/** Longest namespace name (RFC 1123 label). */
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PATH = /^\/v1\/namespaces\/([^/]*)\/(?:events|hooks\/([^/]+)|results\/([^/]+))$/;

/** Headers that must stand once: a second one would be read by somebody else than the first. The door has looked at Host and Transfer-Encoding. */
const SINGLE: ReadonlySet<string> = new Set([
  "content-type",
  "content-length",
  "content-encoding",
  "authorization",
  "idempotency-key",
  "expect",
]);

export interface HeadOptions {
  /** `?token=…` counts as the token. It is cut from the request's URL in any case. */
  readonly tokenInQuery: boolean;
}

/** Path, method and headers, checked. A wrong path is told before a wrong method, both before anything else. */
export function readHead(request: IncomingMessage, options: HeadOptions): Checked<RequestHead> {
  const target = splitTarget(request.url ?? "");
  const query = cutToken(target.query);
  // From here on nobody can log what he does not know.
  if (query.found) request.url = query.rest === "" ? target.path : `${target.path}?${query.rest}`;
  const match = PATH.exec(target.path);
  if (match?.[1] === undefined)
    return refused(
      "not_found",
      "Events are posted to /v1/namespaces/{namespace}/events, or to /v1/namespaces/{namespace}/hooks/{type}; results are at /v1/namespaces/{namespace}/results/{correlationId}.",
    );
  const namespace = match[1];
  if (!NAMESPACE.test(namespace)) {
    return refused(
      "namespace_invalid",
      "A namespace name has 1 to 63 characters of a-z, 0-9 and '-', and starts and ends with a letter or digit.",
    );
  }
  const isHook = match[2] !== undefined;
  const wrongMethod = match[3] !== undefined ? resultMethodRefusal(request.method) : methodRefusal(request.method, isHook);
  if (wrongMethod !== undefined) return { ok: false, refusal: wrongMethod };
  const hookType = readHookType(match[2]);
  if (!hookType.ok) return hookType;
  const headers = readHeaders(request.rawHeaders);
  if (!headers.ok) return headers;
  const found = headers.value;
  const encoded = encodingMistake(found.contentEncoding ?? "", isHook);
  if (encoded !== undefined) return refused("content_encoding_unsupported", encoded);
  const wish = readWish(query.rest, found.prefer);
  if (!wish.ok) return wish;
  const bearer = found.authorization === undefined ? undefined : bearerToken(found.authorization);
  const queryToken = options.tokenInQuery && found.authorization === undefined ? query.token : undefined;
  const value: RequestHead = {
    namespace,
    hookType: hookType.value,
    hookHeaders: isHook ? request.rawHeaders : [],
    hookQuery: isHook ? query.rest : "",
    isProbe: request.method === "HEAD",
    resultId: match[3],
    wish: wish.value,
    contentType: found.contentType,
    contentLength: found.contentLength === undefined ? undefined : Number(found.contentLength),
    idempotencyKey: found.idempotencyKey,
    token: bearer ?? queryToken,
    queryToken,
    foreignAuthorization: found.authorization !== undefined && bearer === undefined,
    attributes: found.attributes,
    origin: found.origin,
    traceparent: found.traceparent,
  };
  return { ok: true, value };
}

function resultMethodRefusal(method: string | undefined): Refusal | undefined {
  return method === "GET" ? undefined : refuse("method_not_allowed", "Results are read with GET.", { allow: "GET" });
}

function methodRefusal(method: string | undefined, isHook: boolean): Refusal | undefined {
  if (method === "POST" || method === "OPTIONS" || (isHook && method === "HEAD")) return undefined;
  if (isHook) {
    return refuse("method_not_allowed", "Hooks are sent with POST; HEAD asks whether a token is valid.", { allow: "POST, HEAD, OPTIONS" });
  }
  return refuse("method_not_allowed", "Events are sent with POST.", { allow: "POST, OPTIONS" });
}

interface Headers {
  contentType?: string;
  contentEncoding?: string;
  contentLength?: string;
  idempotencyKey?: string;
  authorization?: string;
  origin?: string;
  traceparent?: string | undefined;
  prefer?: string;
  attributes: (readonly [string, string])[];
}

/** One pass over the raw headers: Node's own object joins or drops repeated ones silently. */
function readHeaders(raw: readonly string[]): Checked<Headers> {
  const found: Headers = { attributes: [] };
  const seen: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const isAttribute = name.startsWith("ce-");
    if (name === "traceparent") found.traceparent = passedOn(raw[i + 1] ?? "") ?? found.traceparent;
    if (name === "prefer") found.prefer = found.prefer === undefined ? (raw[i + 1] ?? "") : `${found.prefer},${raw[i + 1]}`;
    if (!isAttribute && !SINGLE.has(name) && name !== "webhook-request-origin") continue;
    if (seen.includes(name)) return refused("duplicate_header", `Header '${name.slice(0, 64)}' appears twice: send it once.`);
    seen.push(name);
    const value = raw[i + 1] ?? "";
    const refusal = isAttribute ? undefined : noteHeader(found, name, value);
    if (refusal !== undefined) return { ok: false, refusal };
    if (isAttribute) found.attributes.push([name, value]);
  }
  return { ok: true, value: found };
}

function noteHeader(found: Headers, name: string, value: string): Refusal | undefined {
  switch (name) {
    case "content-type":
      found.contentType = value;
      return undefined;
    case "content-length":
      found.contentLength = value;
      return undefined;
    case "authorization":
      found.authorization = value;
      return undefined;
    case "webhook-request-origin":
      found.origin = value;
      return undefined;
    case "content-encoding":
      found.contentEncoding = value;
      return undefined;
    case "idempotency-key":
      if (!/^[\u0021-\u007e]+$/.test(value) || value.length > IDEMPOTENCY_KEY_CHARS_MAX) {
        return refuse(
          "idempotency_key_invalid",
          `Idempotency-Key has 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters without spaces.`,
        );
      }
      found.idempotencyKey = value;
      return undefined;
    default:
      return undefined;
  }
}

function splitTarget(url: string): { readonly path: string; readonly query: string } {
  const local = localTarget(url);
  const at = local.indexOf("?");
  return at === -1 ? { path: local, query: "" } : { path: local.slice(0, at), query: local.slice(at + 1) };
}

interface TokenQuery {
  readonly found: boolean;
  /** Undefined also when it stands twice. */
  readonly token: string | undefined;
  /** The query without it, as it was sent. */
  readonly rest: string;
}

function cutToken(query: string): TokenQuery {
  if (query === "") return { found: false, token: undefined, rest: "" };
  const tokens = new URLSearchParams(query).getAll(TOKEN_FIELD);
  if (tokens.length === 0) return { found: false, token: undefined, rest: query };
  const rest = query.split("&").filter((pair) => !new URLSearchParams(pair).has(TOKEN_FIELD));
  return { found: true, token: tokens.length === 1 ? tokens[0] : undefined, rest: rest.join("&") };
}

function readHookType(encoded: string | undefined): Checked<string | undefined> {
  if (encoded === undefined) return { ok: true, value: undefined };
  let type: string;
  try {
    type = decodeURIComponent(encoded);
  } catch {
    return refused("attribute_invalid", "The event type in the path is not UTF-8, percent-encoded.");
  }
  const mistake = attributeMistake("type", type);
  return mistake === undefined ? { ok: true, value: type } : refused("attribute_invalid", `The event type in the path ${mistake}.`);
}

/** The namespace in the path of a request, if it is the name of one. */
export function askedNamespace(url: string | undefined): string | undefined {
  const name = /^\/v1\/namespaces\/([^/?#]{1,63})(?:[/?#]|$)/.exec(localTarget(url ?? ""))?.[1];
  return name !== undefined && NAMESPACE.test(name) ? name : undefined;
}
