import { describe, expect, it } from "vitest";
import { type ApiAccess, HISTORY_GROUP, apiOpenToAll, ApiTokenAuthenticator } from "../../../src/admin/authenticator.ts";
import { storedTokenDigest } from "../../../src/core/access-token.ts";

const STATIC = "0123456789abcdef";
const access: ApiAccess = { namespace: "shop", verb: "create", group: HISTORY_GROUP, resource: "deliveries", subresource: "resend" };
const tokens = { tokens: (namespace: string) => (namespace === "shop" ? [storedTokenDigest(Buffer.from(`${STATIC}\n`))!] : []) };

/** Knows one token for each verdict. */
const reviewer = {
  asked: [] as [string, ApiAccess][],
  review(token: string, what: ApiAccess): "allowed" | "forbidden" | "unavailable" | "unauthenticated" {
    this.asked.push([token, what]);
    return token === "good" ? "allowed" : token === "weak" ? "forbidden" : token === "late" ? "unavailable" : "unauthenticated";
  },
};

describe("the API lets in", () => {
  it("a static token of the namespace, and of no other", async () => {
    const api = new ApiTokenAuthenticator({ tokens });
    expect(await api.authorize([`Bearer ${STATIC}`], access)).toEqual({ granted: true });
    expect(await api.authorize([`bearer  ${STATIC} `], access)).toEqual({ granted: true });
    expect(await api.authorize([`Bearer ${STATIC}`], { ...access, namespace: "bank" })).toMatchObject({ granted: false, status: 401 });
  });

  it("whom the cluster vouches for, asked in its own words, beside static tokens", async () => {
    const api = new ApiTokenAuthenticator({ tokens, reviewer });
    expect(await api.authorize(["Bearer good"], access)).toEqual({ granted: true });
    expect(reviewer.asked).toEqual([["good", access]]);
    expect(await api.authorize([`Bearer ${STATIC}`], access)).toEqual({ granted: true });
    expect(reviewer.asked).toHaveLength(1);
  });

  it("everybody where that was asked for", async () => {
    expect(await apiOpenToAll.authorize([], access)).toEqual({ granted: true });
  });
});

describe("the API turns away", () => {
  it.each([
    ["no header", []],
    ["two headers, the first good", [`Bearer ${STATIC}`, "Bearer x"]],
    ["the same header twice", [`Bearer ${STATIC}`, `Bearer ${STATIC}`]],
    ["two in one", [`Bearer ${STATIC}, Bearer ${STATIC}`]],
    ["no scheme", [STATIC]],
    ["another scheme", [`Basic ${STATIC}`]],
    ["an empty token", ["Bearer "]],
    ["a wrong token", [`Bearer ${STATIC}0`]],
    ["a token cut short", [`Bearer ${STATIC.slice(0, -1)}`]],
    ["64 KiB", [`Bearer ${"a".repeat(65_536)}`]],
  ])("%s", async (_what, headers) => {
    const api = new ApiTokenAuthenticator({ tokens, reviewer });
    expect(await api.authorize(headers, access)).toMatchObject({ granted: false, status: 401, code: "unauthenticated" });
  });

  it("nobody for good while Secrets with tokens are not listed yet", async () => {
    const early = { isListed: () => false, tokens: tokens.tokens };
    for (const api of [new ApiTokenAuthenticator({ tokens: early }), new ApiTokenAuthenticator({ tokens: early, reviewer })]) {
      expect(await api.authorize([`Bearer ${STATIC}`], access)).toEqual({ granted: true });
      expect(await api.authorize(["Bearer other"], access)).toMatchObject({ granted: false, status: 503, retryAfterSeconds: 5 });
    }
  });

  it("who may not, with the command that shows it", async () => {
    const verdict = await new ApiTokenAuthenticator({ reviewer }).authorize(["Bearer weak"], access);
    expect(verdict).toMatchObject({ granted: false, status: 403, code: "forbidden" });
    expect(JSON.stringify(verdict)).toContain("kubectl -n shop auth can-i create deliveries.history.postrider.dev --subresource=resend");
  });

  it("everybody new while nobody can be asked, and says when to come back", async () => {
    const verdict = await new ApiTokenAuthenticator({ reviewer }).authorize(["Bearer late"], access);
    expect(verdict).toMatchObject({ granted: false, status: 503, code: "reviews_unavailable", retryAfterSeconds: 5 });
  });
});
