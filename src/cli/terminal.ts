import { replaceUnseen } from "../lib/unseen.ts";

/** Stands for each character that is not shown. */
const MARK = "\u00b7";
const COLOURS = { green: 32, yellow: 33, red: 31, cyan: 36, dim: 2, bold: 1 } as const;
export type Colour = keyof typeof COLOURS;

/** Text that a terminal may be given: made by this file alone, so that nothing from outside moves the cursor, turns the writing round or passes for another line. */
export class Shown {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What stands in the source is ours and stays; what is put in is made harmless, unless it is Shown already. Further lines of it are indented. */
export function shown(strings: TemplateStringsArray, ...values: readonly (string | number | Shown)[]): Shown {
  const parts = values.map((value) => (value instanceof Shown ? value.text : typeof value === "string" ? harmless(value) : String(value)));
  return new Shown(String.raw({ raw: strings }, ...parts));
}

/** Lines one below the other. */
export function linesOf(lines: readonly Shown[]): Shown {
  return new Shown(lines.map(({ text }) => text).join("\n"));
}

/** In a colour, where there are some. */
export function painted(colour: Colour, what: Shown, colours: boolean): Shown {
  return colours ? new Shown(`\u001b[${COLOURS[colour]}m${what.text}\u001b[0m`) : what;
}

/** A value as JSON on one line, for programs: the same value, with what a terminal would obey written as escapes. */
export function shownJson(value: unknown): Shown {
  return new Shown(escaped(JSON.stringify(value)));
}

/** JSON as somebody else wrote it, likewise. */
export function shownJsonText(text: string): Shown {
  return new Shown(escaped(text));
}

/** Writes a line to standard output. */
export function tell(line: Shown): void {
  if (!hasLeft) process.stdout.write(`${line.text}\n`);
}

let hasLeft = false;
let mayLeave = false;

/** `| head`: who reads stdout may leave before everything is written, which is no error. From then on nothing is written. */
export function allowReaderToLeave(): void {
  if (mayLeave) return;
  mayLeave = true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    hasLeft = true;
  });
}

/** There is nobody left to write for. */
export function readerGone(): boolean {
  return hasLeft;
}

/** Columns of the terminal behind stdout; undefined where there is none. */
export function terminalColumns(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined;
}

/** Writes a line to standard error. */
export function complain(line: Shown): void {
  process.stderr.write(`${line.text}\n`);
}

/** Text of several lines that ends its last one itself, to standard output. */
export function tellWhole(text: string): void {
  process.stdout.write(lineByLine(text));
}

/** Likewise to standard error. */
export function complainWhole(text: string): void {
  process.stderr.write(lineByLine(text));
}

function lineByLine(text: string): string {
  return text.split("\n").map(harmless).join("\n");
}

function harmless(text: string): string {
  return replaceUnseen(text, (run) => Array.from(run, (one) => (one === "\n" ? "\n   " : MARK)).join(""));
}

/** White space between the values stays: within texts JSON has none but the space. */
function escaped(json: string): string {
  return replaceUnseen(json, (run) =>
    run.replaceAll(/[^\n\r\t]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`),
  ).replaceAll("\r", "");
}
