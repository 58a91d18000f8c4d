import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { compileBody, compileFilter, type CompiledBody, type CompiledFilter } from "../../src/core/expression/compile.ts";
import { readEvent } from "../../src/core/expression/input.ts";
import type { Event } from "../../src/core/event.ts";
import { anEvent } from "../support/delivery/attempt-input.ts";
import { cpuMs, slowness } from "../support/expressions/pace.ts";
import { Chance, worstData, WorstExpression } from "../support/expressions/worst.ts";
import { countOf } from "../support/full-run.ts";

const MEBIBYTE = 1024 * 1024;
const EVALUATION_MS_MAX = 25;
const GROWTH_MIB_MAX = 8;
const EXPRESSIONS = countOf(600, 100_000);
/** New data every so many expressions. */
const EXPRESSIONS_AN_EVENT = 25;
/** By then V8 has compiled the library and its heap has the size that it keeps. */
const SETTLED_AFTER = countOf(300, 5_000);
/** Repeats of what took long: the code is compiled by then, and a collection of garbage falls into one of them. */
const REPEATS = 3;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as (kind?: { readonly type: "minor" }) => void;

interface Case {
  readonly source: string;
  readonly event: Event;
  readonly compile: (source: string) => CompiledFilter | CompiledBody | undefined;
}

const asFilter = (source: string): CompiledFilter | undefined => valueOf(compileFilter(source));
const asBody = (source: string): CompiledBody | undefined => valueOf(compileBody(source));

function valueOf<T>(compiled: { readonly ok: true; readonly value: T } | { readonly ok: false }): T | undefined {
  return compiled.ok ? compiled.value : undefined;
}

/** Processor time of one evaluation of an expression compiled anew, ms. */
function once({ source, event, compile }: Case): number {
  const compiled = compile(source);
  const startedMs = cpuMs();
  compiled?.evaluate(event);
  return cpuMs() - startedMs;
}

/** What is still there after an evaluation and a collection, MiB. */
function keptMiB(one: Case): number {
  const compiled = one.compile(one.source);
  collect();
  const before = heldBytes();
  const result = compiled?.evaluate(one.event);
  collect();
  const kept = (heldBytes() - before) / MEBIBYTE;
  expect(result).toBeDefined();
  return kept;
}

/** What is held when no event is, and resident, MiB. */
function footprintMiB(): { readonly held: number; readonly resident: number } {
  collect();
  return { held: heldBytes() / MEBIBYTE, resident: process.memoryUsage.rss() / MEBIBYTE };
}

function heldBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

test(
  `none of ${EXPRESSIONS} expressions made to be costly takes longer than ${EVALUATION_MS_MAX} ms or keeps more than ${GROWTH_MIB_MAX} MiB`,
  () => {
    const found: string[] = [];
    let worstMs = 0;
    let evaluated = 0;
    let cut = 0;
    let event = anEvent();
    let settled = footprintMiB();
    for (let seed = 0; seed < EXPRESSIONS; seed++) {
      const chance = new Chance(seed);
      if (seed === SETTLED_AFTER) {
        event = anEvent();
        settled = footprintMiB();
      }
      if (seed % EXPRESSIONS_AN_EVENT === 0) {
        event = anEvent({ data: Buffer.from(worstData(chance)) });
        readEvent(event);
      }
      const source = new WorstExpression(chance).filter();
      const one = { source, event, compile: seed % 4 === 0 ? asBody : asFilter };
      const compiled = one.compile(source);
      if (compiled === undefined) continue;
      evaluated += 1;
      const heldBefore = heldBytes();
      const startedMs = cpuMs();
      const verdict = compiled.evaluate(event);
      let ms = cpuMs() - startedMs;
      if (verdict.cut) cut += 1;
      for (let i = 0; i < REPEATS && ms > EVALUATION_MS_MAX; i++) ms = Math.min(ms, once(one) / slowness());
      worstMs = Math.max(worstMs, ms);
      if (ms > EVALUATION_MS_MAX) found.push(`seed ${seed}: ${ms.toFixed(0)} ms: ${source.slice(0, 300)}`);
      if (heldBytes() - heldBefore > GROWTH_MIB_MAX * MEBIBYTE) collect({ type: "minor" });
      if (heldBytes() - heldBefore > GROWTH_MIB_MAX * MEBIBYTE) {
        const kept = keptMiB(one);
        if (kept > GROWTH_MIB_MAX) found.push(`seed ${seed}: ${kept.toFixed(1)} MiB kept: ${source.slice(0, 300)}`);
      }
    }
    event = anEvent();
    const end = footprintMiB();
    const heldMiB = end.held - settled.held;
    const residentMiB = end.resident - settled.resident;
    console.log(
      `${evaluated} of ${EXPRESSIONS} evaluated, ${cut} cut off; worst ${worstMs.toFixed(1)} ms; after all ${heldMiB.toFixed(1)} MiB more held, ${residentMiB.toFixed(0)} MiB resident`,
    );
    expect(found).toEqual([]);
    expect(evaluated).toBeGreaterThan(EXPRESSIONS / 2);
    expect(cut).toBeGreaterThan(EXPRESSIONS / 100);
    expect(heldMiB).toBeLessThan(GROWTH_MIB_MAX);
    expect(residentMiB).toBeLessThan(200);
  },
  countOf(120_000, 7_200_000),
);
