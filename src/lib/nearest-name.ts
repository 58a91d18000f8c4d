/** Words longer than this are compared by their beginning: distance costs their lengths multiplied. */
const CHARS_MAX = 64;

/** The name that was probably meant by a misspelt one: a third of its letters may be wrong, missing, too many or swapped. Case does not count. */
export function nearestName(written: string, names: Iterable<string>): string | undefined {
  const word = plain(written);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const other = plain(name);
    const isLonger = word.startsWith(other) && word.length <= 2 * other.length;
    const isPart = word.length >= 3 && other.length >= 3 && (other.startsWith(word) || isLonger);
    const distance = isPart ? 0.5 : editDistance(word, other);
    const most = Math.max(1, Math.floor(Math.max(word.length, other.length) / 3));
    if ((isPart || distance <= most) && distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** `, did you mean x?`, or nothing. */
export function didYouMean(written: string, names: Iterable<string>): string {
  const name = nearestName(written, names);
  return name === undefined ? "" : `, did you mean ${name}?`;
}

function plain(text: string): string {
  return text.slice(0, CHARS_MAX).toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** Edits (insert, delete, replace, swap of neighbours) between two words: optimal string alignment. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
