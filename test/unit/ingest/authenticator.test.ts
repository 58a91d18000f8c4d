import { describe, expect, it } from "vitest";
import { storedTokenDigest } from "../../../src/core/access-token.ts";
import type { Denial } from "../../../src/core/access-token.ts";
import { ingestOpenToAll, IngestTokenAuthenticator } from "../../../src/ingest/authenticator.ts";

const TOKEN = "0123456789abcdef-token";
const digests = [storedTokenDigest(Buffer.from(TOKEN))!];

it.each([
  ["a known token, Secrets listed", true, TOKEN, undefined, "secret:b"],
  ["a known token, Secrets not listed yet", false, TOKEN, undefined, "secret:b"],
  ["an unknown token, Secrets listed", true, `${TOKEN}x`, undefined, "unauthenticated"],
  ["an unknown token, Secrets not listed yet", false, `${TOKEN}x`, undefined, "unavailable"],
  [
    "one the cluster vouches for, Secrets not listed yet",
    false,
    "other",
    "system:serviceaccount:shop:till",
    "user:system:serviceaccount:shop:till",
  ],
  ["one the cluster knows but refuses, Secrets not listed yet", false, "other", "forbidden", "forbidden"],
  ["one the cluster does not know, Secrets not listed yet", false, "other", "unauthenticated", "unavailable"],
  ["one the cluster does not know, Secrets listed", true, "other", "unauthenticated", "unauthenticated"],
  ["one too long for a token, Secrets not listed yet", false, "x".repeat(65_536), undefined, "unauthenticated"],
] as const)("%s", async (_, listed, token, reviewed, expected) => {
  const tokens = { isListed: () => listed, tokens: () => [storedTokenDigest(Buffer.from("y".repeat(20)))!, ...digests], producerAt };
  const said = answerOf(reviewed);
  for (const settle of [() => said, () => Promise.resolve(said)]) {
    const authenticator = new IngestTokenAuthenticator(reviewed === undefined ? { tokens } : { tokens, reviewer: { who: settle } });
    const verdict = await authenticator.authenticate("shop", token);
    expect(typeof verdict === "string" ? verdict : verdict.producer).toBe(expected);
  }
});

it.each([
  ["a static token", [TOKEN], true, TOKEN, "some", { producer: "secret:a" }],
  ["a wrong one", [TOKEN], true, `${TOKEN}x`, "some", "unauthenticated"],
  ["a wrong one, Secrets not listed yet", [TOKEN], false, `${TOKEN}x`, "some", "unavailable"],
  ["one of a namespace that has none", [], true, TOKEN, "none", "unauthenticated"],
  ["one of a namespace whose Secrets are not listed yet", [], false, TOKEN, "unknown", "unavailable"],
] as const)("in a body, %s", (_, has, listed, token, can, verdict) => {
  const who = (): never => {
    throw new Error("nobody is asked about what stands in a body");
  };
  const tokens = { isListed: () => listed, tokens: () => (has.length > 0 ? digests : []), producerAt };
  const authenticator = new IngestTokenAuthenticator({ tokens, reviewer: { who } });
  expect([authenticator.bodyTokens("shop"), authenticator.authenticateBody("shop", token)]).toEqual([can, verdict]);
});

it("in a body, nothing lets in where static tokens are switched off", () => {
  const authenticator = new IngestTokenAuthenticator({ reviewer: { who: () => ({ user: "u" }) } });
  expect([authenticator.bodyTokens("shop"), authenticator.authenticateBody("shop", TOKEN)]).toEqual(["none", "unauthenticated"]);
});

function producerAt(_namespace: string, place: number): string {
  return `secret:${["a", "b"][place]}`;
}

/** What the cluster says; a name stands for its owner, who may. */
function answerOf(said: string | undefined): Denial | { readonly user: string } {
  return said === undefined || said === "unauthenticated" || said === "forbidden" || said === "unavailable"
    ? (said ?? "unauthenticated")
    : { user: said };
}

describe("what receivers answered", () => {
  it.each([
    ["a user who may get attempts", { user: "u" }, true],
    ["one who may not", "forbidden", false],
    ["one whom nobody can be asked about", "unavailable", false],
    ["nobody", "unauthenticated", false],
  ] as const)("is for %s: %j", async (_what, said, sees) => {
    const asked: unknown[] = [];
    const who = (token: string, access: object): typeof said => {
      asked.push([token, access]);
      return said;
    };
    const tokens = { tokens: () => digests, producerAt };
    expect(await new IngestTokenAuthenticator({ tokens, reviewer: { who } }).maySeeAnswers("shop", "other")).toBe(sees);
    expect(asked).toEqual([["other", { namespace: "shop", verb: "get", group: "history.postrider.dev", resource: "attempts" }]]);
  });

  it("is not for holders of static tokens, whom nobody is asked about, nor for whoever has none", async () => {
    const who = (): never => {
      throw new Error("asked");
    };
    const authenticator = new IngestTokenAuthenticator({ tokens: { tokens: () => digests, producerAt }, reviewer: { who } });
    expect([await authenticator.maySeeAnswers("shop", TOKEN), await authenticator.maySeeAnswers("shop", undefined)]).toEqual([
      false,
      false,
    ]);
    expect(await new IngestTokenAuthenticator({ tokens: { tokens: () => digests, producerAt } }).maySeeAnswers("shop", "other")).toBe(
      false,
    );
  });

  it("is for everybody where everybody is let in, and all of them are one producer", async () => {
    expect([await ingestOpenToAll.maySeeAnswers("shop", undefined), await ingestOpenToAll.authenticate("shop", "")]).toEqual([
      true,
      { producer: "" },
    ]);
  });
});
