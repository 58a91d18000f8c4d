import type { DataKind, Extensions, ExtensionValue } from "../core/event.ts";
import { EVENT_TYPE_CHARS_MAX } from "../core/event.ts";
import { isDateTime, isTimestamp } from "../core/instant.ts";
import { parseMediaType } from "./media-type.ts";
import { type Checked, type Refusal, refuse, refused } from "./refusal.ts";

/** An event as the producer wrote it, before it has our id. */
export interface EventDraft {
  /** Undefined for the short form. */
  readonly identity: { readonly id: string; readonly source: string } | undefined;
  readonly type: string;
  readonly subject: string | undefined;
  readonly time: string | undefined;
  readonly dataContentType: string | undefined;
  readonly dataKind: DataKind;
  /** Still a view into the request's body. */
  readonly data: Uint8Array;
  readonly extensions: Extensions;
  /** What names it among the producer's events of its type: a header that the owner of a hook's token has chosen. */
  readonly hookKey?: string | undefined;
}

/** Longest `id`, `source`, `subject`, `datacontenttype` or extension value, in characters. */
const ATTRIBUTE_CHARS_MAX = 2_048;
/** Longest extension name, in characters. */
const ATTRIBUTE_NAME_CHARS_MAX = 64;
const EXTENSIONS_MAX = 64;

export const NO_DATA = new Uint8Array(0);

const NAME = /^[a-z0-9]+$/;
/** CloudEvents "String": no control characters, no lone surrogates (they could not be sent on in a header). */
// oxlint-disable-next-line no-control-regex -- refusing control characters is the point
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
/** RFC 3339 bounds no fraction; nanoseconds are the finest that most receivers read. */
const TOO_FINE = /\.\d{10}/;

/** The attributes of one event, gathered from a JSON envelope or from headers; `at` says where an attribute is. */
export class AttributeReader {
  readonly #values: ReadonlyMap<string, ExtensionValue>;
  readonly #at: (name: string) => Pick<Refusal, "pointer">;
  readonly #called: (name: string) => string;

  constructor(
    values: ReadonlyMap<string, ExtensionValue>,
    at: (name: string) => Pick<Refusal, "pointer">,
    called: (name: string) => string,
  ) {
    this.#values = values;
    this.#at = at;
    this.#called = called;
  }

  /** Reads everything but the data. */
  read(): Checked<Omit<EventDraft, "dataKind" | "data">> {
    const version = this.#values.get("specversion");
    if (version === undefined) return this.#missing("specversion", 'write "1.0"');
    if (version !== "1.0") {
      return refused(
        "specversion_unsupported",
        `${this.#called("specversion")} is not "1.0", the supported version.`,
        this.#at("specversion"),
      );
    }
    for (const name of ["id", "source", "type"]) {
      if (!this.#values.has(name)) return this.#missing(name, "every CloudEvent requires id, source, specversion and type");
    }
    const extensions: Record<string, ExtensionValue> = {};
    let count = 0;
    for (const [name, value] of this.#values) {
      const wrong = this.#check(name, String(value));
      if (wrong !== undefined) return { ok: false, refusal: wrong };
      if (CORE.has(name)) continue;
      extensions[name] = value;
      if (++count > EXTENSIONS_MAX) return refused("event_invalid", `The event has more than ${EXTENSIONS_MAX} extension attributes.`);
    }
    return {
      ok: true,
      value: {
        identity: { id: this.#text("id") ?? "", source: this.#text("source") ?? "" },
        type: this.#text("type") ?? "",
        subject: this.#text("subject"),
        time: this.#text("time"),
        dataContentType: this.#text("datacontenttype"),
        extensions,
      },
    };
  }

  #text(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : String(value);
  }

  #missing(name: string, advice: string): Checked<never> {
    return refused("attribute_missing", `${this.#called(name)} is missing: ${advice}.`, this.#at(name));
  }

  #check(name: string, value: string): Refusal | undefined {
    const message = attributeMistake(name, value);
    return message === undefined ? undefined : refuse("attribute_invalid", `${this.#called(name)} ${message}.`, this.#at(name));
  }
}

/** Attributes with a field of their own; `dataschema` travels with the extensions. */
const CORE: ReadonlySet<string> = new Set(["specversion", "id", "source", "type", "subject", "time", "datacontenttype"]);
const NEVER_EMPTY: ReadonlySet<string> = new Set(["id", "source", "type", "subject", "dataschema"]);

/** What is wrong with an attribute, as the end of a sentence; undefined = nothing. */
export function attributeMistake(name: string, value: string): string | undefined {
  if (!NAME.test(name)) return "is not an attribute name: use only the letters a-z and digits";
  if (name.length > ATTRIBUTE_NAME_CHARS_MAX) return `has a name longer than ${ATTRIBUTE_NAME_CHARS_MAX} characters`;
  const max = name === "type" ? EVENT_TYPE_CHARS_MAX : ATTRIBUTE_CHARS_MAX;
  if (value.length > max) return `is longer than ${max} characters`;
  if (value === "" && NEVER_EMPTY.has(name)) return "is empty";
  if (CONTROL.test(value) || !value.isWellFormed()) return "contains a control character or a lone surrogate";
  if ((name === "source" || name === "type") && /\s/.test(value)) return "contains white space";
  if (name === "time" && (!isDateTime(value) || TOO_FINE.test(value))) return "is not an RFC 3339 time such as 2026-01-31T12:00:00Z";
  if (name === "time" && !isTimestamp(value)) return "is not a time of the years 0001 to 9999 (UTC)";
  if (name === "datacontenttype" && parseMediaType(value) === undefined) return "is not a media type such as application/json";
  return undefined;
}
