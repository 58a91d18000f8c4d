import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { earlyToken } from "../../../src/ingest/early-token.ts";
import { readJsonRequest } from "../../../src/ingest/json-envelope.ts";

const json = (text: string, isWhole = false): string | undefined => earlyToken(Buffer.from(text), "json", isWhole);
const form = (text: string, isWhole = false): string | undefined => earlyToken(Buffer.from(text), "urlencoded", isWhole);

describe("the token of a JSON body of which the beginning is here", () => {
  it.each<[string, string | undefined]>([
    ['{"token":"t"}', "t"],
    ['{"token":"t","data":{"a":', "t"],
    [' {\n"type" : "a" , "token" : "t" ,', "t"],
    ['{"data":{"token":"inner","a":[1,{"b":"]}"}]},"token":"t"', "t"],
    ['{"a":-1.5e3,"b":true,"c":null,"d":[],"e":"","token":"t"', "t"],
    ['{"a":"\\"token\\":\\"x\\"","token":"t"', "t"],
    ['{"tok\\u0065n":"t"', "t"],
    ['{"token":"\\u0074\\n"', "t\n"],
    ['{"token":"ä"', "ä"],
    ['{"token":5,"x":1}', undefined],
    ['{"token":"not who', undefined],
    ['{"token":"t\\"', undefined],
    ['{"data":{"token":"inner"}}', undefined],
    ['{"data":{"a":1', undefined],
    ['[{"token":"t"}]', undefined],
    ['{"a" "b","token":"t"}', undefined],
    ['{token:"t"}', undefined],
    ['{"a":1', undefined],
    ["", undefined],
    ["{", undefined],
    ['{"', undefined],
    ["null", undefined],
  ])("%s: %s", (text, token) => {
    expect(json(text)).toBe(token);
  });

  it("is what the whole body says, wherever it is cut, or nothing", () => {
    const object = fc.dictionary(fc.constantFrom("token", "type", "data", "subject"), fc.jsonValue({ maxDepth: 2 }));
    fc.assert(
      fc.property(object, fc.nat(400), (value, cut) => {
        const text = JSON.stringify(value);
        const read = readJsonRequest(Buffer.from(text), "short");
        const whole = read.ok ? read.value.token : undefined;
        expect(json(text, true)).toBe(whole);
        expect([whole, undefined]).toContain(earlyToken(Buffer.from(text).subarray(0, cut), "json", false));
      }),
    );
  });

  it("takes no longer than its bytes, whatever they are", () => {
    for (const text of ['{"a":'.repeat(3_000), "{".repeat(16_384), `{"a":"${"\\\\".repeat(8_000)}`, `{${'"a":1,'.repeat(2_500)}`]) {
      const startedMs = performance.now();
      for (let i = 0; i < 10; i++) json(text);
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    }
  });
});

describe("the token of a form of which the beginning is here", () => {
  it.each<[string, boolean, string | undefined]>([
    ["token=t&a=1&b=", false, "t"],
    ["a=1&token=t&", false, "t"],
    ["a=1&token=t", true, "t"],
    ["a=1&token=not+who", false, undefined],
    ["token=t&token=u&", false, undefined],
    ["a=1", true, undefined],
    ["", false, undefined],
    ["%74oken=%74&", false, "t"],
  ])("%s (all of it: %s): %s", (text, isWhole, token) => {
    expect(form(text, isWhole)).toBe(token);
  });
});
