const CELL_CHARS_MAX = 60;
/** What fits a terminal that nobody has widened. */
export const LINE_CHARS_MAX = 80;
const COLUMN_CHARS_MIN = 8;
const GAP = "  ";

/** Rows in columns as wide as their widest cell, the widest cut until a line fits; control characters of the cells are shown as dots. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => shortened(cell)));
  const widths = fitting(head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => shortened(cell, widths[column]).padEnd(widths[column] ?? 0)).join(GAP);
  const [first = [], ...others] = cells;
  return [line(first), widths.map((width) => "─".repeat(width)).join(GAP), ...others.map(line)].map((text) => text.trimEnd()).join("\n");
}

function fitting(wanted: readonly number[]): readonly number[] {
  const widths = [...wanted];
  const over = (): number => widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - LINE_CHARS_MAX;
  while (over() > 0) {
    const widest = Math.max(...widths);
    if (widest <= COLUMN_CHARS_MIN) break;
    widths[widths.indexOf(widest)] = widest - 1;
  }
  return widths;
}

/** One line of text from what a stranger sent. */
export function shortened(text: string, charsMax = CELL_CHARS_MAX): string {
  const plain = text.replaceAll(/\p{Cc}+/gu, "·");
  return plain.length > charsMax ? `${plain.slice(0, charsMax - 1)}…` : plain;
}
