import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { compiledBytes, compileFilter, type CompiledFilter } from "../../../src/core/expression/compile.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";

const MEBIBYTE = 1024 * 1024;
const ROOM_MIB = 96;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function filterOf(source: string): CompiledFilter {
  const compiled = compileFilter(source);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  return compiled.value;
}

function heldMiB(): number {
  collect();
  return process.memoryUsage().heapUsed / MEBIBYTE;
}

test("hundreds of large filters of one namespace weigh no more than the room for all; those let go of still say the same", () => {
  const theirs = filterOf("event.data.s.matches('^order-[0-9]+$')");
  const event = anEvent({ namespace: "other", data: Buffer.from('{"s":"order-12"}') });
  expect(theirs.evaluate(event)).toMatchObject({ ok: true, matched: true });
  const before = heldMiB();
  const greedy = anEvent({ namespace: "greedy", data: Buffer.from('{"s":"order-12"}') });
  const filters = Array.from({ length: 500 }, (_none, i) =>
    filterOf(`event.data.s.matches('${i}[ab]{0,200}') ${`||event.data.s=='${i}'`.repeat(80)}||event.data.s=='order-12'`),
  );
  for (const filter of filters) expect(filter.evaluate(greedy)).toMatchObject({ ok: true, matched: true });
  expect(compiledBytes()).toBeLessThanOrEqual(ROOM_MIB * MEBIBYTE);
  expect(heldMiB() - before).toBeLessThan(1.5 * ROOM_MIB);
  const again = filters[0]!.evaluate(greedy);
  expect(again).toMatchObject({ ok: true, matched: true });
  // Compiled anew, which its namespace pays for.
  expect(again.steps).toBeGreaterThan(filters.at(-1)!.evaluate(greedy).steps);
  const kept = theirs.evaluate(event);
  expect(kept.steps).toBe(theirs.evaluate(event).steps);
}, 120_000);
