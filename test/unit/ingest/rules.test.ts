import { describe, expect, it } from "vitest";
import { contentHash } from "../../../src/ingest/accepted-event.ts";
import { storedTokenDigest } from "../../../src/core/access-token.ts";
import { IngestTokenAuthenticator } from "../../../src/ingest/authenticator.ts";
import { headerText } from "../../../src/ingest/header-envelope.ts";
import { kindOfData, parseMediaType } from "../../../src/ingest/media-type.ts";
import { RateGate } from "../../../src/ingest/rate-gate.ts";

const bytes = (text: string): Buffer => Buffer.from(text);

describe("media types", () => {
  it.each([
    ["application/json", "application/json", undefined],
    ["Application/JSON ; Charset=UTF-8", "application/json", "utf-8"],
    ['text/plain;charset="UTF\\-8"; a=b', "text/plain", "utf-8"],
    ["text/plain;", "text/plain", undefined],
  ])("reads %s", (text, essence, charset) => {
    expect(parseMediaType(text)).toEqual({ essence, charset });
  });

  it.each(["", "json", "a/b c", "a/b;charset", "a/b;charset=x;charset=y", "a/b,c/d", `a/${"b".repeat(70)}@`])("refuses %j", (text) => {
    expect(parseMediaType(text)).toBeUndefined();
  });

  it("shows data by its type, and as binary what is not the text it claims to be", () => {
    const kind = (type: string, data: Uint8Array): string => kindOfData(parseMediaType(type)!, data);
    expect(kind("text/plain", bytes("é"))).toBe("text");
    expect(kind("image/svg+xml", bytes("<a/>"))).toBe("text");
    expect(kind("application/x-www-form-urlencoded", bytes("a=b"))).toBe("form");
    expect(kind("text/plain", new Uint8Array([0xff]))).toBe("binary");
    expect(kind("text/plain; charset=latin1", bytes("a"))).toBe("binary");
    expect(kind("image/png", bytes("a"))).toBe("binary");
  });
});

describe("ce- headers", () => {
  it.each([
    ["plain", "plain"],
    ["%E2%82%AC", "€"],
    ["100%", "100%"],
    ['"a \\"b\\""', 'a "b"'],
    ["%2541", "%41"],
    ["\u00e2\u0082\u00ac", "€"],
    ["%ff", undefined],
  ])("%j is %j", (raw, text) => {
    expect(headerText(raw)).toBe(text);
  });
});

describe("the content hash", () => {
  it("moves with each part, and no part flows into the next", () => {
    const base = { type: "a", subject: "b", dataContentType: "c/d", data: bytes("e") };
    const hash = (change: Partial<typeof base> | { subject: undefined }): string =>
      Buffer.from(contentHash({ ...base, ...change })).toString("hex");
    const all = [
      hash({}),
      hash({ type: "ab", subject: "" }),
      hash({ subject: undefined }),
      hash({ subject: "" }),
      hash({ dataContentType: "c/de", data: bytes("") }),
      hash({ data: bytes("e ") }),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(hash({})).toBe(hash({}));
  });
});

describe("static tokens", () => {
  it("trim trailing newlines, ignore short ones, know only their namespace", () => {
    expect(storedTokenDigest(bytes("0123456789abcde\n\n"))).toBeUndefined();
    const digest = storedTokenDigest(bytes("0123456789abcdef\r\n"))!;
    const tokens = new IngestTokenAuthenticator({
      tokens: { tokens: (namespace) => (namespace === "shop" ? [digest] : []), producerAt: () => "secret:a" },
    });
    expect(tokens.authenticate("shop", "0123456789abcdef")).toEqual({ producer: "secret:a" });
    expect(tokens.authenticate("shop", "0123456789abcdeF")).toBe("unauthenticated");
    expect(tokens.authenticate("shop", "0123456789abcdef\n")).toBe("unauthenticated");
    expect(tokens.authenticate("other", "0123456789abcdef")).toBe("unauthenticated");
    expect(tokens.authenticate("shop", "")).toBe("unauthenticated");
  });
});

describe("the rate gate", () => {
  it("lets a second's worth through at once, a large batch run into debt, and says how long to wait", () => {
    const gate = new RateGate(10);
    expect(gate.take("a", 10, 0)).toBeUndefined();
    expect(gate.take("a", 1, 0)).toBe(1);
    expect(gate.take("b", 1, 0)).toBeUndefined();
    expect(gate.take("a", 1, 100)).toBeUndefined();
    expect(gate.take("a", 100, 2_000)).toBeUndefined();
    expect(gate.take("a", 1, 3_000)).toBe(9);
    expect(gate.take("a", 1, 1_000)).toBe(9);
  });
});
