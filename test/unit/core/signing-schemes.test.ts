import { describe, expect, it } from "vitest";
import { schemaOf } from "../../../src/api/schema.ts";
import { RequestHeaders } from "../../../src/attempt/request-headers.ts";
import { SCHEME_LIST, SCHEMES } from "../../../src/core/signing/scheme-registry.ts";
import { parseKey } from "../../../src/core/signing/sign.ts";
import { hmacSigning, NAMED_SIGNINGS, namedSigning } from "../../../src/core/signing/signing-styles.ts";
import { secretFault } from "../../../src/core/signing/verify.ts";
import { REDACTED } from "../../../src/observe/redact.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";

const BYTES = new Uint8Array(32).fill(7);

describe("every scheme of the registry", () => {
  it.each(SCHEME_LIST)("%s has the same fields in the same order, so that calls through it stay fast", (_name, scheme) => {
    expect(Object.keys(scheme)).toEqual(Object.keys(SCHEMES.StandardWebhooks));
  });

  it.each(SCHEME_LIST.filter(([, { needsKey }]) => needsKey))("%s signs with the key that it makes", (name, scheme) => {
    expect(parseKey(name, Buffer.from(scheme.newSecret(BYTES)))).toMatchObject({ ok: true });
  });

  it.each(SCHEME_LIST)("%s shows only headers that it sets, in lower case", (_name, { ownHeaders, shownHeaders }) => {
    for (const name of shownHeaders) expect(ownHeaders).toContain(name);
  });

  it("is one of the custom resource, and the other way round", () => {
    const field = schemaOf("WebhookSubscription").properties?.["spec"]?.properties?.["signing"]?.properties?.["scheme"];
    expect(Object.keys(SCHEMES)).toEqual(field?.enum);
  });

  it("gives no name to two ways of signing", () => {
    const names = SCHEME_LIST.flatMap(([, { named, otherNames }]) => Array.from(named.keys()).concat(otherNames));
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(namedSigning(name)).toBeDefined();
  });

  it("keeps the order in which help names them", () => {
    expect([...NAMED_SIGNINGS.keys()].join(" ")).toBe("standard ed25519 github shopify stripe slack token http-message none");
  });

  it("takes no secret that none of them could verify with", () => {
    expect(secretFault(undefined, Buffer.from("short"))).toMatch(/it has 5/);
    expect(secretFault(undefined, BYTES)).toBeUndefined();
  });
});

it("history never shows an HMAC, even in a header whose name another scheme shows", () => {
  const signing = hmacSigning({ header: "content-digest" });
  const key = parseKey("HMAC", BYTES);
  if (!key.ok) throw new Error(key.problem.message);
  const target = { url: "https://r.test/", headers: [], authorization: undefined, keys: [key.key] };
  const payload = { contentType: undefined, body: BYTES, headers: [] };
  const signed = SCHEMES.HMAC.sign(signing, target.keys, {
    id: "e",
    timestampSec: 1,
    body: BYTES,
    url: target.url,
    contentType: undefined,
  });
  const { sent, shown } = new RequestHeaders("Postrider/test", target, SCHEMES.HMAC.shownHeaders).forAttempt(anEvent(), payload, signed);
  expect(sent).toContain(signed[0]?.[1]);
  expect(shown).toContainEqual(["content-digest", REDACTED]);
});
