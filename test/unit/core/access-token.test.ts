import { describe, expect, it } from "vitest";
import { finalDenial, openPortFault, staticIndex, tokenDigest } from "../../../src/core/access-token.ts";
import type { StaticTokens } from "../../../src/core/access-token.ts";

const GOOD = "a token of sixteen letters";

function tokens(isListed?: boolean): StaticTokens {
  const listed = isListed === undefined ? {} : { isListed: () => isListed };
  return { ...listed, tokens: (namespace) => (namespace === "shop" ? [tokenDigest("another"), tokenDigest(GOOD), tokenDigest(GOOD)] : []) };
}

describe("a static token", () => {
  it("is the first that is the same, in its own namespace", () => {
    expect(staticIndex(tokens(), "shop", GOOD)).toBe(1);
    expect(staticIndex(tokens(), "shop", `${GOOD} `)).toBe(-1);
    expect(staticIndex(tokens(), "bank", GOOD)).toBe(-1);
  });

  it("lets nobody in where static tokens are switched off", () => expect(staticIndex(undefined, "shop", GOOD)).toBe(-1));
});

it.each([
  ["unauthenticated", false, "unavailable"],
  ["unauthenticated", true, "unauthenticated"],
  ["unauthenticated", undefined, "unauthenticated"],
  ["forbidden", false, "forbidden"],
  ["unavailable", true, "unavailable"],
] as const)("%s while Secrets are listed: %s is answered %s", (denial, isListed, answer) => {
  expect(finalDenial(denial, tokens(isListed), "shop")).toBe(answer);
  expect(finalDenial(denial, undefined, "shop")).toBe(denial);
});

describe("a port that is open to all", () => {
  it.each(["127.0.0.1", "::1", "localhost"])("may be on %s", (host) => expect(openPortFault("--api-auth", host)).toBeUndefined());
  it.each(["0.0.0.0", "10.0.0.1", ""])("may not be on '%s'", (host) => {
    expect(openPortFault("--api-auth", host)).toMatch(/^--api-auth none is refused on (0\.0\.0\.0|10\.0\.0\.1|all addresses): /);
  });
});
