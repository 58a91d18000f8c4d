import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Event } from "../../../src/core/event.ts";
import { dataAsJson } from "../../../src/core/event-data.ts";
import { eventValue } from "../../../src/core/event-value.ts";
import { PART_HEAD_BYTES_MAX, PARTS_MAX, readMultipart } from "../../../src/core/multipart.ts";

const TYPE = "multipart/form-data; boundary=b1";

function lines(...all: string[]): Buffer {
  return Buffer.from(all.join("\r\n"), "latin1");
}

function part(disposition: string, value: string, ...headers: string[]): string[] {
  return ["--b1", `Content-Disposition: form-data; ${disposition}`, ...headers, "", value];
}

function event(data: Uint8Array, dataContentType = TYPE): Event {
  return {
    id: "i",
    namespace: "shop",
    sourceId: "i",
    source: "/s",
    type: "t",
    subject: undefined,
    time: undefined,
    dataContentType,
    dataKind: "binary",
    data,
    extensions: {},
    receivedAtMs: 0,
  };
}

function shown(data: Uint8Array, contentType = TYPE): unknown {
  return JSON.parse(Buffer.from(dataAsJson(event(data, contentType))).toString("utf8"));
}

function fault(data: Uint8Array, contentType = TYPE): string {
  const read = readMultipart(data, contentType);
  return read.ok ? `${read.parts.length} parts` : `${read.error.offset}: ${read.error.message}`;
}

describe("a form of several parts", () => {
  it("is an object: texts as strings, JSON as it is, files and other bytes with their base64, repeated names as arrays", () => {
    const body = lines(
      ...part('name="payload"', '{"n":1.50,"id":12345678901234567890}', "Content-Type: application/json"),
      ...part('name="tag"', "a"),
      ...part('name="tag"', "b"),
      ...part('name="thumb"; filename="a b.jpg"', "\xff\xd8", "Content-Type: image/jpeg"),
      ...part('name="latin"', "gr\xfcn", "Content-Type: text/plain; charset=iso-8859-1"),
      ...part('name="empty"', ""),
      "--b1--",
      "",
    );
    expect(Buffer.from(dataAsJson(event(body))).toString("utf8")).toBe(
      '{"payload":{"n":1.50,"id":12345678901234567890},"tag":["a","b"],"thumb":{"filename":"a b.jpg","contentType":"image/jpeg","base64":"/9g="},"latin":{"contentType":"text/plain; charset=iso-8859-1","base64":"Z3L8bg=="},"empty":""}',
    );
    expect(eventValue(event(body), "data.payload.id")).toBe("12345678901234567890");
    expect(eventValue(event(body), "data.thumb.filename")).toBe("a b.jpg");
  });

  it.each([
    ['name="__proto__"', "__proto__"],
    ['name="constructor"', "constructor"],
    ['name=""', ""],
    ["name=bare", "bare"],
    ['name="a;b=c"', "a;b=c"],
    ['name="a\\"b"', 'a"b'],
    ['name="a%22b%0D%0Ac%25"', 'a"b\r\nc%25'],
    ['name="gr\u00c3\u00bcn"', "grün"],
    ["name*=utf-8''gr%C3%BCn", "grün"],
    ['name="C:\\dir\\x"', "C:\\dir\\x"],
    ['name="\\"', "\\"],
    ['name="a\\"; filename="b"', "a\\"],
    ['name="x" ; ', "x"],
  ])("reads the name of %s as %j", (disposition, name) => {
    const body = lines(...part(disposition, "v"), "--b1--");
    const read = readMultipart(body, TYPE);
    expect(read.ok && read.parts.map((one) => one.name)).toEqual([name]);
    const told = Buffer.from(dataAsJson(event(body))).toString("utf8");
    expect(told.startsWith(`{${JSON.stringify(name)}:`)).toBe(true);
  });

  it("does not end at what only looks like its boundary, and may have empty lines around it", () => {
    const tricky = "--b1x\r\n--b1-\r\n--b1--x\r\n--b2\r\n--b1";
    const body = lines("", "", ...part('name="a"', `${tricky}-\r\n--b1 x`), "--b1--  ", "", "");
    expect(shown(body)).toEqual({ a: `${tricky}-\r\n--b1 x` });
    expect(shown(lines("--b1--"))).toEqual({});
    // RFC 2046 5.1.1: a part may have headers and no body.
    expect(shown(lines("--b1", 'Content-Disposition: form-data; name="a"', "", "--b1--"))).toEqual({ a: "" });
    expect(
      shown(lines("--b 1", 'Content-Disposition: form-data; name="a"', "", "v", "--b 1--"), 'multipart/form-data; boundary="b 1"'),
    ).toEqual({ a: "v" });
  });

  it("that is broken, or is not called one, is bytes as before", () => {
    const body = lines(...part('name="a"', "v"), "--b1--");
    const base64 = body.toString("base64");
    expect(shown(body)).toEqual({ a: "v" });
    expect(shown(body, "multipart/mixed; boundary=b1")).toBe(base64);
    expect(shown(body, "application/octet-stream")).toBe(base64);
    expect(shown(body.subarray(1))).toBe(body.subarray(1).toString("base64"));
    expect(eventValue(event(body.subarray(1)), "data.a")).toBeUndefined();
    expect(eventValue(event(body), "data.a")).toBe("v");
  });

  it("within a part is text", () => {
    const inner = lines("--b2", 'Content-Disposition: file; filename="x"', "", "v", "--b2--").toString();
    expect(shown(lines(...part('name="a"', inner, "Content-Type: multipart/mixed; boundary=b2"), "--b1--"))).toEqual({ a: inner });
  });

  it.each([
    [
      "no boundary",
      lines(...part('name="a"', "v"), "--b1--"),
      "multipart/form-data",
      "0: the Content-Type has no boundary of 1 to 70 characters",
    ],
    ["two boundaries", lines(...part('name="a"', "v"), "--b1--"), `${TYPE}; boundary=b2`, "0: the Content-Type has no boundary"],
    ["a long boundary", lines("x"), `multipart/form-data; boundary=${"b".repeat(71)}`, "0: the Content-Type has no boundary"],
    [
      "another boundary",
      lines("--b2", "", "", "--b2--"),
      TYPE,
      "0: the body does not begin with the boundary that the Content-Type names, on a line that ends in CR LF",
    ],
    ["bare LF", Buffer.from('--b1\nContent-Disposition: form-data; name="a"\n\nv\n--b1--'), TYPE, "0: the body does not begin"],
    [
      "a first boundary that is mangled",
      lines("-b1", 'Content-Disposition: form-data; name="a"', "", "v", "--b1--"),
      TYPE,
      "0: the body does not begin",
    ],
    ["text before it", lines("hello", ...part('name="a"', "v"), "--b1--"), TYPE, "0: the body does not begin"],
    ["text behind it", lines(...part('name="a"', "v"), "--b1--", "hello"), TYPE, "61: there are bytes behind the closing boundary"],
    ["half a body", lines(...part('name="a"', "v")), TYPE, "51: the body ends without the closing boundary"],
    ["half a head", lines("--b1", "Content-Dispo"), TYPE, "6: the headers of a part have no end"],
    ["no head", lines("--b1", "", "v", "--b1--"), TYPE, "6: the headers"],
    ["no name", lines("--b1", "Content-Disposition: form-data", "", "v", "--b1--"), TYPE, "6: a part has no Content-Disposition"],
    ["no disposition", lines("--b1", "Content-Type: text/plain", "", "v", "--b1--"), TYPE, "6: a part has no Content-Disposition"],
    ["a name twice", lines(...part('name="a"; name="b"', "v"), "--b1--"), TYPE, "6: a part has no Content-Disposition"],
    ["a header twice", lines(...part('name="a"', "v", "x: 1", "X: 2"), "--b1--"), TYPE, "6: a part has the header 'x' twice"],
    ["a folded header", lines(...part('name="a"', "v", " folded: 1"), "--b1--"), TYPE, "6: a part has a header line without a name"],
    [
      "base64",
      lines(...part('name="a"', "dg==", "Content-Transfer-Encoding: base64"), "--b1--"),
      TYPE,
      "6: a part has a Content-Transfer-Encoding",
    ],
    ["a name that is not UTF-8", lines(...part('name="gr\xfcn"', "v"), "--b1--"), TYPE, "6: the headers of a part are not UTF-8"],
    [
      "a long head",
      lines(...part('name="a"', "v", `x: ${"x".repeat(PART_HEAD_BYTES_MAX)}`), "--b1--"),
      TYPE,
      "6: the headers of a part have no end within 8192 bytes",
    ],
  ])("is refused with %s, with the byte", (_what, body, contentType, message) => {
    expect(fault(body, contentType)).toContain(message);
  });

  it("has at most 1,000 parts", () => {
    const many = (count: number): Buffer => lines(...Array.from({ length: count }, (_, n) => part(`name="${n}"`, "v")).flat(), "--b1--");
    expect(fault(many(PARTS_MAX))).toBe("1000 parts");
    expect(fault(many(PARTS_MAX + 1))).toContain("there are more than 1000 parts");
    expect(fault(many(4_000))).toContain("there are more than 1000 parts");
  });

  it.each([
    ["boundaries that are none", "\r\n--b1x"],
    ["openings", "\r\n--b1"],
    ["line ends", "\r\n"],
    ["hyphens", "-"],
    ["empty parts", '--b1\r\nContent-Disposition: form-data; name=""\r\n\r\n\r\n'],
  ])("costs no more than its length: 256 KiB of %s", (_what, text) => {
    const body = Buffer.from(text.repeat(Math.ceil(262_144 / text.length)));
    const before = process.cpuUsage();
    expect(readMultipart(body, TYPE).ok).toBe(false);
    expect(process.cpuUsage(before).user).toBeLessThan(200_000);
  });

  it("is read as Node's own parser reads it, where that reads it at all", async () => {
    const name = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => text.isWellFormed());
    const value = fc.oneof(name, fc.constantFrom("\r\n", "--b1", "\r\n--b1x", "\r\n--", ""));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, value, fc.boolean()), { maxLength: 5 }), async (fields) => {
        const form = new FormData();
        for (const [key, text, isFile] of fields) {
          if (isFile) form.append(key, new File([text], key, { type: "application/x-test" }));
          else form.append(key, text);
        }
        const sent = new Response(form);
        const contentType = sent.headers.get("content-type") ?? "";
        const body = new Uint8Array(await sent.arrayBuffer());
        const read = readMultipart(body, contentType);
        const theirs = await new Response(body, { headers: { "content-type": contentType } }).formData();
        const expected = await Promise.all(
          [...theirs].map(async ([key, one]) => (typeof one === "string" ? [key, undefined, one] : [key, one.name, await one.text()])),
        );
        const ours = read.ok ? read.parts.map((one) => [one.name, one.filename, one.value.toString("utf8")]) : read.error.message;
        expect(ours).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});
