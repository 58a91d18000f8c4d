/**
 * Characters that move the cursor, turn the direction of writing, end a line or are not seen at all, so that what is shown is not what is there: controls
 * (ESC among them), format characters (bidi, zero width), line and paragraph separators, halves of surrogate pairs, and what Unicode calls
 * ignorable by default. The one list for logs, conditions and terminals.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]+/gu;

/** The text with each run of such characters, line ends among them, replaced; `how` gets the run. */
export function replaceUnseen(text: string, how: string | ((run: string) => string)): string {
  return typeof how === "string" ? text.replaceAll(UNSEEN, () => how) : text.replaceAll(UNSEEN, how);
}
