import { type Colour, linesOf, painted, shown, Shown } from "../terminal.ts";

/** One column of a table. */
export interface Column<T> {
  readonly title: string;
  readonly text: (row: T) => string;
  readonly colour?: (row: T) => Colour | undefined;
  /** Numbers stand below each other. */
  readonly right?: boolean;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
  /** May be shortened to this many columns where the terminal is too narrow, `first` ones before others; where: at the end, or in the middle. */
  readonly shrink?: { readonly to: number; readonly first: number; readonly at: "end" | "middle" };
}

export interface TableSetting {
  readonly wide: boolean;
  readonly headers: boolean;
  readonly colours: boolean;
  /** Columns of the terminal; undefined = as wide as it gets, because it is not read on one. */
  readonly columns: number | undefined;
}

const GAP = 2;

/** A table, each row a line. Widths are those of the rows given; `before` are those of an earlier page, so that pages stand below each other. */
export class Table<T> {
  readonly #columns: readonly Column<T>[];
  readonly #setting: TableSetting;
  #widths: number[] | undefined;

  constructor(columns: readonly Column<T>[], setting: TableSetting) {
    this.#columns = columns.filter(({ wide }) => setting.wide || wide !== true);
    this.#setting = setting;
  }

  /** The lines of one more page; the first page has the titles. */
  page(rows: readonly T[]): Shown[] {
    const cells = rows.map((row) => this.#columns.map(({ text }) => oneLine(text(row))));
    const isFirst = this.#widths === undefined;
    const widths = (this.#widths ??= this.#widthsFor(cells));
    const titles =
      isFirst && this.#setting.headers
        ? [
            this.#line(
              this.#columns.map(({ title }) => title),
              widths,
            ),
          ]
        : [];
    return [...titles, ...cells.map((row, at) => this.#line(row, widths, rows[at]))];
  }

  #widthsFor(cells: readonly (readonly string[])[]): number[] {
    const { headers, wide, columns } = this.#setting;
    const widths = this.#columns.map(({ title }, at) =>
      Math.max(headers ? title.length : 0, ...cells.map((row) => textWidth(row[at] ?? ""))),
    );
    if (columns === undefined || wide) return widths;
    const order = this.#columns.map(({ shrink }, at) => ({ at, shrink })).filter(({ shrink }) => shrink !== undefined);
    order.sort((a, b) => (a.shrink?.first ?? 0) - (b.shrink?.first ?? 0));
    let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - columns;
    for (const { at, shrink } of order) {
      const before = widths[at] ?? 0;
      const after = Math.min(before, Math.max(shrink?.to ?? 0, before - Math.max(0, excess)));
      widths[at] = after;
      excess -= before - after;
    }
    return widths;
  }

  #line(cells: readonly string[], widths: readonly number[], row?: T): Shown {
    const last = cells.length - 1;
    const parts = cells.map((cell, at) => {
      const { right, colour, shrink } = this.#columns[at] ?? { title: "", text: () => "" };
      const width = widths[at] ?? 0;
      const fits = shrink === undefined ? cell : shortened(cell, width, shrink.at);
      const pad = " ".repeat(Math.max(0, width - textWidth(fits)));
      const paint = row === undefined ? undefined : colour?.(row);
      const text = paint === undefined ? shown`${fits}` : painted(paint, shown`${fits}`, this.#setting.colours);
      if (right === true) return shown`${pad}${text}`;
      return at === last ? text : shown`${text}${pad}`;
    });
    return new Shown(
      parts
        .map(({ text }) => text)
        .join(" ".repeat(GAP))
        .trimEnd(),
    );
  }
}

/** Pairs, the names below each other. */
export function pairsText(pairs: readonly (readonly [name: string, value: string])[]): Shown {
  const given = pairs.filter(([, value]) => value !== "");
  const width = Math.max(0, ...given.map(([name]) => name.length)) + 1;
  return linesOf(given.map(([name, value]) => shown`${`${name}:`.padEnd(width)}  ${value}`));
}

/** As it will be shown, so that it is measured as what is seen. */
function oneLine(text: string): string {
  return shown`${text.replaceAll(/\s*\n\s*/g, " ")}`.text;
}

/** At most `width` columns, with an ellipsis for what is left out. */
export function shortened(text: string, width: number, at: "end" | "middle"): string {
  if (textWidth(text) <= width) return text;
  if (width < 1) return "";
  const tail = at === "middle" ? Math.floor((width - 1) / 2) : 0;
  return `${taken(Array.from(text), width - 1 - tail)}…${taken(Array.from(text).toReversed(), tail, true)}`;
}

function taken(chars: readonly string[], width: number, backwards = false): string {
  let used = 0;
  const kept: string[] = [];
  for (const char of chars) {
    used += charWidth(char);
    if (used > width) break;
    kept.push(char);
  }
  return (backwards ? kept.toReversed() : kept).join("");
}

/** Columns that a terminal gives to text: East Asian wide characters and pictures have two, marks that join the one before them none. */
export function textWidth(text: string): number {
  // Ids, times and words of ours, which most cells are.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

const NO_WIDTH = /^[\p{Mn}\p{Me}]$/u;
const PICTURE = /^\p{Emoji_Presentation}$/u;
/** Unicode's East Asian Width W and F, by the blocks that they fill (UAX 11). */
const WIDE: readonly (readonly [from: number, to: number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6b],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18aff],
  [0x1b000, 0x1b2fb],
  [0x20000, 0x3fffd],
];

function charWidth(char: string): number {
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (NO_WIDTH.test(char)) return 0;
  return PICTURE.test(char) || WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}
