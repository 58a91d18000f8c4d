import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { exactText, parseExact, yamlLines } from "../../../../src/cli/api/exact-json.ts";

const NUMBERS = ["12.50", "1E2", "-0", "0.1", "9007199254740993", "1.0", "12345678901234567890.123"];

describe("JSON keeps the spelling of numbers", () => {
  it.each(NUMBERS)("%s", (number) => {
    const text = `{"a":[${number},{"b":${number}}],"c":"${number}"}`;
    expect(exactText(parseExact(text))).toBe(text);
    expect(exactText(parseExact(text), 2)).toBe(
      `{\n  "a": [\n    ${number},\n    {\n      "b": ${number}\n    }\n  ],\n  "c": "${number}"\n}`,
    );
    expect(yamlLines(parseExact(text))).toEqual(["a:", `  - ${number}`, `  - b: ${number}`, `c: "${number}"`]);
  });
});

describe("YAML", () => {
  it.each([
    ["{}", ["{}"]],
    ["[]", ["[]"]],
    ['{"a":{},"b":[],"c":null,"d":true}', ["a: {}", "b: []", "c: null", "d: true"]],
    ['{"a":[[1,2],[]]}', ["a:", "  - - 1", "    - 2", "  - []"]],
    [
      '["yes","no","null","~","1","","a b","a: b","a #b","- a","é","https://x/y","e0"]',
      [
        '- "yes"',
        '- "no"',
        '- "null"',
        '- "~"',
        '- "1"',
        '- ""',
        "- a b",
        '- "a: b"',
        '- "a #b"',
        '- "- a"',
        '- "é"',
        '- "https://x/y"',
        '- "e0"',
      ],
    ],
  ])("of %s", (json, lines) => {
    expect(yamlLines(parseExact(json))).toEqual(lines);
  });

  it("is read back as the same value, whatever it is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify(value);
        const text = yamlLines(parseExact(json)).join("\n");
        expect(JSON.stringify(parse(text, { version: "1.1" }))).toBe(JSON.stringify(JSON.parse(json)));
        expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(json)));
      }),
      { numRuns: 300 },
    );
  });
});
