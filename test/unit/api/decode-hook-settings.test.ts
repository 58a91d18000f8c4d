import { describe, expect, it } from "vitest";
import { decodeHookSettings, readTokenAnnotations } from "../../../src/api/decode-hook-settings.ts";

function faults(text: string): string {
  const read = decodeHookSettings(text);
  return read.ok ? "none" : read.problems.map(({ reason, message }) => `${reason}: ${message}`).join("\n");
}

describe("the annotation postrider.dev/hooks", () => {
  it("is YAML or JSON; headers and media types have no case", () => {
    const yaml =
      "token: [X-Gitlab-Token, Basic]\nidempotencyKey: webhook-id\nheaders: {X-Event: event}\nquery: {Env: env}\njsonTypes: Text/Plain\njsonFields: payload\n";
    const json = JSON.stringify({
      token: ["x-gitlab-token", "basic"],
      idempotencyKey: "Webhook-Id",
      headers: { "x-event": "event" },
      query: { Env: "env" },
      jsonTypes: ["text/plain"],
      jsonFields: ["payload"],
    });
    const settings = {
      token: ["x-gitlab-token", "basic"],
      idempotencyKey: "webhook-id",
      headers: [{ from: "x-event", attribute: "event" }],
      query: [{ from: "Env", attribute: "env" }],
      jsonTypes: ["text/plain"],
      jsonFields: ["payload"],
    };
    expect(decodeHookSettings(yaml)).toEqual({ ok: true, value: settings });
    expect(decodeHookSettings(json)).toEqual({ ok: true, value: settings });
    expect(decodeHookSettings("{}")).toMatchObject({ ok: true, value: { token: [], headers: [], idempotencyKey: undefined } });
  });

  it.each([
    ["tokens: X-Key", "UnknownField: the annotation postrider.dev/hooks: tokens is unknown, did you mean token?"],
    ["idempotencykey: X-Id", "did you mean idempotencyKey?"],
    ["zebra: 1", "zebra is unknown; supported: token, idempotencyKey, headers, query, jsonTypes, jsonFields"],
    ["just words", "TypeInvalid: the annotation postrider.dev/hooks must be an object of token, idempotencyKey"],
    ["[1", "InvalidYAML"],
    ["{a: *b}", "InvalidYAML"],
    ["token: yes", "Ambiguous"],
    ["{}\n---\n{}", "InvalidYAML: the annotation postrider.dev/hooks: more than one document"],
    ["token: {a: b}", "TypeInvalid: the annotation postrider.dev/hooks: token must be a list of strings"],
    ["token: [A1, B2, C3, D4, E5]", "TooMany: the annotation postrider.dev/hooks: token has 5 entries; at most 4 are allowed"],
    ["token: [Cookie]", "names 'cookie', which belongs to HTTP itself"],
    ["token: ['a b']", "names 'a b', which is not a header name"],
    ["token: ['']", "contains a name that is empty, longer than 64 characters or not printable"],
    [`token: [${"a".repeat(65)}]`, "longer than 64 characters"],
    ["idempotencyKey: [a]", "TypeInvalid: the annotation postrider.dev/hooks: idempotencyKey must be a string"],
    ["idempotencyKey: X-Auth-Token", "names 'x-auth-token', which may hold a secret"],
    ["headers: [X-Event]", "headers must be an object such as {X-GitHub-Event: githubevent}"],
    ["headers: {X-Event: 1}", "headers must be an object such as"],
    ["headers: {X-Event: Event}", "is kept as 'Event', which is not the name of a CloudEvents extension: use 1 to 64 of a-z and 0-9"],
    ["headers: {X-Event: subject}", "is kept as 'subject', which every event has"],
    ["headers: {X-Event: traceparent}", "a meaning of its own"],
    ["headers: {X-A: a, X-B: a}", "Duplicate: the annotation postrider.dev/hooks: x-b is kept as 'a', and so is another one"],
    [
      "headers: {X-A: a, x-a: b}",
      "Duplicate: the annotation postrider.dev/hooks: headers.x-a appears twice (names are compared without case)",
    ],
    ["headers: {X-A: a}\nquery: {b: a}", "Duplicate"],
    ["headers: {Authorization: a}", "may hold a secret: such headers are never stored or sent on"],
    ["headers: {Cookie: a}", "belongs to HTTP itself"],
    ["headers: {X-Gitlab-Token: a}", "may hold a secret"],
    ["headers: {X-Api-Key: a}", "may hold a secret"],
    ["headers: {X-Functions-Key: a}", "may hold a secret"],
    ["headers: {Proxy-Authorization: a}", "belongs to HTTP itself"],
    ["token: X-Word\nheaders: {X-Word: a}", "headers.x-word also holds the token, which is never kept"],
    ["token: X-Word\nidempotencyKey: x-word", "idempotencyKey also holds the token, which every event of the caller has"],
    ["query: {token: a}", "names a parameter that Postrider reads itself"],
    ["query: {wait: a}", "names a parameter that Postrider reads itself"],
    ["query: {api_key: a}", "may hold a secret"],
    [`headers: {${Array.from({ length: 17 }, (_, n) => `X-${n}: a${n}`).join(", ")}}`, "headers has 17 entries; at most 16 are allowed"],
    ["jsonTypes: [text]", "contains 'text', which is not a media type such as text/plain (without parameters), nor none"],
    ["jsonTypes: ['text/plain; charset=utf-8']", "is not a media type"],
    ["jsonTypes: [multipart/form-data]", "name those that are JSON in jsonFields"],
    ['jsonFields: ["a\\u0000"]', "not printable"],
    ["__proto__: {token: a}", "__proto__ is unknown"],
    [`# ${"x".repeat(4_096)}`, "TooLong: the annotation postrider.dev/hooks has 4098 characters; at most 4096 are allowed"],
    ["a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]", "unknown"],
  ])("%s is refused as a whole", (text, message) => {
    expect(faults(text)).toContain(message);
  });

  it("is refused when it is nested without end", () => {
    expect(faults("[".repeat(2_000))).toContain("TooDeep");
  });

  it.each(
    [
      "X-GitHub-Event X-Hub-Signature-256 X-Gitlab-Event X-Event-Key X-Request-UUID X-Hook-UUID X-Shopify-Topic X-Shopify-Hmac-Sha256 Stripe-Signature",
      "X-Slack-Signature x-amz-sns-topic-arn X-Twilio-Signature I-Twilio-Idempotency-Token X-Contentful-Idempotency-Key Linear-Delivery svix-id",
      "PAYPAL-AUTH-ALGO PAYPAL-TRANSMISSION-ID Sentry-Hook-Resource X-Author webhook-id webhook-signature X-Atlassian-Webhook-Identifier Request-ID",
    ].flatMap((names) => names.split(" ")),
  )("lets %s be kept, and name the event", (name) => {
    expect(faults(`{headers: {${name}: a}, idempotencyKey: ${name}}`)).toBe("none");
  });

  it.each(
    [
      "Authorization X-Authorization Cookie Set-Cookie Proxy-Authorization X-Gitlab-Token X-Api-Key ApiKey X-Key X-Auth X-Auth-Token X-Access-Key",
      "X-Functions-Key Ocp-Apim-Subscription-Key X-Hook-Secret X-Telegram-Bot-Api-Secret-Token X-Amz-Security-Token X-CSRF-Token X-Goog-IAP-JWT-Assertion",
      "X-Session-Id X-Password X-Private-Key Dd-Api-Key",
    ].flatMap((names) => names.split(" ")),
  )("lets %s not be kept", (name) => {
    expect(faults(`{headers: {${name}: a}}`)).toMatch(/may hold a secret|belongs to HTTP itself/);
  });

  it("tells every mistake at once", () => {
    expect(faults("tokn: a\nheaders: {Cookie: B}").split("\n")).toHaveLength(3);
  });
});

describe("annotations of a Secret of tokens", () => {
  it("are known by name: a misspelt one is told, with the one that is meant, and harms nothing", () => {
    const read = readTokenAnnotations({ "postrider.dev/hook": "{}", "example.com/hooks": "x", "postrider.dev/hooks": "{token: Basic}" });
    expect(read.settings).toMatchObject({ token: ["basic"] });
    expect(read.problems.map(({ message }) => message)).toEqual([
      "the annotation postrider.dev/hook is unknown, did you mean postrider.dev/hooks?",
    ]);
    expect(readTokenAnnotations({ "postrider.dev/producr": "x" }).problems).toHaveLength(1);
    expect(readTokenAnnotations({ "postrider.dev/producer": "x", "postrider.dev/something-else-entirely": "x" }).problems).toEqual([]);
    expect(readTokenAnnotations(undefined)).toEqual({ settings: undefined, problems: [] });
  });
});
