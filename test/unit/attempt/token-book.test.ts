import { describe, expect, it } from "vitest";
import type { Credential } from "../../../src/core/subscription.ts";
import type { TokenAnswer, TokenRequest } from "../../../src/attempt/token/token-issuer.ts";
import { credentialKey, TokenBook, TOKENS_MAX } from "../../../src/attempt/token/token-book.ts";
import { LOOPBACK_EGRESS } from "../../support/delivery/attempt-input.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const CREDENTIAL: Credential = {
  kind: "oauth2",
  tokenUrl: "https://id.test/token",
  clientId: "id",
  clientSecret: "secret",
  scopes: [],
  audience: undefined,
};
const REQUEST: TokenRequest = {
  credential: CREDENTIAL,
  namespace: "shop",
  egress: LOOPBACK_EGRESS,
  proxy: undefined,
  connectLimitMs: 1_000,
  timeoutMs: 1_000,
};
const LIFE_MS = 3_600_000;

/** A book whose issuer answers t1, t2, … when it is told to. */
function aBook(lifeMs = LIFE_MS) {
  const clock = new ManualClock();
  const pending: ((answer: TokenAnswer) => void)[] = [];
  let issued = 0;
  const issuer = {
    issue: (): Promise<TokenAnswer> => {
      issued += 1;
      return new Promise((resolve) => pending.push(resolve));
    },
  };
  const book = new TokenBook({
    clock,
    random: { next: () => 0.5, bytes: (n) => new Uint8Array(n) },
    issuers: { oauth2: issuer, serviceAccount: issuer },
  });
  const answer = (given: TokenAnswer = { ok: true, token: `t${issued}`, lifeMs }): void => pending.shift()?.(given);
  const now = async (key = "k") => {
    const held = book.token(key, REQUEST);
    answer();
    return held;
  };
  return { clock, book, answer, now, issued: () => issued };
}

const FAILURE: TokenAnswer = { ok: false, class: "server_error", code: "TOKEN_REFUSED", message: "no token from id.test: HTTP 503" };

describe("tokens", () => {
  it("are fetched once for all who wait, and kept", async () => {
    const { book, answer, issued } = aBook();
    const waiting = [book.token("k", REQUEST), book.token("k", REQUEST), book.token("k", REQUEST)];
    answer();
    expect(await Promise.all(waiting.map(async (held) => held))).toMatchObject([{ token: "t1" }, { token: "t1" }, { token: "t1" }]);
    expect(book.token("k", REQUEST)).toEqual({ ok: true, token: "t1" });
    expect(issued()).toBe(1);
  });

  it("are renewed at 75 % of their life (with a jitter of one half) while the old one is still given", async () => {
    const { clock, book, answer, now, issued } = aBook();
    await now();
    await clock.advance(LIFE_MS * 0.75 - 1);
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t1" });
    expect(issued()).toBe(1);
    await clock.advance(1);
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t1" });
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t1" });
    expect(issued()).toBe(2);
    answer();
    await clock.advance(0);
    expect(book.token("k", REQUEST)).toEqual({ ok: true, token: "t2" });
  });

  it("are given as long as they live when the renewal fails, and not a margin longer", async () => {
    const { clock, book, answer, now } = aBook();
    await now();
    await clock.advance(LIFE_MS * 0.8);
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t1" });
    answer(FAILURE);
    await clock.advance(LIFE_MS * 0.2 - 10_001);
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t1" });
    answer(FAILURE);
    await clock.advance(1_001);
    const last = book.token("k", REQUEST);
    answer(FAILURE);
    expect(await last).toEqual(FAILURE);
  });

  it("that live for seconds are used for nine tenths of that", async () => {
    const { clock, book, now, issued } = aBook(10_000);
    await now();
    await clock.advance(8_999);
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t1" });
    await clock.advance(1);
    expect(book.token("k", REQUEST)).toBeInstanceOf(Promise);
    expect(issued()).toBe(2);
  });

  it("do not outlive a day, whatever their issuer says", async () => {
    const { clock, book, now } = aBook(1e15);
    await now();
    await clock.advance(24 * 3_600_000);
    expect(book.token("k", REQUEST)).toBeInstanceOf(Promise);
  });

  it("that cannot be had are not asked for again within a second", async () => {
    const { clock, book, answer, issued } = aBook();
    const first = book.token("k", REQUEST);
    answer(FAILURE);
    expect(await first).toEqual(FAILURE);
    await clock.advance(999);
    expect(book.token("k", REQUEST)).toEqual(FAILURE);
    expect(issued()).toBe(1);
    await clock.advance(1);
    expect(book.token("k", REQUEST)).toBeInstanceOf(Promise);
  });

  it("are dropped by a receiver's 401 once: the next one that is refused stays", async () => {
    const { book, now, issued } = aBook();
    await now();
    expect(book.refused("k", "t1")).toBe(true);
    // Another attempt with the same token, answered later.
    expect(book.refused("k", "t1")).toBe(true);
    expect(await now()).toMatchObject({ token: "t2" });
    expect(book.refused("k", "t1")).toBe(true);
    expect(book.refused("k", "t2")).toBe(false);
    expect(book.token("k", REQUEST)).toMatchObject({ token: "t2" });
    book.proven("k", "t2");
    expect(book.refused("k", "t2")).toBe(true);
    expect(issued()).toBe(2);
  });

  it("that are refused on trial are dropped again after a while: the receiver may be well again, and they not", async () => {
    const { book, clock, now } = aBook();
    await now();
    book.refused("k", "t1");
    await now();
    expect(book.refused("k", "t2")).toBe(false);
    await clock.advance(31_000);
    expect(book.refused("k", "t2")).toBe(true);
    expect(await now()).toMatchObject({ token: "t3" });
    expect(book.refused("k", "t3")).toBe(false);
  });

  it("are kept for a bounded number of credentials, the unused going first", async () => {
    const { book, now, issued } = aBook();
    for (let i = 0; i < TOKENS_MAX; i++) await now(`k${i}`);
    expect(await now("k0")).toMatchObject({ token: "t1" });
    await now("one more");
    expect(book.size).toBe(TOKENS_MAX);
    expect(book.token("k0", REQUEST)).toMatchObject({ token: "t1" });
    expect(book.token("k1", REQUEST)).toBeInstanceOf(Promise);
    expect(issued()).toBe(TOKENS_MAX + 2);
  });

  it("belong to a namespace and to every part of a credential", () => {
    const key = credentialKey("shop", CREDENTIAL);
    expect(credentialKey("shop", { ...CREDENTIAL })).toBe(key);
    expect(credentialKey("other", CREDENTIAL)).not.toBe(key);
    for (const change of [
      { clientSecret: "s2" },
      { clientId: "i2" },
      { scopes: ["a"] },
      { audience: "x" },
      { tokenUrl: "https://id.test/2" },
    ])
      expect(credentialKey("shop", { ...CREDENTIAL, ...change })).not.toBe(key);
    expect(key).not.toContain("secret");
  });
});
