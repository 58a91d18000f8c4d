const CELL_CHARS_MAX = 60;

/** Rows in columns as wide as their widest cell; control characters of the cells are shown as dots. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => shortened(cell)));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  const [first = [], ...others] = cells;
  return [line(first), widths.map((width) => "─".repeat(width)).join("  "), ...others.map(line)].map((text) => text.trimEnd()).join("\n");
}

/** One line of text from what a stranger sent. */
export function shortened(text: string, charsMax = CELL_CHARS_MAX): string {
  const plain = text.replaceAll(/\p{Cc}+/gu, "·");
  return plain.length > charsMax ? `${plain.slice(0, charsMax - 1)}…` : plain;
}
