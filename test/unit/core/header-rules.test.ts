import { describe, expect, test } from "vitest";
import { DENIED_HEADERS, headerNameFault, judgeHeaders } from "../../../src/core/header-rules.ts";

/** How one and the same variable of a CGI or WSGI program can be written as a header. */
const SPELLINGS = [
  (name: string) => name,
  (name: string) => name.toUpperCase(),
  (name: string) => name.replaceAll("-", "_"),
  (name: string) => name.replaceAll("-", ".").toUpperCase(),
  (name: string) => name.replaceAll("-", "~"),
];

describe("denied headers", () => {
  test.each(DENIED_HEADERS.flatMap(({ names }) => names))("%s, however it is spelt", (name) => {
    const [start, one] = [name.replace("*", ""), name.replace("*", "user")];
    for (const spell of SPELLINGS) {
      expect(headerNameFault(spell(one))).toContain(`'${spell(one)}'`);
      expect(judgeHeaders([[spell(one), "a"]], false)?.message).toContain("remove it");
      // The start alone of a family is one of them too: `X-Remote-` is a name.
      if (name.endsWith("*")) expect(headerNameFault(spell(start))).toBeDefined();
    }
  });

  /** What an attacker with a receiver that trusts Postrider's address would send. */
  test.each([
    "Impersonate-User",
    "Impersonate-Extra-scopes",
    "X-Remote-User",
    "X-Remote-Extra-Scopes",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "HTTP2-Settings",
    "Range",
    "X-Forwarded-For",
    "X-Forwarded",
    "Forwarded",
    "X-Real-IP",
    "True-Client-IP",
    "Via",
    "Proxy",
    "Proxy-Connection",
    "Keep-Alive",
    "Expect",
    "Upgrade",
    "X-Envoy-Original-Path",
    "X-Amzn-Oidc-Identity",
    "Cookie",
    "Trailer",
    "Sec-WebSocket-Key",
  ])("%s", (name) => expect(headerNameFault(name)).toBeDefined());

  test.each([
    "Authorization",
    "Accept",
    "X-Team",
    "X-Api-Key",
    "X-Auth-Token",
    "X-Request-Id",
    "X-Amz-Date",
    "X-Ranger",
    "Ranges",
    "Hostname",
    "X-Viable",
    "Dates",
    "Proxyless",
    "Tea",
    "Content-Digest",
    "Signature",
    "Signature-Input",
    "X-Hub-Signature-256",
    "Idempotency-Key",
    "If-Match",
  ])("%s is taken", (name) => expect(headerNameFault(name)).toBeUndefined());
});
