/** Pieces after which counting stops: far more than any program that is taken could come from. */
const ENOUGH = 1_000_000;

/**
 * About how many instructions a regular expression will have at least, from its text alone: each character, class and escape once for every copy that
 * the repeats around it make. Read before compiling, which takes its time by the copies (`.{0,999}` is a thousand). Knows just enough of the syntax
 * for that; whether it is a regular expression at all is for RE2 to say.
 */
export function copiesIn(pattern: string): number {
  const open: { sum: number; last: number }[] = [{ sum: 0, last: 0 }];
  let at = 0;
  while (at < pattern.length) {
    const level = open.at(-1)!;
    const char = pattern[at]!;
    const repeat = char === "{" ? /^\{(\d+)(?:(,)(\d*))?\}/.exec(pattern.slice(at, at + 24)) : null;
    if (repeat !== null) {
      const copies = Math.max(Number(repeat[1]), Number(repeat[3] ?? 0), repeat[2] !== undefined && repeat[3] === "" ? 1 : 0);
      level.sum = Math.min(ENOUGH, level.sum + level.last * (copies - 1));
      level.last = Math.min(ENOUGH, level.last * copies);
      at += repeat[0].length;
    } else if (char === "(") {
      open.push({ sum: 0, last: 0 });
      at += groupHead(pattern, at);
    } else if (char === ")" && open.length > 1) {
      const { sum } = open.pop()!;
      const around = open.at(-1)!;
      around.last = sum;
      around.sum = Math.min(ENOUGH, around.sum + sum);
      at += 1;
    } else {
      const length = atomLength(pattern, at);
      const counts = "|*+?".includes(char) ? 0 : 1;
      if (counts > 0) level.last = counts;
      level.sum += counts;
      at += length;
    }
  }
  return open.reduce((all, { sum }) => all + sum, 0);
}

/** `(`, `(?:`, `(?i:`, `(?P<name>`. */
function groupHead(pattern: string, at: number): number {
  return /^\((?:\?(?:P?<\w*>|[a-zA-Z-]*:?))?/.exec(pattern.slice(at, at + 64))?.[0].length ?? 1;
}

/** A character, an escape, or a whole class. */
function atomLength(pattern: string, at: number): number {
  if (pattern[at] === "\\") return /^\\(?:[pPx]\{[^}]*\}|[pP].|.|$)/s.exec(pattern.slice(at, at + 48))?.[0].length ?? 1;
  if (pattern[at] !== "[") return 1;
  let end = at + 1;
  if (pattern[end] === "^") end += 1;
  if (pattern[end] === "]") end += 1;
  while (end < pattern.length && pattern[end] !== "]") {
    if (pattern[end] === "\\") end += 2;
    else if (pattern.startsWith("[:", end)) end = endOfNamed(pattern, end);
    else end += 1;
  }
  return end + 1 - at;
}

/** `[:alpha:]`. */
function endOfNamed(pattern: string, at: number): number {
  const close = pattern.indexOf(":]", at + 2);
  return close < 0 ? at + 1 : close + 2;
}
