import fc from "fast-check";
import { expect, it } from "vitest";
import { dataAsJson } from "../../../src/core/event-data.ts";
import type { Event } from "../../../src/core/event.ts";
import type { HookSettings } from "../../../src/core/hook-settings.ts";
import { scanJson } from "../../../src/core/json-scan.ts";
import { readHook } from "../../../src/ingest/hook-body.ts";

const SETTINGS: HookSettings = {
  token: [],
  idempotencyKey: "x-id",
  headers: [{ from: "x-a", attribute: "a" }],
  query: [{ from: "q", attribute: "q" }],
  jsonTypes: ["text/plain"],
  jsonFields: ["p"],
};

const PARTS = Buffer.from(
  [
    "--b",
    'Content-Disposition: form-data; name="p"',
    "",
    '{"n":1.50}',
    "--b",
    'Content-Disposition: form-data; name="j"',
    "Content-Type: application/json",
    "",
    '["\u00fc"]',
    "--b",
    "Content-Disposition: form-data; name*=utf-8''%C3%BC; filename=x",
    "",
    "\u00ff\u0000",
    "--b--",
    "",
  ].join("\r\n"),
  "latin1",
);
const SAMPLES: readonly (readonly [type: string, body: Buffer])[] = [
  ["multipart/form-data; boundary=b", PARTS],
  ["application/x-www-form-urlencoded", Buffer.from("p=%7B%22n%22%3A1.50%7D&x=a+b&x=%C3%BC&__proto__=1&token=t")],
  ["text/plain; charset=utf-8", Buffer.from('{"p":[1,{"a":null}],"token":"t"}')],
  ["application/json", Buffer.from('{"token":"t","p":"\\ud800"}')],
];

/** Some bytes of a sample changed, taken out or put in. */
const mutated = fc
  .tuple(
    fc.constantFrom(...SAMPLES),
    fc.array(
      fc.tuple(fc.nat(), fc.constantFrom("set", "cut", "put"), fc.oneof(fc.nat(255), fc.constantFrom(13, 10, 45, 34, 58, 59, 38, 61, 37))),
      {
        maxLength: 4,
      },
    ),
  )
  .map(([[type, body], edits]) => {
    let bytes = body;
    for (const [place, how, byte] of edits) {
      const at = place % (bytes.length + 1);
      const put = how === "cut" ? Buffer.alloc(0) : Buffer.from([byte]);
      bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(how === "put" ? at : at + 1)]);
    }
    return { type, bytes };
  });

it("whatever a body becomes on its way, it is refused with a 4xx or shown as JSON, and bytes that are not called JSON stay as they are", () => {
  let [accepted, refused] = [0, 0];
  fc.assert(
    fc.property(mutated, fc.boolean(), fc.boolean(), ({ type, bytes }, hasSettings, tokenMatched) => {
      const read = readHook(bytes, { type: "t", contentType: type, hookHeaders: ["X-A", "a", "x-id", "1"], hookQuery: "q=1" });
      const drafts = read.ok ? read.value.drafts(tokenMatched, hasSettings ? SETTINGS : undefined) : read;
      if (!drafts.ok) {
        refused += 1;
        expect(drafts.refusal.status).toBeGreaterThanOrEqual(400);
        expect(drafts.refusal.status).toBeLessThan(500);
        return;
      }
      accepted += 1;
      const [draft] = drafts.value;
      if (draft === undefined) throw new Error("a hook is one event");
      const event: Event = { ...draft, id: "i", namespace: "n", sourceId: "i", source: "/s", receivedAtMs: 0 };
      expect(scanJson(dataAsJson(event))).toMatchObject({ ok: true });
      expect(draft.extensions).toEqual(hasSettings ? { a: "a", q: "1" } : {});
      if (!hasSettings && !tokenMatched) expect(Buffer.compare(draft.data, bytes)).toBe(0);
    }),
    { numRuns: 5_000 },
  );
  expect(accepted).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(500);
});
