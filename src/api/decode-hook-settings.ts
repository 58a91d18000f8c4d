import { BASIC, type HookSettings, type KeptName, NO_TYPE } from "../core/hook-settings.ts";
import type { Decoded, Problem } from "../core/problem.ts";
import type { Reason } from "../core/reasons.ts";
import { didYouMean, nearestName } from "../lib/nearest-name.ts";
import { isJsonObject, type JsonObject } from "./defaulting.ts";
import { yamlValue } from "./manifest.ts";

/** Annotation of a Secret of ingest tokens: how the hooks of its holders are read. */
export const HOOKS_ANNOTATION = "postrider.dev/hooks";
/** Annotation of a Secret of ingest tokens: whose idempotency keys its holders use. */
export const PRODUCER_ANNOTATION = "postrider.dev/producer";
/** Where problems of the settings are. */
export const HOOKS_FIELD = `metadata.annotations.${HOOKS_ANNOTATION}`;
const ANNOTATIONS = [HOOKS_ANNOTATION, PRODUCER_ANNOTATION];
const PREFIX = "postrider.dev/";

/** Characters of the annotation. */
const SETTINGS_CHARS_MAX = 4_096;
/** Headers, and parameters of the query, that are kept. */
const KEPT_MAX = 16;
/** Places of a token. */
const TOKEN_PLACES_MAX = 4;
const JSON_TYPES_MAX = 8;
const JSON_FIELDS_MAX = 8;
/** Characters of a name of a header, parameter, field or attribute. */
const NAME_CHARS_MAX = 64;

const FIELDS = ["token", "idempotencyKey", "headers", "query", "jsonTypes", "jsonFields"] as const;
type Field = (typeof FIELDS)[number];

const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const ATTRIBUTE = /^[a-z0-9]+$/;
const MEDIA_TYPE = /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/;
// oxlint-disable-next-line no-control-regex -- a name with control characters is a mistake
const UNSEEN = /[\u0000-\u001f\u007f-\u009f]/;
/** Attributes that every event has or that mean something of their own. */
const OWN_ATTRIBUTES: ReadonlySet<string> = new Set(
  "id source type specversion subject time datacontenttype dataschema data traceparent tracestate".split(" "),
);
/** Parameters that the ingest reads itself. */
const OWN_PARAMETERS: ReadonlySet<string> = new Set(["token", "wait", "pollingRedirectEnabled", "hop"]);
/** Headers of the connection and of HTTP itself: none of them is a caller's own word. */
const HTTP_HEADERS: ReadonlySet<string> = new Set(
  "connection content-encoding content-length content-type cookie expect host idempotency-key keep-alive prefer proxy-authorization set-cookie te trailer transfer-encoding upgrade".split(
    " ",
  ),
);
/** What hides in such a header is for the one who is asked, and for nobody that an event is sent to. */
const SECRET =
  /authori[sz]ation|bearer|cookie|credential|csrf|xsrf|jwt|assertion|passw|secret|token|session|(?:^|[-_])auth$|^(?:x[-_])?key$|(?:api|access|account|app|auth|encryption|functions?|licen[cs]e|master|private|service|shared|signing|subscription)[-_]?key/i;
/** The name of an event, whatever it is called: Contentful's is a key, Twilio's a token. */
const EVENT_NAME = /idempotency[-_]?(?:key|token)/i;

function mayBeSecret(name: string): boolean {
  return SECRET.test(name.replace(EVENT_NAME, ""));
}

/** What the annotations of a Secret of ingest tokens say; `settings` is undefined where nothing is said of hooks, or where it is wrong. */
export interface TokenAnnotations {
  readonly settings: HookSettings | undefined;
  readonly problems: readonly Problem[];
}

/** Reads the annotations of a Secret of ingest tokens. Settings with one mistake are refused as a whole. Never throws. */
export function readTokenAnnotations(annotations: Readonly<Record<string, string>> | undefined): TokenAnnotations {
  const problems: Problem[] = [];
  for (const name of Object.keys(annotations ?? {})) {
    const meant =
      name.startsWith(PREFIX) && !ANNOTATIONS.includes(name) ? nearestName(name.slice(PREFIX.length), ANNOTATIONS.map(local)) : undefined;
    if (meant === undefined) continue;
    const message = `the annotation ${name.slice(0, 100)} is unknown, did you mean ${PREFIX}${meant}?`;
    problems.push(problem(`metadata.annotations.${name}`, "UnknownField", message));
  }
  const text = annotations?.[HOOKS_ANNOTATION];
  if (text === undefined || text.trim() === "") return { settings: undefined, problems };
  const decoded = decodeHookSettings(text);
  return decoded.ok ? { settings: decoded.value, problems } : { settings: undefined, problems: [...problems, ...decoded.problems] };
}

/** Reads the text of the annotation `postrider.dev/hooks`: YAML or JSON. */
export function decodeHookSettings(text: string): Decoded<HookSettings> {
  if (text.length > SETTINGS_CHARS_MAX)
    return failed("", "TooLong", `has ${text.length} characters; at most ${SETTINGS_CHARS_MAX} are allowed`);
  const read = yamlValue(text);
  if (!read.ok)
    return {
      ok: false,
      problems: read.problems.map((one) => problem(HOOKS_FIELD, one.reason, `the annotation ${HOOKS_ANNOTATION}: ${one.message}`)),
    };
  if (!isJsonObject(read.value)) return failed("", "TypeInvalid", `must be an object of ${FIELDS.join(", ")}`);
  const reader = new Reader(read.value);
  const settings = reader.settings();
  return reader.problems.length === 0 ? { ok: true, value: settings } : { ok: false, problems: reader.problems };
}

class Reader {
  readonly problems: Problem[] = [];
  readonly #object: JsonObject;

  constructor(object: JsonObject) {
    this.#object = object;
  }

  settings(): HookSettings {
    for (const name of Object.keys(this.#object)) {
      if ((FIELDS as readonly string[]).includes(name)) continue;
      const meant = didYouMean(name, FIELDS) || `; supported: ${FIELDS.join(", ")}`;
      this.#refuse(name, "UnknownField", `is unknown${meant}`);
    }
    const token = this.#texts("token", TOKEN_PLACES_MAX).map((name) => name.toLowerCase());
    for (const name of token) if (name !== BASIC) this.#header("token", name);
    const idempotencyKey = this.#object["idempotencyKey"] === undefined ? undefined : this.#text("idempotencyKey")?.toLowerCase();
    if (idempotencyKey !== undefined) this.#kept("idempotencyKey", idempotencyKey);
    if (token.includes(idempotencyKey ?? ""))
      this.#refuse("idempotencyKey", "Invalid", "also holds the token, which every event of the caller has: name another header");
    const headers = this.#names("headers").map(({ from, attribute }) => ({ from: from.toLowerCase(), attribute }));
    for (const { from } of headers) {
      this.#kept(`headers.${from}`, from);
      if (token.includes(from))
        this.#refuse(`headers.${from}`, "Invalid", "also holds the token, which is never kept: take it out of headers");
    }
    const query = this.#names("query");
    for (const { from } of query) this.#parameter(`query.${from}`, from);
    this.#attributes([...headers, ...query]);
    const jsonTypes = this.#texts("jsonTypes", JSON_TYPES_MAX).map((type) => type.toLowerCase());
    for (const type of jsonTypes) this.#mediaType(type);
    const jsonFields = this.#texts("jsonFields", JSON_FIELDS_MAX);
    for (const name of jsonFields) this.#isName("jsonFields", name);
    return { token, idempotencyKey, headers, query, jsonTypes, jsonFields };
  }

  #refuse(field: string, reason: Reason, message: string): void {
    this.problems.push(problem(HOOKS_FIELD, reason, `the annotation ${HOOKS_ANNOTATION}: ${field.slice(0, 100)} ${message}`));
  }

  #isName(field: string, name: string): boolean {
    const isName = name !== "" && name.length <= NAME_CHARS_MAX && !UNSEEN.test(name);
    if (!isName) this.#refuse(field, "Invalid", `contains a name that is empty, longer than ${NAME_CHARS_MAX} characters or not printable`);
    return isName;
  }

  /** A header that a caller may set as it likes. */
  #header(field: string, name: string): boolean {
    if (!this.#isName(field, name)) return false;
    if (HEADER.test(name) && !HTTP_HEADERS.has(name)) return true;
    const why = HEADER.test(name) ? "belongs to HTTP itself" : "is not a header name";
    this.#refuse(field, "NotSupported", `names '${name}', which ${why}: name a header of the caller's own`);
    return false;
  }

  /** A header whose value is stored. */
  #kept(field: string, name: string): void {
    if (!this.#header(field, name) || !mayBeSecret(name)) return;
    this.#refuse(field, "NotSupported", `names '${name}', which may hold a secret: such headers are never stored or sent on`);
  }

  #parameter(field: string, name: string): void {
    if (!this.#isName(field, name)) return;
    if (OWN_PARAMETERS.has(name)) this.#refuse(field, "NotSupported", "names a parameter that Postrider reads itself: it is never kept");
    else if (mayBeSecret(name)) this.#refuse(field, "NotSupported", "may hold a secret: such parameters are never stored or sent on");
  }

  #mediaType(type: string): void {
    if (type === NO_TYPE) return;
    if (!MEDIA_TYPE.test(type))
      this.#refuse(
        "jsonTypes",
        "Invalid",
        `contains '${type.slice(0, 64)}', which is not a media type such as text/plain (without parameters), nor none`,
      );
    else if (type.startsWith("multipart/"))
      this.#refuse("jsonTypes", "NotSupported", `contains ${type}, which has parts: name those that are JSON in jsonFields`);
  }

  #attributes(kept: readonly KeptName[]): void {
    const seen = new Set<string>();
    for (const { from, attribute } of kept) {
      if (!ATTRIBUTE.test(attribute) || attribute.length > NAME_CHARS_MAX) {
        this.#refuse(
          from,
          "Invalid",
          `is kept as '${attribute.slice(0, NAME_CHARS_MAX)}', which is not the name of a CloudEvents extension: use 1 to ${NAME_CHARS_MAX} of a-z and 0-9`,
        );
      } else if (OWN_ATTRIBUTES.has(attribute)) {
        this.#refuse(
          from,
          "NotSupported",
          `is kept as '${attribute}', which every event has or which has a meaning of its own: choose another name`,
        );
      } else if (seen.has(attribute))
        this.#refuse(from, "Duplicate", `is kept as '${attribute}', and so is another one: choose another name`);
      seen.add(attribute);
    }
  }

  #text(field: Field): string | undefined {
    const value = this.#object[field];
    if (typeof value === "string") return value;
    this.#refuse(field, "TypeInvalid", "must be a string");
    return undefined;
  }

  /** A list of strings; one string is a list of one. */
  #texts(field: Field, max: number): readonly string[] {
    const value = this.#object[field];
    if (value === undefined) return [];
    const list = typeof value === "string" ? [value] : value;
    if (!Array.isArray(list) || !list.every((one) => typeof one === "string")) {
      this.#refuse(field, "TypeInvalid", "must be a list of strings");
      return [];
    }
    if (list.length > max) this.#refuse(field, "TooMany", `has ${list.length} entries; at most ${max} are allowed`);
    return [...new Set(list)];
  }

  /** An object: what the caller calls it, and the attribute that it becomes. */
  #names(field: "headers" | "query"): readonly KeptName[] {
    const value = this.#object[field];
    if (value === undefined) return [];
    if (!isJsonObject(value) || !Object.values(value).every((one) => typeof one === "string")) {
      this.#refuse(
        field,
        "TypeInvalid",
        `must be an object such as {${field === "headers" ? "X-GitHub-Event: githubevent" : "env: env"}}: what is kept, and the event's extension that it becomes`,
      );
      return [];
    }
    const names = Object.entries(value).flatMap(([from, attribute]) => (typeof attribute === "string" ? { from, attribute } : []));
    if (names.length > KEPT_MAX) this.#refuse(field, "TooMany", `has ${names.length} entries; at most ${KEPT_MAX} are allowed`);
    const twice = names.find(
      ({ from }, at) => field === "headers" && names.findIndex((one) => one.from.toLowerCase() === from.toLowerCase()) < at,
    );
    if (twice !== undefined)
      this.#refuse(`headers.${twice.from}`, "Duplicate", "appears twice (names are compared without case): keep one");
    return names;
  }
}

function failed(field: string, reason: Reason, message: string): { readonly ok: false; readonly problems: readonly Problem[] } {
  return { ok: false, problems: [problem(HOOKS_FIELD, reason, `the annotation ${HOOKS_ANNOTATION}${field} ${message}`)] };
}

function problem(field: string, reason: Reason, message: string): Problem {
  return { field, reason, message };
}

function local(name: string): string {
  return name.slice(PREFIX.length);
}
