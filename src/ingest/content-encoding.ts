/** What callers write who mean a charset (RFC 9110 8.3.2) or nothing at all; of those that cannot be changed it is not worth an event. */
const MEANT_OTHERWISE: ReadonlySet<string> = new Set(["none", "utf-8", "utf8", "us-ascii", "ascii", "8bit", "binary"]);
/** Of what was sent, in a message. */
const SHOWN_CHARS_MAX = 40;

/**
 * Why a body of this Content-Encoding is not read, or undefined. An empty list and `identity` say that nothing was done to it (RFC 9110 8.4: no member of an
 * empty list). `isHook`: the caller cannot be changed, so what names a charset or nothing is read as nothing too.
 */
export function encodingMistake(value: string, isHook: boolean): string | undefined {
  const codings = value.split(",").map((coding) => coding.trim().toLowerCase());
  const isNone = (coding: string): boolean => coding === "" || coding === "identity" || (isHook && MEANT_OTHERWISE.has(coding));
  const first = codings.find((coding) => !isNone(coding));
  if (first === undefined) return undefined;
  const shown = first.slice(0, SHOWN_CHARS_MAX).replaceAll(/[^\u0020-\u007e]/g, "?");
  if (MEANT_OTHERWISE.has(first))
    return `Content-Encoding is '${shown}', which names no compression: leave it out, and write a charset into Content-Type.`;
  return `Content-Encoding is '${shown}': send the body uncompressed.`;
}
