import { describe, expect, it } from "vitest";
import { type Column, pairsText, shortened, Table, textWidth } from "../../../../src/cli/api/table.ts";

interface Row {
  readonly id: string;
  readonly n: number;
  readonly url: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "ID", text: ({ id }) => id, shrink: { to: 5, first: 2, at: "middle" } },
  { title: "N", text: ({ n }) => String(n), right: true, colour: ({ n }) => (n > 9 ? "red" : undefined) },
  { title: "URL", text: ({ url }) => url, shrink: { to: 4, first: 1, at: "end" } },
  { title: "MORE", text: () => "more", wide: true },
];
const ROWS: readonly Row[] = [
  { id: "abcdefghij", n: 1, url: "https://example.com/hooks" },
  { id: "x", n: 100, url: "" },
];
const lines = (rows: readonly Row[], setting: Partial<ConstructorParameters<typeof Table>[1]> = {}): string[] =>
  new Table(COLUMNS, { wide: false, headers: true, colours: false, columns: undefined, ...setting }).page(rows).map(({ text }) => text);

describe("a table", () => {
  it("is as wide as it gets where it is read by no terminal, without blanks at the end of a line", () => {
    expect(lines(ROWS)).toEqual(["ID            N  URL", "abcdefghij    1  https://example.com/hooks", "x           100"]);
  });

  it.each([
    [80, "abcdefghij    1  https://example.com/hooks"],
    [30, "abcdefghij    1  https://exam…"],
    [21, "abcdefghij    1  htt…"],
    [18, "abc…hij    1  htt…"],
    [5, "ab…ij    1  htt…"],
  ])("fits %i columns as far as it can: first the URL is shortened, then the id", (columns, line) => {
    expect(lines(ROWS, { columns })[1]).toBe(line);
  });

  it("shortens nothing with -o wide, and has more columns", () => {
    expect(lines(ROWS, { columns: 20, wide: true })[1]).toBe("abcdefghij    1  https://example.com/hooks  more");
  });

  it("has no titles where none are wanted, and colours cells without moving them", () => {
    expect(lines(ROWS, { headers: false })).toHaveLength(2);
    expect(lines(ROWS, { colours: true, headers: false })[1]).toBe("x           \u001b[31m100\u001b[0m");
  });

  it("lets no cell begin a line, move the cursor or be measured as what it is not", () => {
    const hostile = { id: "a\nb\u001b[2J\u202e", n: 1, url: "u" };
    expect(lines([hostile], { headers: false })).toEqual(["a b·[2J·  1  u"]);
    expect(
      lines(
        [
          { id: "日本", n: 1, url: "u" },
          { id: "abcd", n: 1, url: "u" },
        ],
        { headers: false },
      ),
    ).toEqual(["日本  1  u", "abcd  1  u"]);
  });

  it("keeps its widths over pages", () => {
    const table = new Table(COLUMNS, { wide: false, headers: true, colours: false, columns: undefined });
    table.page(ROWS);
    expect(table.page([ROWS[1]!]).map(({ text }) => text)).toEqual(["x           100"]);
  });
});

it.each([
  ["abc", 3],
  ["é", 1],
  ["e\u0301", 1],
  ["日本語", 6],
  ["한글", 4],
  ["🙂", 2],
  ["ｆ", 2],
  ["…", 1],
])("%s has %i columns", (text, width) => {
  expect(textWidth(text)).toBe(width);
});

it.each([
  ["abcdef", 6, "end", "abcdef"],
  ["abcdef", 4, "end", "abc…"],
  ["abcdef", 4, "middle", "ab…f"],
  ["abcdef", 1, "middle", "…"],
  ["abcdef", 0, "end", ""],
  ["日本語", 4, "end", "日…"],
  ["日本語", 5, "middle", "日…語"],
] as const)("%s in %i columns, shortened at the %s, is %s", (text, width, at, expected) => {
  expect(shortened(text, width, at)).toBe(expected);
});

it("pairs stand below each other; those without a value are left out", () => {
  expect(
    pairsText([
      ["A", "1"],
      ["Longer", "x\ny"],
      ["None", ""],
    ]).text,
  ).toBe("A:       1\nLonger:  x\n   y");
});
