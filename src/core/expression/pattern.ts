import { RE2JS } from "@bufbuild/re2";
import { copiesIn } from "./pattern-size.ts";

/** The longest regular expression, in characters. */
const PATTERN_CHARS_MAX = 256;
/** The largest program that one regular expression may compile to (`a` has 3 instructions, `[0-9a-f]{32}` has 34). */
export const PATTERN_INSTRUCTIONS_MAX = 500;
/** What is longer than that before it is compiled is not even compiled: repeats are written in few characters and compiled one by one. */
const COPIES_MAX = 8_000;
/** Bounds of ranges of characters that the classes of one program may hold: one `\pL` has 1,300, equal classes count once. */
const CLASS_BOUNDS_MAX = 16_384;
/** Work between two charges, in instructions looked at. */
const WORK_A_CHARGE = 512;
/** What a character costs beside the instructions. */
const WORK_A_CHARACTER = 4;
/** RE2 finds a character in a class by halving, and folds its case: so many instructions' worth. */
const WORK_BEYOND_ASCII = 4;

type Program = ReturnType<ReturnType<typeof RE2JS.compile>["re2"]>["prog"];
type Instruction = ReturnType<Program["getInst"]>;

/** Opcodes of RE2's programs (Inst in its sources); all others read a character. */
const ALT = 1;
const ALT_MATCH = 2;
const CAPTURE = 3;
const EMPTY_WIDTH = 4;
const FAIL = 5;
const MATCH = 6;
const NOP = 7;

const BEGIN_LINE = 1;
const END_LINE = 2;
const BEGIN_TEXT = 4;
const END_TEXT = 8;
const WORD_BOUNDARY = 16;
const NO_WORD_BOUNDARY = 32;

const ASCII = 128;
const NEWLINE = 0x0a;
const WORD = Uint8Array.from({ length: ASCII }, (_, code) => (/\w/.test(String.fromCharCode(code)) ? 1 : 0));

/** Working memory of all programs: one runs at a time. */
const seenAt = new Int32Array(PATTERN_INSTRUCTIONS_MAX);
const stack = new Int32Array(2 * PATTERN_INSTRUCTIONS_MAX + 2);
const live = new Int32Array(PATTERN_INSTRUCTIONS_MAX);
const pending = new Int32Array(PATTERN_INSTRUCTIONS_MAX);
/** Of the position that `seenAt` tells about; goes up for ever, begins anew before it leaves 31 bits. */
const place = { at: 0 };

export type PatternJudgement = { readonly ok: true; readonly pattern: Pattern } | { readonly ok: false; readonly message: string };

/**
 * A regular expression: RE2's program, run as it stands, all its threads side by side, each instruction looked at once per character at most. There is
 * nothing to remember between two texts or characters, so the memory of a pattern is that of its program; RE2's own automaton remembers every set of
 * threads it has seen, and a set may be new with every character.
 */
export class Pattern {
  readonly source: string;
  /** About what it holds, bytes. */
  readonly bytes: number;
  readonly #code: readonly Instruction[];
  readonly #op: Uint8Array;
  readonly #out: Uint16Array;
  readonly #arg: Uint16Array;
  /** For each instruction 128 bits: which ASCII characters it takes. */
  readonly #takes: Uint32Array;
  readonly #start: number;
  /** Matches at the beginning of the text or nowhere. */
  readonly #anchored: boolean;
  readonly #looksAround: boolean;
  /** ASCII characters with which a match can begin; undefined when it can begin without one. */
  readonly #first: Uint8Array | undefined;
  /** Instructions looked at for the last character. */
  #visited = 0;

  private constructor(source: string, program: Program, classBounds: number) {
    const size = program.numInst();
    this.source = source;
    this.#code = program.inst;
    this.#op = Uint8Array.from(program.inst, ({ op }) => op);
    this.#out = Uint16Array.from(program.inst, ({ out }) => out);
    this.#arg = Uint16Array.from(program.inst, ({ arg }) => arg);
    this.#takes = new Uint32Array(size * 4);
    for (let pc = 0; pc < size; pc++) {
      if (!isReader(this.#op[pc]!)) continue;
      for (let code = 0; code < ASCII; code++) if (takes(program.inst[pc]!, code)) this.#takes[pc * 4 + (code >> 5)]! |= 1 << (code & 31);
    }
    this.#start = program.start;
    const condition = program.startCond();
    this.#anchored = condition !== -1 && (condition & BEGIN_TEXT) !== 0;
    this.#looksAround = this.#op.includes(EMPTY_WIDTH);
    this.#first = this.#firsts();
    this.bytes = 512 + 2 * source.length + size * 160 + classBounds * 8;
  }

  /** Compiles it, or says why not. Never throws. */
  static compile(source: string): PatternJudgement {
    if (source.length > PATTERN_CHARS_MAX) return refused(`has ${source.length} characters, more than the ${PATTERN_CHARS_MAX} allowed`);
    const copies = copiesIn(source);
    if (copies > COPIES_MAX) return refused(tooLarge(`more than ${COPIES_MAX}`));
    let program: Program;
    try {
      program = RE2JS.compile(source).re2().prog;
    } catch (error) {
      return refused(`is not valid: ${error instanceof Error ? error.message : "it does not compile"}`);
    }
    const size = program.numInst();
    if (size > PATTERN_INSTRUCTIONS_MAX) return refused(tooLarge(String(size)));
    const bounds = sharedClasses(program);
    if (bounds > CLASS_BOUNDS_MAX) {
      return refused(`has classes of ${bounds / 2} ranges of characters, more than the ${CLASS_BOUNDS_MAX / 2} allowed: name fewer`);
    }
    return { ok: true, pattern: new Pattern(source, program, bounds) };
  }

  get instructions(): number {
    return this.#op.length;
  }

  /**
   * Whether it is found anywhere in the text. `charge` is told of the work as it is done, in instructions looked at, after at most WORK_A_CHARGE plus
   * one character's worth; what it throws ends the search.
   */
  test(text: string, charge: (work: number) => void): boolean {
    let work = 0;
    let waiting = 0;
    let before = -1;
    for (let at = 0; ;) {
      if (waiting === 0 && this.#first !== undefined) {
        const next = this.#skip(text, at);
        work += (next - at) >> 2;
        if (next > at) before = text.charCodeAt(next - 1);
        at = next;
      }
      const rune = at < text.length ? text.codePointAt(at)! : -1;
      if (work > WORK_A_CHARGE) {
        charge(work);
        work = 0;
      }
      const count = this.#close(waiting, at === 0 || !this.#anchored, this.#looksAround ? around(before, rune) : 0);
      work += WORK_A_CHARACTER + this.#visited;
      if (count === FOUND || rune < 0 || (count === 0 && this.#anchored)) {
        charge(work);
        return count === FOUND;
      }
      waiting = this.#read(count, rune);
      if (rune >= ASCII) work += count * WORK_BEYOND_ASCII;
      before = rune;
      at += rune > 0xffff ? 2 : 1;
    }
  }

  /** Follows what waits, and what begins here, to the instructions that read a character: how many there are (in `live`), or FOUND. */
  #close(waiting: number, begins: boolean, context: number): number {
    place.at = place.at >= 0x7fff_fff0 ? restarted() : place.at + 1;
    const mark = place.at;
    let visited = 0;
    let count = 0;
    for (let i = begins ? -1 : 0; i < waiting; i++) {
      let depth = 1;
      stack[0] = i < 0 ? this.#start : pending[i]!;
      while (depth > 0) {
        const pc = stack[--depth]!;
        if (seenAt[pc] === mark) continue;
        seenAt[pc] = mark;
        visited += 1;
        switch (this.#op[pc]) {
          case ALT:
          case ALT_MATCH:
            stack[depth++] = this.#arg[pc]!;
            stack[depth++] = this.#out[pc]!;
            break;
          case NOP:
          case CAPTURE:
            stack[depth++] = this.#out[pc]!;
            break;
          case EMPTY_WIDTH:
            depth = this.#passes(pc, context) ? pushed(depth, this.#out[pc]!) : depth;
            break;
          case MATCH:
            this.#visited = visited;
            return FOUND;
          case FAIL:
            break;
          default:
            live[count++] = pc;
        }
      }
    }
    this.#visited = visited + waiting + count;
    return count;
  }

  #passes(pc: number, context: number): boolean {
    return (this.#arg[pc]! & ~context) === 0;
  }

  /** Has every instruction in `live` read the character: how many go on (in `pending`). */
  #read(count: number, rune: number): number {
    let waiting = 0;
    const [word, bit] = [rune >> 5, 1 << (rune & 31)];
    for (let i = 0; i < count; i++) {
      const pc = live[i]!;
      const isTaken = rune < ASCII ? (this.#takes[pc * 4 + word]! & bit) !== 0 : takes(this.#code[pc]!, rune);
      if (isTaken) pending[waiting++] = this.#out[pc]!;
    }
    return waiting;
  }

  /** From `at` on the first place where a match can begin. */
  #skip(text: string, at: number): number {
    const first = this.#first!;
    let next = at;
    while (next < text.length) {
      const code = text.charCodeAt(next);
      if (code >= ASCII || first[code] === 1) break;
      next += 1;
    }
    return next;
  }

  #firsts(): Uint8Array | undefined {
    if (this.#looksAround || this.#anchored) return undefined;
    const count = this.#close(0, true, 0);
    if (count === FOUND) return undefined;
    const first = new Uint8Array(ASCII);
    for (const pc of live.subarray(0, count)) {
      for (let code = 0; code < ASCII; code++) if ((this.#takes[pc * 4 + (code >> 5)]! & (1 << (code & 31))) !== 0) first[code] = 1;
    }
    return first;
  }
}

const FOUND = -1;

function pushed(depth: number, pc: number): number {
  stack[depth] = pc;
  return depth + 1;
}

function refused(why: string): PatternJudgement {
  return { ok: false, message: `the regular expression ${why}` };
}

function tooLarge(size: string): string {
  return `compiles to ${size} instructions, more than the ${PATTERN_INSTRUCTIONS_MAX} allowed: repeat less ({n,m} is compiled m times)`;
}

function isReader(op: number): boolean {
  return op > NOP;
}

function takes(instruction: Instruction, rune: number): boolean {
  return instruction.matchRune(rune);
}

/** Lets equal classes share one list. @returns the bounds that are left in all. */
function sharedClasses(program: Program): number {
  const lists = new Map<string, number[]>();
  let bounds = 0;
  for (const instruction of program.inst) {
    const key = instruction.runes.join();
    const known = lists.get(key);
    if (known === undefined) {
      lists.set(key, instruction.runes);
      bounds += instruction.runes.length;
    } else instruction.runes = known;
  }
  return bounds;
}

/** What holds between two characters; -1 is the edge of the text. */
function around(before: number, after: number): number {
  let holds = 0;
  if (before < 0) holds |= BEGIN_TEXT | BEGIN_LINE;
  if (before === NEWLINE) holds |= BEGIN_LINE;
  if (after < 0) holds |= END_TEXT | END_LINE;
  if (after === NEWLINE) holds |= END_LINE;
  return holds | (isWord(before) === isWord(after) ? NO_WORD_BOUNDARY : WORD_BOUNDARY);
}

function isWord(rune: number): boolean {
  return rune >= 0 && rune < ASCII && WORD[rune] === 1;
}

function restarted(): number {
  seenAt.fill(0);
  return 1;
}
