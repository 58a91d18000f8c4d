/** Chance by seed, so that what was found is found again. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761 + 1) >>> 0;
  }

  below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * bound);
  }

  of<T>(things: readonly T[]): T {
    return things[this.below(things.length)]!;
  }
}

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_none, i) => make(i));

/** Data of an event that gives an expression as much to do as fits into 256 KiB. */
export function worstData(chance: Chance): string {
  const size = chance.of([10, 60, 500, 3_000, 20_000]);
  const text = chance.of([
    () => "a".repeat(size * 4),
    () => "ab".repeat(size * 2),
    () => "é".repeat(size * 2),
    () => "\u{1f600}".repeat(size),
    () => "9".repeat(size * 4),
    () => times(size, () => chance.of(["a", "b", "0", " ", "\n", "K", "\u212a"])).join(""),
    () => `${"a".repeat(size * 2)}b${"a".repeat(size)}`,
  ])();
  const list = chance.of([
    () => times(size, (i) => i),
    () => times(size, () => 1),
    () => times(size, (i) => i + 0.5),
    () => times(Math.min(size, 8_000), (i) => `text ${i}`),
    () => times(Math.min(size, 8_000), (i) => ({ id: i })),
    () => times(size, () => []),
    () => times(Math.min(size, 2_000), () => ["9223372036854775807", "x", null, true]),
    () => times(Math.min(size, 60), () => text.slice(0, 1_500)),
  ])();
  const keys = Object.fromEntries(times(Math.min(size, 4_000), (i) => [chance.below(40) === 0 ? `key${i}`.repeat(10) : `k${i}`, i]));
  let deep: unknown = 1;
  for (let i = 0; i < Math.min(size, 100); i++) deep = i % 2 === 0 ? [deep, i] : { a: deep };
  return JSON.stringify({
    s: text.slice(0, 80_000),
    p: text.slice(0, 40_000),
    l: list,
    m: keys,
    d: deep,
    n: size,
    t: "2026-01-01T00:00:00Z",
  });
}

/** A regular expression that is costly for its length: nested repeats, alternations, large classes. */
export function worstPattern(chance: Chance, depth = 0): string {
  const atom = (): string =>
    depth < 3 && chance.below(3) === 0
      ? `(${worstPattern(chance, depth + 1)})`
      : chance.of([
          "a",
          "b",
          ".",
          "[ab]",
          "[^b]",
          "\\\\w",
          "\\\\pL",
          "\\\\d",
          "(?i:k)",
          "[^\\\\pL]",
          "\\\\b",
          "^",
          "$",
          "é",
          "aa",
          "[a-z0-9_-]",
        ]);
  const repeat = chance.of(["", "", "*", "+", "?", "{0,9}", "{3}", "{0,40}", "{20}", "{0,120}", "*?"]);
  const piece = (): string => times(1 + chance.below(3), () => `${atom()}${repeat}`).join("");
  return times(1 + chance.below(2), piece).join("|");
}

interface Scope {
  readonly depth: number;
  readonly loops: number;
  readonly names: readonly string[];
}

/** An expression that is costly for its length; most compile, and many are cut. */
export class WorstExpression {
  readonly #chance: Chance;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  filter(): string {
    return this.#bool({ depth: 0, loops: 0, names: [] });
  }

  #bool(scope: Scope): string {
    const at = { ...scope, depth: scope.depth + 1 };
    const simple = [
      () => this.#chance.of(["true", "false", "has(event.data.x)", "event.data.x == 1"]),
      () => `${this.#any(at)} == ${this.#any(at)}`,
      () => `${this.#any(at)} ${this.#chance.of(["<", ">=", "!=", "in"])} ${this.#any(at)}`,
      () => `${this.#text(at)}.matches('${worstPattern(this.#chance)}')`,
      () => `${this.#text(at)}.${this.#chance.of(["contains", "startsWith", "endsWith"])}(${this.#text(at)})`,
      () => `${this.#any(at)} in ${this.#list(at)}`,
    ];
    const nested = [
      () => `(${this.#bool(at)} ${this.#chance.of(["||", "&&"])} ${this.#bool(at)})`,
      () => `!${this.#bool(at)}`,
      () => `(${this.#bool(at)} ? ${this.#bool(at)} : ${this.#bool(at)})`,
    ];
    const loops = [() => this.#loop(scope, this.#chance.of(["all", "exists", "exists_one"]), (inside) => this.#bool(inside))];
    const many =
      scope.depth > 3 ? simple : [...simple, ...nested, ...(scope.loops < 2 ? [...loops, ...loops, ...loops, ...loops, ...loops] : [])];
    return this.#chance.of(many)();
  }

  #any(scope: Scope): string {
    if (scope.depth > 4) return this.#chance.of(["1", "event.data.n", "'a'", ...scope.names]);
    const at = { ...scope, depth: scope.depth + 1 };
    return this.#chance.of([
      () => this.#chance.of(["1", "0.5", "1u", "null", "event.data.n", "event.data.d", "event.data", "event.type"]),
      () => this.#text(at),
      () => this.#list(at),
      () => this.#chance.of([...scope.names, "event.data.l"]),
      () => `${this.#chance.of([...scope.names, "event.data.m"])}.id`,
      () => `event.data.m[${this.#any(at)}]`,
      () => `event.data.l[${this.#any(at)}]`,
      () =>
        `${this.#chance.of(["int", "uint", "double", "string", "bytes", "bool", "timestamp", "duration", "type", "size"])}(${this.#any(at)})`,
      () => `${this.#any(at)} ${this.#chance.of(["+", "-", "*", "/", "%"])} ${this.#any(at)}`,
      () =>
        `timestamp(event.data.t).${this.#chance.of(["getFullYear()", "getDayOfYear()", "getHours('America/New_York')", "getDate('+02:00')"])}`,
      () => `{'a': ${this.#any(at)}, ${this.#any(at)}: ${this.#any(at)}}`,
      () => `duration('${"1h2m3s".repeat(1 + this.#chance.below(15))}')`,
      () => `{${times(this.#chance.of([2, 40]), (i) => `${i}: ${i}`).join(", ")}}[${this.#any(at)}]`,
    ])();
  }

  #text(scope: Scope): string {
    if (scope.depth > 4) return this.#chance.of(["event.data.s", "event.data.p", "'aab'", ...scope.names]);
    const at = { ...scope, depth: scope.depth + 1 };
    return this.#chance.of([
      () => this.#chance.of(["event.data.s", "event.data.p", "event.type", "'aaaa'", ...scope.names]),
      () => `(${this.#text(at)} + ${this.#text(at)})`,
      () => `string(${this.#any(at)})`,
      () => `string(bytes(${this.#text(at)}))`,
    ])();
  }

  #list(scope: Scope): string {
    if (scope.depth > 4) return "event.data.l";
    const at = { ...scope, depth: scope.depth + 1 };
    const simple = [
      () => this.#chance.of(["event.data.l", "event.data.m", "event.data.d", "event.data"]),
      () => `[${times(this.#chance.of([1, 3, 60]), (i) => i).join(",")}]`,
      () => `[${this.#any(at)}, ${this.#any(at)}]`,
      () => `(${this.#list(at)} + ${this.#list(at)})`,
    ];
    const loops = [
      () => this.#loop(scope, "map", (inside) => this.#any(inside)),
      () => this.#loop(scope, "filter", (inside) => this.#bool(inside)),
      () => `[event.data.s]${".map(x, x + x)".repeat(1 + this.#chance.below(12))}`,
      () => `[event.data.l]${".map(x, [x, x, x])".repeat(1 + this.#chance.below(10))}`,
    ];
    return this.#chance.of(scope.loops < 2 ? [...simple, ...loops] : simple)();
  }

  #loop(scope: Scope, macro: string, body: (inside: Scope) => string): string {
    const name = this.#chance.of(["x", "y", "z"]);
    const inside = { depth: scope.depth + 1, loops: scope.loops + 1, names: [...scope.names, name] };
    return `${this.#list({ ...scope, depth: scope.depth + 2 })}.${macro}(${name}, ${body(inside)})`;
  }
}
