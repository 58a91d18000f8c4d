import { isDeepStrictEqual } from "node:util";
import { decimalOf, type Decimal } from "../core/decimal.ts";
import type { Event } from "../core/event.ts";
import { multipartAsJson } from "../core/event-data.ts";
import { isUtf8Charset, parseMediaType } from "./media-type.ts";

/**
 * Whether two events say the same, however each was spelled: CloudEvents' modes, a charset that is UTF-8 anyway, white space, the order of members and the
 * spelling of numbers and characters make no other event, nor does another boundary between the parts of a form. What is not JSON is the same when its
 * bytes are.
 */
export function sameMeaning(a: Event, b: Event): boolean {
  if (a.type !== b.type || a.subject !== b.subject || a.dataKind !== b.dataKind) return false;
  if (mediaTypeOf(a) !== mediaTypeOf(b)) return false;
  const [parts, others] = [multipartAsJson(a), multipartAsJson(b)];
  if (parts !== undefined && others !== undefined) return isDeepStrictEqual(valueOf(Buffer.from(parts)), valueOf(Buffer.from(others)));
  if (Buffer.compare(a.data, b.data) === 0) return true;
  return a.dataKind === "json" && isDeepStrictEqual(valueOf(a.data), valueOf(b.data));
}

/** The media type without what says nothing; as it is where it is none. */
function mediaTypeOf({ dataContentType, dataKind }: Event): string {
  if (dataContentType === undefined) return dataKind === "json" ? "application/json" : "";
  const media = parseMediaType(dataContentType);
  if (media === undefined) return dataContentType;
  return isUtf8Charset(media.charset) ? media.essence : `${media.essence};charset=${media.charset}`;
}

/** A number by its value: no two of them are mixed up by what a double can hold, and no object of the data is one. */
class ExactNumber {
  readonly decimal: Decimal;

  constructor(source: string) {
    this.decimal = decimalOf(source);
  }
}

interface Source {
  readonly source?: string;
}

/** The JSON's value, of numbers the exact one. The text has been judged when it came in. */
function valueOf(data: Uint8Array): unknown {
  return JSON.parse(Buffer.from(data).toString(), (_key, value: unknown, context?: Source) =>
    typeof value === "number" ? new ExactNumber(context?.source ?? String(value)) : value,
  ) as unknown;
}
