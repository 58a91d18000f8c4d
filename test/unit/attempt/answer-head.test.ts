import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AnswerHead } from "../../../src/attempt/http/answer-head.ts";

/** What the parser gets of an answer that comes in these pieces. */
function shown(...pieces: readonly string[]): string {
  const head = new AnswerHead();
  head.begin();
  return pieces.map((piece) => head.corrected(Buffer.from(piece, "latin1")).toString("latin1")).join("");
}

describe("an answer's head in the form that a strict parser takes", () => {
  test.each([
    ["HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"],
    ["HTTP/1.1 200 OK\nA: b\n\nbo\ndy", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbo\ndy"],
    ["HTTP/1.1 200 OK\r\nA: b\r\n \t c\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b c\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\nA: b\n c\n\td\n\n d", "HTTP/1.1 200 OK\r\nA: b c d\r\n\r\n d"],
    ["HTTP/1.1 200 OK\r\n A: b\r\nC: d\r\n\r\n", "HTTP/1.1 200 OK\r\nC: d\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\nA \t: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\nA b: c : d\r\n\r\n", "HTTP/1.1 200 OK\r\nA b: c : d\r\n\r\n"],
    ["HTTP/1.1 200 O\rK\r\nA: b\rc\r\r\n\r\n", "HTTP/1.1 200 O\rK\r\nA: b\rc\r\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\n\rA: b\r\n\r\n", "HTTP/1.1 200 OK\r\n\rA: b\r\n\r\n"],
    ["HTTP/1.1 100 Go\n\nHTTP/1.1 200 OK\n\n\n", "HTTP/1.1 102 Go\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\n"],
    ["HTTP/1.1 103 H\r\nA: b\r\n c\r\n\r\nHTTP/1.1 100\n\n", "HTTP/1.1 103 H\r\nA: b c\r\n\r\nHTTP/1.1 102\r\n\r\n"],
    ["\r\n\nHTTP/1.1 204\n\n", "\r\n\nHTTP/1.1 204\r\n\r\n"],
  ])("%j: %j", (given, expected) => {
    expect(shown(given)).toBe(expected);
    expect(shown(...Array.from(given)), "byte by byte").toBe(expected);
  });

  test("before a request has gone out, and after a head, nothing is changed", () => {
    const head = new AnswerHead();
    const before = Buffer.from("HTTP/1.1 200 OK\nA: b\n\n");
    expect(head.corrected(before)).toBe(before);
    head.begin();
    head.corrected(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"));
    const body = Buffer.from("a\n b\n\n");
    expect(head.corrected(body)).toBe(body);
    head.begin();
    expect(head.corrected(Buffer.from("HTTP/1.1 201 C\n\n")).toString()).toBe("HTTP/1.1 201 C\r\n\r\n");
  });

  test("what a sender writes by the rules passes as it is, however it is cut", () => {
    const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,8}$/);
    const value = fc.stringMatching(/^[!-~]([ -~]{0,12}[!-~])?$/);
    const answer = fc
      .tuple(fc.integer({ min: 200, max: 599 }), fc.array(fc.tuple(token, value), { maxLength: 6 }), fc.string({ maxLength: 40 }))
      .map(([status, fields, body]) => `HTTP/1.1 ${status} X\r\n${fields.map(([n, v]) => `${n}: ${v}\r\n`).join("")}\r\n${body}`);
    fc.assert(
      fc.property(answer, fc.array(fc.nat(300), { maxLength: 5 }), (text, cuts) => {
        const bytes = Buffer.from(text, "latin1").toString("latin1");
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
        const pieces = places.slice(1).map((end, i) => bytes.slice(places[i], end));
        expect(shown(...pieces)).toBe(bytes);
      }),
    );
  });

  test("any bytes: nothing is held back for long, and no more than twice as much comes out", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("\r", "\n", " ", "\t", ":", "a", "1", "0", "HTTP/1.1 1", "HTTP/1.1 200"), { maxLength: 60 }),
        (parts) => {
          const given = parts.join("");
          const out = shown(...parts);
          expect(out.length).toBeLessThanOrEqual(given.length * 2 + 2);
          expect(out).toBe(shown(given));
        },
      ),
    );
  });
});
