/** The version of W3C Trace Context (https://www.w3.org/TR/trace-context/, 3.2) that is spoken here. */
const VERSION = "00";
/** version, trace-id, parent-id, trace-flags; a later version may go on after another hyphen. Version ff and ids of zeros alone are invalid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=$|-)/;
const CHARS = 55;
const SAMPLED = 0x01;

/**
 * The traceparent to pass on for one that was received; undefined where that is invalid. One of a later version is read as far as this version knows it
 * (3.2.4) and written as this version: of its flags only `sampled` is known.
 */
export function passedOn(traceparent: string): string | undefined {
  if (!TRACEPARENT.test(traceparent)) return undefined;
  if (traceparent.startsWith(VERSION)) return traceparent.length === CHARS ? traceparent : undefined;
  const isSampled = (Number.parseInt(traceparent.slice(CHARS - 2, CHARS), 16) & SAMPLED) !== 0;
  return `${VERSION}${traceparent.slice(2, CHARS - 2)}${isSampled ? "01" : "00"}`;
}

/** The id of the trace that a traceparent names; undefined where there is none, or it is invalid. */
export function traceIdOf(traceparent: unknown): string | undefined {
  if (typeof traceparent !== "string") return undefined;
  const valid = passedOn(traceparent);
  return valid?.slice(TRACE_ID_AT, TRACE_ID_AT + TRACE_ID_CHARS);
}

const TRACE_ID_AT = 3;
const TRACE_ID_CHARS = 32;
