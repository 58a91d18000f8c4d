import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scanJson } from "../../../src/core/json-scan.ts";
import { formToken, memberCut, TOKEN_FIELD, withoutCut } from "../../../src/ingest/body-token.ts";
import { readHook } from "../../../src/ingest/hook-body.ts";
import { countOf } from "../../support/full-run.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "utf8");
const text = (data: Uint8Array): string => Buffer.from(data).toString("utf8");

function read(body: string, contentType: string | undefined): { token: string | undefined; data: string; kind: string } {
  const hook = readHook(bytes(body), { type: "order.paid", contentType, hookHeaders: [], hookQuery: "" });
  if (!hook.ok) throw new Error(hook.refusal.code);
  const drafts = hook.value.drafts(hook.value.token !== undefined);
  if (!drafts.ok) throw new Error(drafts.refusal.code);
  return { token: hook.value.token, data: text(drafts.value[0]!.data), kind: drafts.value[0]!.dataKind };
}

describe("a token in a JSON body is cut out, and no other byte is moved", () => {
  it.each([
    ['{"token":"t","a":1}', '{"a":1}'],
    ['{"a":1,"token":"t"}', '{"a":1}'],
    ['{"a": 1.0 ,\n  "token" : "t" ,\n  "b" : [ 2 ] }', '{"a": 1.0 ,\n  "b" : [ 2 ] }'],
    ['{ "a":1 , "token":"t" }', '{ "a":1 }'],
    ['{"token":"t"}', "{}"],
    [' { "token" : "t" } ', " {  } "],
    ['{"tok\\u0065n":"t","e":"é"}', '{"e":"é"}'],
    ['{"a":{"token":"inner"},"token":"t"}', '{"a":{"token":"inner"}}'],
  ])("%j → %j", (body, data) => {
    expect(read(body, "application/json")).toEqual({ token: "t", data, kind: "json" });
  });

  it.each(['{"a":{"token":"t"}}', '[{"token":"t"}]', '{"token":7}', '{"token":null}', '{"Token":"t"}', '"token"'])(
    "%j holds none at its top level, and stays whole",
    (body) => {
      expect(read(body, "application/json")).toEqual({ token: undefined, data: body, kind: "json" });
    },
  );

  it("whatever stands beside it", () => {
    const key = fc.string({ maxLength: 6 }).filter((name) => name !== TOKEN_FIELD);
    const members = fc.uniqueArray(fc.tuple(key, fc.jsonValue()), { maxLength: 6, selector: ([name]) => name });
    const space = fc.constantFrom("", " ", "\n\t", "  ");
    fc.assert(
      fc.property(members, fc.nat(), space, (others, at, gap) => {
        const all = others.map(([name, value]) => `${gap}${JSON.stringify(name)}${gap}:${gap}${JSON.stringify(value)}`);
        const place = at % (all.length + 1);
        const body = bytes(`{${[...all.slice(0, place), `${gap}"token"${gap}:"secret-value"`, ...all.slice(place)].join(`${gap},`)}}`);
        const scan = scanJson(body, 1);
        if (!scan.ok) throw new Error(scan.error.message);
        const cut = memberCut(scan.root, place);
        const left = withoutCut(body, cut);
        expect(scanJson(left).ok).toBe(true);
        expect(JSON.parse(text(left))).toEqual(JSON.parse(`{${all.join(",")}}`));
        expect(text(left)).not.toContain("secret-value");
        expect(text(body.subarray(cut.start, cut.end)).replaceAll(/\s/g, "")).toMatch(/^,?"token":"secret-value",?$/);
      }),
      { numRuns: countOf(300, 5_000) },
    );
  });
});

describe("a token in a form is cut out, and no other byte is moved", () => {
  it.each([
    ["token=t&a=1", "t", "a=1"],
    ["a=1&token=t", "t", "a=1"],
    ["a=1&token=t&b=%c3%a9+x", "t", "a=1&b=%c3%a9+x"],
    ["a=1&&token=t&&b", "t", "a=1&&&b"],
    ["tok%65n=%74%3D=", "t==", ""],
    ["token", "", ""],
    ["a=token&token=a+b", "a b", "a=token"],
  ])("%j", (body, token, rest) => {
    const found = formToken(body);
    expect(found?.text).toBe(token);
    expect(text(withoutCut(bytes(body), found!.cut))).toBe(rest);
  });

  it.each(["", "a=1", "tokens=1", "a=token", "token=t&token=t", "token=t&a=1&tok%65n=u"])(
    "%j holds none, or none that is alone",
    (body) => {
      expect(formToken(body)).toBeUndefined();
    },
  );

  it("bytes beyond ASCII keep their places", () => {
    expect(read("a=é€&token=t&b=ü", "application/x-www-form-urlencoded")).toEqual({ token: "t", data: "a=é€&b=ü", kind: "form" });
  });
});

describe("a hook's body is data", () => {
  it.each([
    ["token=t", "text/plain", { data: "token=t", kind: "text", token: undefined }],
    ['{"token":"t"}', "text/plain", { data: '{"token":"t"}', kind: "text", token: undefined }],
    ["x", undefined, { data: "x", kind: "binary", token: undefined }],
    ["", "application/json", { data: "", kind: "none", token: undefined }],
    ["token=t", "application/x-www-form-urlencoded", { data: "", kind: "none", token: "t" }],
    ['{"token":"t"}', "application/vnd.x+json; charset=utf-8", { data: "{}", kind: "json", token: "t" }],
  ])("%j as %s", (body, contentType, found) => {
    expect(read(body, contentType)).toEqual(found);
  });

  it.each([
    ["{", "application/json", "json_invalid"],
    ['{"token":"a","token":"b"}', "application/json", "json_duplicate_key"],
    ["{}", "application/json; charset=latin1", "charset_unsupported"],
  ])("%j as %s is %s", (body, contentType, code) => {
    expect(() => read(body, contentType)).toThrow(code);
  });
});
