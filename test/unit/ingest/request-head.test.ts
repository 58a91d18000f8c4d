import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { readHead } from "../../../src/ingest/request-head.ts";

function request(url: string): IncomingMessage {
  return { url, method: "POST", httpVersion: "1.1", headers: { host: "x" }, rawHeaders: ["Host", "x"] } as unknown as IncomingMessage;
}
const EVENTS = "/v1/namespaces/shop/events";

describe("a token in the query is cut from the URL before anybody else reads it", () => {
  it.each([
    [`${EVENTS}?token=t`, EVENTS, "t"],
    [`${EVENTS}?a=%20&token=t&b`, `${EVENTS}?a=%20&b`, "t"],
    [`${EVENTS}?tok%65n=%74%2B`, EVENTS, "t+"],
    [`http://x${EVENTS}?token=t&a=1`, `${EVENTS}?a=1`, "t"],
    [`${EVENTS}?token=t&a=1&token=u`, `${EVENTS}?a=1`, undefined],
    [`${EVENTS}?token`, EVENTS, ""],
    [`${EVENTS}?tokens=t&a=token`, `${EVENTS}?tokens=t&a=token`, undefined],
    [EVENTS, EVENTS, undefined],
  ])("%s", (url, left, token) => {
    for (const tokenInQuery of [true, false]) {
      const message = request(url);
      const head = readHead(message, { tokenInQuery });
      expect(message.url).toBe(left);
      expect(head.ok && head.value.token).toBe(tokenInQuery ? token : undefined);
    }
  });

  it("also where nothing is found", () => {
    const message = request("/elsewhere?token=t&a=1");
    expect(readHead(message, { tokenInQuery: false }).ok).toBe(false);
    expect(message.url).toBe("/elsewhere?a=1");
  });
});
