import { RE2JS } from "@bufbuild/re2";
import { describe, expect, test } from "vitest";
import { compileBody, compileFilter } from "../../../src/core/expression/compile.ts";
import { Pattern, PATTERN_INSTRUCTIONS_MAX } from "../../../src/core/expression/pattern.ts";
import { copiesIn } from "../../../src/core/expression/pattern-size.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";
import { Chance, worstPattern } from "../../support/expressions/worst.ts";
import { countOf } from "../../support/full-run.ts";

/** 235 characters that compile to 54,951 instructions: one evaluation held everybody up for ten seconds and kept 250 MiB. */
const HUGE = `${".{0,999}".repeat(27)}[01]|a[ab]{999}[01]`;

function refusal(source: string): string {
  const compiled = compileFilter(source);
  return compiled.ok ? "accepted" : compiled.problem.message;
}

describe("what is refused when a subscription is judged", () => {
  test("a pattern by the size of its program, in filters and bodies, wherever it stands", () => {
    const hidden = [
      `event.data.s.matches('${HUGE}')`,
      `matches(event.data.s, '${HUGE}')`,
      `event.data.l.exists(x, x.matches('${HUGE}'))`,
      `(event.type == 'a' ? event.data.s.matches('${HUGE}') : true)`,
      `true || ('b'.matches('${HUGE.slice(0, 100)}' + '${HUGE.slice(100)}'))`,
    ];
    for (const source of hidden) {
      expect(refusal(source)).toMatch(/the regular expression compiles to more than 8000 instructions, more than the 500 allowed/);
      expect(compileBody(`{'a': ${source}}`)).toMatchObject({
        ok: false,
        problem: { field: "spec.payload.body", reason: "InvalidBody", message: expect.stringContaining("500 allowed") as string },
      });
    }
    expect(refusal("event.data.s.matches('[ab]{0,400}')")).toMatch(/compiles to 802 instructions, more than the 500 allowed/);
    expect(refusal("event.data.s.matches('[ab]{0,240}')")).toBe("accepted");
  });

  test("a pattern that is not written in the expression, with what to do instead", () => {
    const dynamic = [
      "event.data.s.matches(event.data.p)",
      "matches(event.data.s, event.data.p)",
      "event.data.l.exists(x, event.data.s.matches(x))",
      "event.data.s.matches('^' + event.data.p)",
      "event.data.s.matches(event.type == 'a' ? 'b' : 'c')",
      "event.data.s.matches(string(1))",
      "['a+'].exists(p, event.data.s.matches(p))",
    ];
    for (const source of dynamic) expect(refusal(source)).toMatch(/must be a literal text in the expression.*use ==, contains, startsWith/);
    expect(refusal("event.data.s.matches()")).toMatch(/matches requires a text and a regular expression/);
    expect(refusal("event.data.s.matches('a', 'b')")).toMatch(/matches requires/);
    expect(refusal("event.data.s.matches('a' + 'b' + '+$')")).toBe("accepted");
  });

  test("a pattern that is none, and many that are too much together", () => {
    expect(refusal("event.data.s.matches('(a')")).toMatch(/the regular expression is not valid: .*missing/);
    const many = Array.from({ length: 4 }, (_none, i) => `event.data.s.matches('${i}[ab]{300}')`).join("||");
    expect(refusal(many)).toMatch(/compile to 1212 instructions together, more than the 1000 allowed in one expression/);
    const same = Array.from({ length: 20 }, () => "event.data.s.matches('[ab]{300}')").join("||");
    expect(refusal(same)).toBe("accepted");
  });

  test("both ways of calling it say the same", () => {
    const event = anEvent({ data: Buffer.from('{"s":"order-12"}') });
    for (const source of ["event.data.s.matches('^order-[0-9]+$')", "matches(event.data.s, '^order-' + '[0-9]+$')"]) {
      const compiled = compileFilter(source);
      expect(compiled.ok && compiled.value.evaluate(event)).toMatchObject({ ok: true, matched: true });
    }
  });
});

describe("a pattern", () => {
  test("finds what RE2's own machine finds, whatever pattern and text", () => {
    const PATTERNS = countOf(3_000, 30_000);
    const PARTS = ["a", "b", "aa", "K", "k", "é", "\u{1f600}", "\n", " ", "\u212a", "1", "_", "\ud83d"];
    let compared = 0;
    let found = 0;
    for (let seed = 0; seed < PATTERNS; seed++) {
      const chance = new Chance(seed);
      const source = worstPattern(chance).replaceAll("\\\\", "\\");
      const pattern = compiled(source);
      if (pattern === undefined) continue;
      const reference = RE2JS.compile(source);
      for (let i = 0; i < 4; i++) {
        const text = Array.from({ length: chance.below(14) }, () => chance.of(PARTS)).join("");
        const expected = reference.test(text);
        expect([source, text, pattern.test(text, () => undefined)]).toEqual([source, text, expected]);
        compared += 1;
        if (expected) found += 1;
      }
    }
    expect(compared).toBeGreaterThan(PATTERNS);
    expect(found).toBeGreaterThan(compared / 5);
    expect(compared - found).toBeGreaterThan(compared / 20);
  }, 120_000);

  test("is charged as it works: never more than one character's worth after it was told to stop", () => {
    const pattern = compiled("([ab]{0,15}){0,15}$")!;
    let told = 0;
    const stop = (work: number): void => {
      told += work;
      if (told > 10_000) throw new Error("stop");
    };
    expect(() => pattern.test("ab".repeat(100_000), stop)).toThrow("stop");
    expect(told).toBeLessThan(10_000 + 512 + 10 * PATTERN_INSTRUCTIONS_MAX);
  });

  test("weighs what its program weighs, and no more after a thousand texts", () => {
    const pattern = compiled("([ab]|ab|ba){0,30}[01]")!;
    expect(pattern.bytes).toBeGreaterThan(pattern.instructions * 100);
    expect(pattern.bytes).toBeLessThan(256 * 1024);
    const chance = new Chance(1);
    const text = (): string => Array.from({ length: 400 }, () => chance.of(["a", "b"])).join("");
    for (let i = 0; i < 100; i++) pattern.test(text(), () => undefined);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 900; i++) pattern.test(text(), () => undefined);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(32 * 1024 * 1024);
  });

  test.each([
    ["a", 1],
    ["abc", 3],
    ["a{3}", 3],
    ["a{0,30}", 30],
    ["(?:ab){4}c", 9],
    ["((a{0,30}){0,30})$", 901],
    ["[a-z]{12}", 12],
    ["\\pL{5}\\d", 6],
    ["[[:alpha:]]]{7}", 8],
    ["(?P<name>a){3}", 3],
    ["a{0}", 0],
    ["a{,3}", 5],
    [".{0,999}".repeat(27), 26_973],
  ])("%s is about %i copies before it is compiled", (source, copies) => {
    expect(copiesIn(source)).toBe(copies);
  });
});

function compiled(source: string): Pattern | undefined {
  const judged = Pattern.compile(source);
  return judged.ok ? judged.pattern : undefined;
}
