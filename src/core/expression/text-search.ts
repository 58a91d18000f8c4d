/** The longest needle that V8 finds in linear time: of longer ones its Boyer-Moore looks at the last 250 characters only, and may then take length x length. */
const NATIVE_CHARS_MAX = 250;

/** How many characters a search looks at, in those that V8 does at its own pace. */
export function searchedChars(text: string, needle: string): number {
  return needle.length <= NATIVE_CHARS_MAX ? 2 * text.length : 4 * text.length + 6 * needle.length;
}

/** Whether a text contains another, in time that grows with their lengths whatever they hold (Knuth, Morris and Pratt for the long ones). */
export function containsText(text: string, needle: string): boolean {
  if (needle.length <= NATIVE_CHARS_MAX) return text.includes(needle);
  if (needle.length > text.length) return false;
  const borders = bordersOf(needle);
  let held = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    while (held > 0 && needle.charCodeAt(held) !== code) held = borders[held - 1]!;
    if (needle.charCodeAt(held) === code) held += 1;
    if (held === needle.length) return true;
  }
  return false;
}

/** For each beginning of a text how much of its end is also its beginning. */
function bordersOf(text: string): Int32Array {
  const borders = new Int32Array(text.length);
  for (let at = 1, held = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    while (held > 0 && text.charCodeAt(held) !== code) held = borders[held - 1]!;
    if (text.charCodeAt(held) === code) held += 1;
    borders[at] = held;
  }
  return borders;
}
