import { describe, expect, it } from "vitest";
import { RequestHeaders } from "../../../src/attempt/request-headers.ts";
import { passedOn } from "../../../src/core/trace-context.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";

const IDS = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

describe("a traceparent", () => {
  it.each([`00-${IDS}-01`, `00-${IDS}-00`, `00-${IDS}-ff`])("of this version is passed on as it is: %s", (text) => {
    expect(passedOn(text)).toBe(text);
  });

  it.each([
    [`01-${IDS}-01`, `00-${IDS}-01`],
    [`cc-${IDS}-03-what-the-future-will-be-like`, `00-${IDS}-01`],
    [`fe-${IDS}-02-`, `00-${IDS}-00`],
  ])("of a later version is passed on as this one: %s", (text, expected) => expect(passedOn(text)).toBe(expected));

  it.each([
    `ff-${IDS}-01`,
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
    `00-${IDS}-01-more`,
    `01-${IDS}-01more`,
    `00-${IDS.toUpperCase()}-01`,
    `0-${IDS}-01`,
    `00-${IDS}-1`,
    ` 00-${IDS}-01`,
    `00-${IDS}-01\n`,
    "",
  ])("that is invalid is not passed on: '%s'", (text) => expect(passedOn(text)).toBeUndefined());

  it("of an event goes to the receiver only where it is valid", () => {
    const target = { url: "https://r.test/", headers: [], authorization: undefined, keys: [] };
    const payload = { contentType: undefined, body: new Uint8Array(0), headers: [] };
    const headers = new RequestHeaders("Postrider/test", target, new Set());
    const sent = (traceparent: string) => headers.forAttempt(anEvent({ extensions: { traceparent } }), payload, []).sent;
    expect(sent(`00-${IDS}-01`)).toContain("traceparent");
    expect(sent(`ff-${IDS}-01`)).not.toContain("traceparent");
  });
});
