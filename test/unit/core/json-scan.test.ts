import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { invalidUtf8At, jsonString, scanJson } from "../../../src/core/json-scan.ts";
import { JSON_DEPTH_MAX } from "../../../src/core/event.ts";

const scan = (text: string | Buffer, levels = 0) => scanJson(typeof text === "string" ? Buffer.from(text) : text, levels);
const error = (text: string | Buffer) => {
  const result = scan(text);
  if (result.ok) throw new Error("it was taken");
  return result.error;
};

describe("scanJson", () => {
  it.each([
    "{}",
    "[]",
    '""',
    "0",
    "-0",
    "1.50",
    "1E+9",
    "-12.0e-3",
    "1e999",
    "123456789012345678901234567890",
    "true",
    "false",
    "null",
    ' \t\r\n{"a" : [ 1 , {"b":null} ] } \n',
    '"\\u0000 \\ud800 \\uDFFF \\" \\\\ \\/ \\b\\f\\n\\r\\t"',
    '"é€😀\u007f\u2028"',
    '{"a":1,"A":2,"":3,"__proto__":4,"constructor":5}',
  ])("takes %s", (text) => {
    expect(scan(text).ok).toBe(true);
  });

  it.each([
    ["", 0],
    [" ", 1],
    ["{", 1],
    ["[1", 2],
    ["[1,]", 3],
    ['{"a":1,}', 7],
    ["{a:1}", 1],
    ["{'a':1}", 1],
    ['{"a" 1}', 5],
    ['{"a":}', 5],
    ["01", 1],
    ["-", 1],
    ["+1", 0],
    [".5", 0],
    ["1.", 2],
    ["1e", 2],
    ["0x1", 1],
    ["NaN", 0],
    ["nul", 3],
    ["nulL", 3],
    ["truee", 4],
    ["[] []", 3],
    ['"a', 2],
    ['"\\x"', 2],
    ['"\\u12g4"', 5],
    ['"\\', 2],
    ["[1 2]", 3],
    ["\u00a0{}", 0],
  ])("refuses %j at byte %i", (text, offset) => {
    expect(error(text)).toMatchObject({ reason: "syntax", offset });
  });

  it("refuses raw control bytes, also in keys, at their byte", () => {
    for (let byte = 0; byte < 0x20; byte++) {
      expect(error(Buffer.from([0x22, 0x61, byte, 0x22]))).toMatchObject({ reason: "control_byte", offset: 2 });
      expect(error(Buffer.from([0x7b, 0x22, byte, 0x22, 0x3a, 0x31, 0x7d]))).toMatchObject({ reason: "control_byte", offset: 2 });
    }
  });

  it.each([
    [[0x22, 0xff, 0x22], 1],
    [[0x22, 0xc0, 0x80, 0x22], 1],
    [[0x22, 0xed, 0xa0, 0x80, 0x22], 1],
    [[0x22, 0xe2, 0x82, 0x22], 1],
    [[0x22, 0xc3, 0xa9, 0xf4, 0x90, 0x80, 0x80, 0x22], 3],
    [[0x22, 0xe2], 1],
  ])("refuses invalid UTF-8 %j at byte %i", (bytes, offset) => {
    expect(error(Buffer.from(bytes))).toMatchObject({ reason: "utf8", offset });
  });

  it("refuses a byte order mark", () => {
    expect(error("\ufeff{}")).toMatchObject({ reason: "byte_order_mark", offset: 0 });
  });

  it.each([
    ['{"a":1,"a":2}', 7],
    ['{"a":1,"\\u0061":2}', 7],
    ['{"\\u0061":1,"a":2}', 12],
    ['[{"x":{"k":1,"b":{},"k":1}}]', 20],
    ['{"\\ud800":1,"\\uD800":2}', 12],
    ['{"é":1,"\\u00e9":2}', 8],
  ])("refuses the key that stands twice in %s at byte %i", (text, offset) => {
    expect(error(text)).toMatchObject({ reason: "duplicate_key", offset });
  });

  it("finds a duplicate among many keys, and none where hashes only look alike", () => {
    const many = Array.from({ length: 2_000 }, (_, i) => `"k${i}":${i}`);
    expect(scan(`{${many.join(",")}}`).ok).toBe(true);
    expect(error(`{${many.join(",")},"\\u006b7":0}`).reason).toBe("duplicate_key");
    expect(scan('{"Aa":1,"BB":2}').ok).toBe(true);
  });

  it("does not mix keys of neighbouring and nested objects", () => {
    expect(scan('[{"a":{"a":{"a":1},"b":2},"b":1},{"a":1}]').ok).toBe(true);
  });

  it("takes the depth limit and refuses one more, 1,000 and 100,000 levels", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect(scan(nested(JSON_DEPTH_MAX)).ok).toBe(true);
    expect(error(nested(JSON_DEPTH_MAX + 1))).toMatchObject({ reason: "too_deep", offset: JSON_DEPTH_MAX });
    expect(error(nested(1_000)).reason).toBe("too_deep");
    expect(error('{"a":'.repeat(100_000)).reason).toBe("too_deep");
    expect(scan(`{"data":${nested(JSON_DEPTH_MAX)}}`, 1).ok).toBe(true);
    expect(scan(`[{"data":${nested(JSON_DEPTH_MAX)}}]`, 2).ok).toBe(true);
    expect(scan(`{"data":${nested(JSON_DEPTH_MAX + 1)}}`, 1).ok).toBe(false);
  });

  it("lists members with the bytes of their values", () => {
    const text = ' {"a" : [1, 2] ,"é\\u0062":"x","n":{"deep":1}}';
    const bytes = Buffer.from(text);
    const result = scanJson(bytes, 1);
    if (!result.ok) throw new Error(result.error.message);
    const seen = result.root.members.map(({ key, value }) => [
      key,
      value.kind,
      bytes.subarray(value.start, value.end).toString(),
      value.members.length,
    ]);
    expect(seen).toEqual([
      ["a", "array", "[1, 2]", 0],
      ["éb", "string", '"x"', 0],
      ["n", "object", '{"deep":1}', 0],
    ]);
  });

  it("agrees with JSON.parse on what the generator makes and on mutations of it", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.integer({ min: 0x20, max: 0x7e }), (json, at, byte) => {
        expect(scan(json).ok).toBe(true);
        const mutated = Buffer.from(json);
        mutated[at % mutated.length] = byte;
        const result = scanJson(mutated);
        let parses = true;
        try {
          JSON.parse(mutated.toString());
        } catch {
          parses = false;
        }
        if (result.ok) expect(parses).toBe(true);
        // The pass ends at the first mistake: after a duplicate key nothing is known of the rest.
        else if (result.error.reason !== "duplicate_key" && result.error.reason !== "utf8") expect(parses).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("never throws and never reads beyond the bytes, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const result = scanJson(bytes, 2);
        if (!result.ok) expect(result.error.offset).toBeLessThanOrEqual(bytes.length);
        if (!result.ok && result.error.reason === "utf8") expect(invalidUtf8At(bytes)).toBe(result.error.offset);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each<[byte: number, is: "stop" | "plain"]>([
    [0x22, "stop"],
    [0x5c, "stop"],
    [0x00, "stop"],
    [0x1f, "stop"],
    [0x0a, "stop"],
    [0x20, "plain"],
    [0x21, "plain"],
    [0x23, "plain"],
    [0x5b, "plain"],
    [0x5d, "plain"],
    [0x7f, "plain"],
  ])("byte %i is a %s in a long string, at every place, length and alignment, and nothing around its bytes is looked at", (byte, is) => {
    for (const [bytes, at] of longStrings(byte)) {
      const scanned = scanJson(bytes);
      const isOpen = byte === 0x5c && at === bytes.length - 2;
      // What follows a quote or a backslash is what is wrong; a backslash before the last quote leaves the string without an end.
      const wrongAt = isOpen ? bytes.length : at + (byte === 0x22 || byte === 0x5c ? 1 : 0);
      expect(scanned.ok ? undefined : scanned.error.offset, `at ${at} of ${bytes.length}`).toBe(is === "plain" ? undefined : wrongAt);
    }
  });

  it("takes long strings of any script as JSON.parse does", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary", minLength: 30, maxLength: 300 }), { maxLength: 4 }),
        fc.nat({ max: 7 }),
        (texts, offset) => {
          const json = Buffer.from(JSON.stringify(texts));
          const moved = Buffer.alloc(json.length + offset, 0x5c).subarray(offset);
          json.copy(moved);
          const result = scanJson(moved, 1);
          expect(result.ok && result.root.items.map((item) => jsonString(moved, item))).toEqual(texts);
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** JSON strings with one byte of another kind, in the middle of memory full of quotes. */
function* longStrings(byte: number): Generator<readonly [bytes: Buffer, at: number]> {
  const memory = Buffer.alloc(512);
  for (let offset = 0; offset < 8; offset++) {
    for (let length = 28; length < 52; length++) {
      for (let at = 1; at <= length; at++) {
        memory.fill(0x22);
        const bytes = memory.subarray(offset, offset + length + 2);
        bytes.fill(0x61, 1, length + 1);
        bytes[at] = byte;
        yield [bytes, at];
      }
    }
  }
}
