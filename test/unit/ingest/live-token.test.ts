import { describe, expect, it } from "vitest";
import type { EventDraft } from "../../../src/ingest/event-draft.ts";
import { liveTokenRefusal } from "../../../src/ingest/live-token.ts";

const PLAIN = "canarytoken5d1f07b2a9";
const ODD = 'a/b+c="d" é&token~';

function draftOf(change: Partial<EventDraft> & { text?: string } = {}): EventDraft {
  const { text = "{}", ...rest } = change;
  return {
    identity: { id: "1", source: "/till" },
    type: "order.paid",
    subject: undefined,
    time: undefined,
    dataContentType: "application/json",
    dataKind: "json",
    data: Buffer.from(text),
    extensions: {},
    ...rest,
  };
}

const found = (draft: EventDraft, token = PLAIN, idempotencyKey?: string) => liveTokenRefusal([draft], { tokens: [token], idempotencyKey });

describe("a token that is still alive", () => {
  it.each([
    ["the data", { text: `{"a":"${PLAIN}"}` }, "data"],
    ["the data, in the middle of a word", { text: `{"a":"x${PLAIN}y"}` }, "data"],
    ["a key of the data", { text: `{"${PLAIN}":1}` }, "data"],
    ["data that is no text", { dataKind: "binary", data: Buffer.concat([Buffer.from([0xff]), Buffer.from(PLAIN)]) }, "data"],
    ["data with needless escapes", { text: `{"a":"\\u0063${PLAIN.slice(1)}"}` }, "data"],
    ["data that is a view into more", { data: Buffer.from(`xx${PLAIN}xx`).subarray(2, -2) }, "data"],
    ["the subject", { subject: `s-${PLAIN}` }, "subject"],
    ["the type", { type: `order.${PLAIN}` }, "type"],
    ["the source", { identity: { id: "1", source: `https://x/?token=${PLAIN}` } }, "source"],
    ["the id", { identity: { id: PLAIN, source: "/till" } }, "id"],
    ["the content type", { dataContentType: `text/plain; x=${PLAIN}` }, "datacontenttype"],
    ["an extension", { extensions: { a: "b", token: PLAIN } }, "an extension attribute"],
  ] as [string, Partial<EventDraft> & { text?: string }, string][])("is found in %s", (_what, change, where) => {
    expect(found(draftOf(change))).toMatchObject({ status: 400, code: "token_in_data", detail: expect.stringContaining(`(${where})`) });
  });

  it.each([
    ["as it is", { dataKind: "text", text: `x ${ODD} y` }],
    ["in JSON", { text: JSON.stringify({ a: ODD }) }],
    ["in JSON with escaped slashes", { text: JSON.stringify({ a: ODD }).replaceAll("/", "\\/") }],
    ["in an address", { dataKind: "text", text: encodeURIComponent(ODD) }],
    ["in an address, in lower case", { dataKind: "text", text: encodeURIComponent(ODD).replaceAll(/%../g, (hex) => hex.toLowerCase()) }],
    ["in a form", { dataKind: "form", text: new URLSearchParams({ a: ODD }).toString() }],
    ["in an attribute", { subject: `https://x/?a=${encodeURIComponent(ODD)}` }],
  ] as [string, Partial<EventDraft> & { text?: string }][])("with odd characters is found %s", (_what, change) => {
    expect(found(draftOf(change), ODD)).toMatchObject({ code: "token_in_data" });
  });

  it("is found in the Idempotency-Key, which is stored too", () => {
    expect(found(draftOf(), PLAIN, `key-${PLAIN}`)?.detail).toContain("(Idempotency-Key)");
  });

  it("is told by the event of a batch that holds it, and never itself", () => {
    const drafts = [draftOf(), draftOf({ text: `"${PLAIN}"` })];
    const refusal = liveTokenRefusal(drafts, { tokens: ["other-token-0123456789", PLAIN], idempotencyKey: undefined });
    expect(refusal).toMatchObject({ index: 1 });
    expect(JSON.stringify(refusal)).not.toContain(PLAIN);
  });

  it.each([
    ["nothing of it", { text: '{"a":1}' }],
    ["a part of it", { text: `"${PLAIN.slice(0, -1)}"` }],
    ["it in other letters", { text: `"${PLAIN.toUpperCase()}"` }],
    ["other escapes", { text: '{"a":"\\u003c\\u00e9\\n"}' }],
  ] as [string, { text: string }][])("is not found in %s", (_what, change) => {
    expect(found(draftOf(change))).toBeUndefined();
  });

  it("is looked for only where a token let the request in", () => {
    expect(liveTokenRefusal([draftOf({ text: "{}" })], { tokens: [], idempotencyKey: "k" })).toBeUndefined();
  });
});
