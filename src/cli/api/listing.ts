import { wantsColour } from "../colour.ts";
import { CommandFailure } from "../program.ts";
import { complain, readerGone, shown, shownJsonText, tell, terminalColumns } from "../terminal.ts";
import { type ApiClient, type ApiParameters, ApiRefusal } from "./api-client.ts";
import { type ExactJson, exactText, parseExact, yamlLines } from "./exact-json.ts";
import type { Format, OutputFlags } from "./list-flags.ts";
import { type Column, Table, type TableSetting } from "./table.ts";

/** A kind of thing that the API lists. */
export interface Kind<T> {
  readonly singular: string;
  readonly plural: string;
  /** What `-o name` prints behind the slash. */
  readonly idOf: (item: T) => string;
  readonly columns: (utc: boolean) => readonly Column<T>[];
}

/** A page of a list: each item as it was written, and as a value. */
export interface Page<T> {
  readonly exact: readonly ExactJson[];
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

export interface Query {
  readonly client: ApiClient;
  readonly path: string;
  readonly parameters: ApiParameters;
  /** It is always whole: no `limit`, no `cursor`. */
  readonly unpaged?: true;
  /** Parameters that an older operator does not know and that can be done without. */
  readonly optional?: ApiParameters;
}

/** Items on a page, at most. */
const PAGE_MAX = 500;
/** Pages that a list without `--all` looks at for something that is rare: each is about 20,000 rows of the store. */
const LOOKS_MAX = 25;
const INDENT = 2;

/** Pages of a list, one after the other, until `limit` items were found. A page may be empty and have a next one all the same. */
export async function* pagesOf<T>({ client, path, parameters, optional = {}, unpaged }: Query, limit: number): AsyncGenerator<Page<T>> {
  let cursor: string | undefined;
  let extra = optional;
  for (let left = limit; left > 0;) {
    const wish = unpaged === true ? parameters : { ...parameters, limit: String(Math.min(left, PAGE_MAX)), cursor };
    let text: string;
    try {
      text = await client.get(path, { ...wish, ...extra });
    } catch (error) {
      if (!isUnknownParameter(error, extra)) throw error;
      extra = {};
      text = await client.get(path, wish);
    }
    const page = pageOf<T>(text);
    yield page;
    left -= page.items.length;
    if (page.nextCursor === null) return;
    cursor = page.nextCursor;
  }
}

function isUnknownParameter(error: unknown, optional: ApiParameters): boolean {
  if (!(error instanceof ApiRefusal) || error.problem !== "parameter_invalid") return false;
  return Object.keys(optional).some((name) => error.detail.startsWith(`${name} is not a parameter`));
}

/** @throws CommandFailure where it is no list of ours */
export function pageOf<T>(text: string): Page<T> {
  const exact = parsedAnswer(text);
  const plain = JSON.parse(text) as { items?: unknown; nextCursor?: unknown };
  const items = typeof exact === "object" && exact !== null && "items" in exact ? exact["items"] : undefined;
  if (!Array.isArray(items) || !Array.isArray(plain.items)) throw notOurs(text);
  const nextCursor = typeof plain.nextCursor === "string" ? plain.nextCursor : null;
  return { exact: items as readonly ExactJson[], items: plain.items as T[], nextCursor };
}

/** An answer, or what to say of one that broke off. @throws CommandFailure */
export function parsedAnswer(text: string): ExactJson {
  try {
    return parseExact(text);
  } catch {
    throw notOurs(text);
  }
}

function notOurs(text: string): CommandFailure {
  return new CommandFailure(`the answer is not one of the API, or it broke off: ${text.slice(0, 200)}`);
}

/** Where the output goes, as far as a table cares. */
export function tableSetting({ output, headers, color }: OutputFlags): TableSetting {
  return { wide: output === "wide", headers, colours: wantsColour(color, process.stdout), columns: terminalColumns() };
}

export interface ListOrder<T> {
  readonly query: Query;
  readonly kind: Kind<T>;
  readonly flags: OutputFlags & { readonly limit?: number; readonly all?: boolean };
  /** ` in shop`: behind "No deliveries found". */
  readonly where: string;
}

/** Writes a list in the format that was asked for: data to stdout, everything else to stderr. @returns how many were written */
export async function printList<T>({ query, kind, flags, where }: ListOrder<T>): Promise<number> {
  const limit = flags.all === true ? Number.POSITIVE_INFINITY : (flags.limit ?? Number.POSITIVE_INFINITY);
  const writer = writerOf(kind, flags);
  let found = 0;
  let looks = 0;
  let nextCursor: string | null = null;
  for await (const page of pagesOf<T>(query, limit)) {
    found += page.items.length;
    nextCursor = page.nextCursor;
    writer.page(page);
    if (readerGone()) return found;
    if (flags.all !== true && (looks += 1) >= LOOKS_MAX) break;
  }
  writer.end(nextCursor);
  if (found === 0) complain(shown`No ${kind.plural} found${where}.`);
  if (nextCursor !== null && found < limit)
    complain(
      shown`Only the newest part of the history was looked at, because few rows fit: --since shortens the search, --all looks at everything.`,
    );
  else if (nextCursor !== null && isForPeople(flags.output)) complain(shown`There are more: --limit N or --all shows them.`);
  return found;
}

function isForPeople(output: Format): boolean {
  return output === "table" || output === "wide";
}

interface Writer<T> {
  page(page: Page<T>): void;
  end(nextCursor: string | null): void;
}

function writerOf<T>(kind: Kind<T>, flags: OutputFlags): Writer<T> {
  const nothing = (): void => undefined;
  switch (flags.output) {
    case "jsonl":
      return { page: ({ exact }) => exact.forEach((item) => tell(shownJsonText(exactText(item)))), end: nothing };
    case "name":
      return { page: ({ items }) => items.forEach((item) => tell(shown`${kind.singular}/${kind.idOf(item)}`)), end: nothing };
    case "json":
    case "yaml":
      return wholeWriter(flags.output);
    default: {
      const table = new Table(kind.columns(flags.utc === true), tableSetting(flags));
      return { page: ({ items }) => (items.length === 0 ? undefined : table.page(items).forEach((line) => tell(line))), end: nothing };
    }
  }
}

/** One document, `{items, nextCursor}`, as the API has it: written at the end, because YAML and JSON have one. */
function wholeWriter<T>(format: "json" | "yaml"): Writer<T> {
  const items: ExactJson[] = [];
  return {
    page: ({ exact }) => void items.push(...exact),
    end: (nextCursor) => printExact({ items, nextCursor }, format),
  };
}

/** One thing, in a format for programs. */
export function printExact(value: ExactJson, format: "json" | "jsonl" | "yaml"): void {
  if (format === "yaml") for (const line of yamlLines(value)) tell(shownJsonText(line));
  else tell(shownJsonText(exactText(value, format === "json" ? INDENT : 0)));
}
