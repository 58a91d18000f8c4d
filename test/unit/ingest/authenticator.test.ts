import { expect, it } from "vitest";
import { storedTokenDigest } from "../../../src/core/access-token.ts";
import { TokenAuthenticator, type Verdict } from "../../../src/ingest/authenticator.ts";

const TOKEN = "0123456789abcdef-token";
const digests = [storedTokenDigest(Buffer.from(TOKEN))!];

it.each([
  ["a known token, Secrets listed", true, TOKEN, undefined, "allowed"],
  ["a known token, Secrets not listed yet", false, TOKEN, undefined, "allowed"],
  ["an unknown token, Secrets listed", true, `${TOKEN}x`, undefined, "unauthenticated"],
  ["an unknown token, Secrets not listed yet", false, `${TOKEN}x`, undefined, "unavailable"],
  ["one the cluster vouches for, Secrets not listed yet", false, "other", "allowed", "allowed"],
  ["one the cluster knows but refuses, Secrets not listed yet", false, "other", "forbidden", "forbidden"],
  ["one the cluster does not know, Secrets not listed yet", false, "other", "unauthenticated", "unavailable"],
  ["one the cluster does not know, Secrets listed", true, "other", "unauthenticated", "unauthenticated"],
  ["one too long for a token, Secrets not listed yet", false, "x".repeat(65_536), undefined, "unauthenticated"],
] as const)("%s", async (_, listed, token, reviewed, expected) => {
  const tokens = { isListed: () => listed, tokens: () => digests };
  for (const settle of [(verdict: Verdict) => verdict, (verdict: Verdict) => Promise.resolve(verdict)]) {
    const ways = reviewed === undefined ? { tokens } : { tokens, reviewer: { review: () => settle(reviewed) } };
    expect(await new TokenAuthenticator(ways).authenticate("shop", token)).toBe(expected);
  }
});

it.each([
  ["a static token", [TOKEN], true, TOKEN, "some", "allowed"],
  ["a wrong one", [TOKEN], true, `${TOKEN}x`, "some", "unauthenticated"],
  ["a wrong one, Secrets not listed yet", [TOKEN], false, `${TOKEN}x`, "some", "unavailable"],
  ["one of a namespace that has none", [], true, TOKEN, "none", "unauthenticated"],
  ["one of a namespace whose Secrets are not listed yet", [], false, TOKEN, "unknown", "unavailable"],
] as const)("in a body, %s", (_, has, listed, token, can, verdict) => {
  const review = (): Verdict => {
    throw new Error("nobody is asked about what stands in a body");
  };
  const tokens = { isListed: () => listed, tokens: () => (has.length > 0 ? digests : []) };
  const authenticator = new TokenAuthenticator({ tokens, reviewer: { review } });
  expect([authenticator.bodyTokens("shop"), authenticator.authenticateBody("shop", token)]).toEqual([can, verdict]);
});

it("in a body, nothing lets in where static tokens are switched off", () => {
  const authenticator = new TokenAuthenticator({ reviewer: { review: () => "allowed" } });
  expect([authenticator.bodyTokens("shop"), authenticator.authenticateBody("shop", TOKEN)]).toEqual(["none", "unauthenticated"]);
});
