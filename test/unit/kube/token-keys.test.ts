import { describe, expect, it } from "vitest";
import { KEYS_FOR_MS, KEYS_PAUSE_MS, type LocalVerdict, TOKEN_SKEW_MS, TokenKeys } from "../../../src/kube/token-keys.ts";
import type { ApiAnswer, ApiRequest } from "../../../src/kube/transport.ts";
import { rsaPair, signedToken, type SigningPair, type TokenChange } from "../../support/kube/token-maker.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

const [OLD, NEW, STRANGER] = [rsaPair("old"), rsaPair("new"), rsaPair("stranger")];
const ISSUER = "https://kubernetes.test";

/** An API server with these keys; its clock is the machine's, unless told otherwise. */
class FakeIssuer {
  keys: readonly SigningPair[] = [OLD];
  issuer: string | undefined = ISSUER;
  aheadMs = 0;
  fault: (() => ApiAnswer | Promise<ApiAnswer>) | undefined;
  readonly asked: string[] = [];
  readonly #clock: ManualClock;
  /** Whatever happens to our wall, monotonic time goes on. */
  readonly #atStartMs: number;

  constructor(clock: ManualClock) {
    this.#clock = clock;
    this.#atStartMs = clock.trueMs() - clock.monotonicMs();
  }

  nowMs(): number {
    return this.#atStartMs + this.#clock.monotonicMs() + this.aheadMs;
  }

  async request({ path, method }: ApiRequest): Promise<ApiAnswer> {
    expect(method).toBe("GET");
    this.asked.push(path);
    if (this.fault !== undefined) return this.fault();
    const ok = (body: unknown): ApiAnswer => ({ status: 200, body, retryAfterMs: undefined, dateMs: this.nowMs() });
    if (path === "/openid/v1/jwks") return ok({ keys: this.keys.map(({ jwk }) => jwk) });
    if (path === "/.well-known/openid-configuration" && this.issuer !== undefined) return ok({ issuer: this.issuer });
    return { status: 403, body: { message: "no" }, retryAfterMs: undefined };
  }

  /** Looks at the keys. */
  get looks(): number {
    return this.asked.filter((path) => path === "/openid/v1/jwks").length;
  }
}

function setup(issuers: readonly string[] = []) {
  const clock = new ManualClock();
  const api = new FakeIssuer(clock);
  const troubles: (string | undefined)[] = [];
  const keys = new TokenKeys({ transport: api, clock, issuers, onTrouble: (message) => troubles.push(message) });
  const token = (pair = OLD, change: TokenChange = {}): string => {
    const seconds = Math.floor(api.nowMs() / 1_000);
    return signedToken(pair, { ...change, claims: { iat: seconds, nbf: seconds, exp: seconds + 3_600, ...change.claims } });
  };
  const judge = async (text: string): Promise<LocalVerdict> => keys.judge(text);
  return { clock, api, troubles, keys, token, judge };
}

const away = (): never => {
  throw new Error("connection refused");
};

describe("a token's signature", () => {
  it("is judged by one look at the keys, however many want it", async () => {
    const { api, token, judge } = setup();
    const verdicts = await Promise.all([token(), token(STRANGER), token(STRANGER, { header: { kid: "old" } })].map(judge));
    expect(verdicts).toEqual(["good", "bad", "bad"]);
    expect(api.asked).toEqual(["/openid/v1/jwks", "/.well-known/openid-configuration"]);
  });

  it("is judged at once where the keys are known", async () => {
    const { keys, token, judge } = setup();
    await judge(token());
    expect(keys.judge(token())).toBe("good");
    expect(keys.judge(token(STRANGER, { header: { kid: "old" } }))).toBe("bad");
  });

  it("is not looked at where a token is too long to be one", () => {
    const { api, keys, token } = setup();
    expect(keys.judge(token(OLD, { claims: { pad: "x".repeat(8_192) } }))).toBe("bad");
    expect(api.asked).toEqual([]);
  });
});

describe("keys that change", () => {
  it("a key that is not known makes one look, and the token waits for it", async () => {
    const { clock, api, keys, token, judge } = setup();
    await judge(token());
    await clock.advance(KEYS_PAUSE_MS);
    api.keys = [NEW, OLD];
    expect(await Promise.all(Array.from({ length: 100 }, () => judge(token(NEW))))).toEqual(Array.from({ length: 100 }, () => "good"));
    expect(api.looks).toBe(2);
    expect(keys.judge(token(OLD))).toBe("good");
  });

  it("invented names make a look in 5 s, not more, and hold up nobody's known key", async () => {
    const { clock, api, keys, token, judge } = setup();
    await judge(token());
    for (let second = 0; second < 60; second++) {
      await Promise.all(Array.from({ length: 20 }, (_, n) => judge(token(STRANGER, { header: { kid: `${second}-${n}` } }))));
      expect(keys.judge(token())).toBe("good");
      await clock.advance(1_000);
    }
    expect(api.looks).toBeLessThanOrEqual(1 + 60_000 / KEYS_PAUSE_MS);
  });

  it("are looked at once in 5 minutes beside the tokens that they serve", async () => {
    const { clock, api, keys, token, judge } = setup();
    await judge(token());
    await clock.advance(KEYS_FOR_MS - 1);
    expect(keys.judge(token())).toBe("good");
    expect(api.looks).toBe(1);
    await clock.advance(1);
    expect(keys.judge(token())).toBe("good");
    await settle();
    expect(api.looks).toBe(2);
  });

  it("several API servers behind one address, not all of which know a key, take nothing back", async () => {
    const { clock, api, keys, token, judge } = setup();
    await judge(token());
    await clock.advance(KEYS_FOR_MS);
    api.keys = [NEW];
    expect(await judge(token(NEW))).toBe("good");
    expect(keys.judge(token(OLD))).toBe("good");
  });

  it("one that has left the set for 10 minutes is known no more", async () => {
    const { clock, api, token, judge } = setup();
    await judge(token());
    api.keys = [NEW];
    for (let n = 0; n < 3; n++) {
      await clock.advance(KEYS_FOR_MS);
      await judge(token(NEW));
      await settle();
    }
    expect(await judge(token(OLD))).toBe("bad");
  });
});

describe("while the API server is away", () => {
  it("the last keys stay in force, and a key that may be newer is left to be asked about", async () => {
    const { clock, api, troubles, keys, token, judge } = setup();
    await judge(token());
    api.fault = away;
    await clock.advance(12 * 3_600_000);
    expect(keys.judge(token())).toBe("good");
    expect(keys.judge(token(STRANGER, { header: { kid: "old" } }))).toBe("bad");
    expect(await judge(token(NEW))).toBe("unverifiable");
    expect(troubles).toEqual(["connection refused"]);
    api.fault = undefined;
    await clock.advance(KEYS_PAUSE_MS);
    expect(await judge(token(NEW))).toBe("bad");
    expect(troubles).toEqual(["connection refused", undefined]);
  });

  it.each([
    ["refused", { status: 403, body: { message: "may not" }, retryAfterMs: undefined }, 60_000, "may not"],
    ["not there", { status: 404, body: undefined, retryAfterMs: undefined }, 60_000, "the API server answered 404"],
    ["broken", { status: 500, body: undefined, retryAfterMs: undefined }, KEYS_PAUSE_MS, "the API server answered 500"],
    ["empty", { status: 200, body: { keys: [] }, retryAfterMs: undefined }, KEYS_PAUSE_MS, "publishes no usable key"],
    ["no JSON", { status: 200, body: undefined, retryAfterMs: undefined }, KEYS_PAUSE_MS, "publishes no usable key"],
  ] as const)(
    "without keys (%s) nothing can be said, and they are not asked for again at once",
    async (_what, answer, pauseMs, message) => {
      const { clock, api, troubles, keys, token, judge } = setup();
      api.fault = () => answer;
      expect(await judge(token())).toBe("unverifiable");
      expect(troubles).toEqual([expect.stringContaining(message)]);
      await clock.advance(pauseMs - 1);
      expect(keys.judge(token())).toBe("unverifiable");
      expect(api.looks).toBe(1);
      api.fault = undefined;
      await clock.advance(1);
      expect(await judge(token())).toBe("good");
    },
  );
});

describe("issuer and time", () => {
  it("only the issuer that the API server publishes, and those that the settings name", async () => {
    const { token, judge } = setup(["https://former.test"]);
    const issued = (iss: unknown): string => token(OLD, { claims: { iss } });
    expect(await Promise.all([ISSUER, "https://former.test", "https://other.test", undefined, 7].map((iss) => judge(issued(iss))))).toEqual(
      ["good", "good", "bad", "bad", "bad"],
    );
  });

  it("an issuer that is not published is not compared", async () => {
    const { api, token, judge } = setup();
    api.issuer = undefined;
    expect(await judge(token(OLD, { claims: { iss: "https://any.test" } }))).toBe("good");
  });

  it("an issuer that has changed is heard of with the first token of it", async () => {
    const { clock, api, token, judge } = setup();
    await judge(token());
    await clock.advance(KEYS_PAUSE_MS);
    api.issuer = "https://new.test";
    expect(await judge(token(OLD, { claims: { iss: "https://new.test" } }))).toBe("good");
  });

  it.each([
    ["expired", { exp: -1 }, "good"],
    ["expired for as long as clocks may differ", { exp: -TOKEN_SKEW_MS / 1_000 }, "bad"],
    ["not valid yet, as far as clocks may differ", { nbf: TOKEN_SKEW_MS / 1_000 }, "good"],
    ["not valid yet", { nbf: TOKEN_SKEW_MS / 1_000 + 1 }, "bad"],
    ["without an end", { exp: undefined }, "good"],
  ])("%s", async (_what, change, verdict) => {
    const { api, token, judge } = setup();
    const seconds = Math.floor(api.nowMs() / 1_000);
    const claims = Object.fromEntries(Object.entries(change).map(([name, by]) => [name, by === undefined ? undefined : seconds + by]));
    expect(await judge(token(OLD, { claims }))).toBe(verdict);
  });

  it.each([86_400_000, -86_400_000])(
    "our own wall clock, wrong by %d ms or stepped later, locks nobody out and lets nobody in",
    async (byMs) => {
      const { clock, api, keys, token, judge } = setup();
      clock.stepWall(byMs);
      const expired = token(OLD, { claims: { exp: Math.floor(api.nowMs() / 1_000) - 3_600 } });
      expect(await judge(token())).toBe("good");
      expect(await judge(expired)).toBe("bad");
      clock.stepWall(-2 * byMs);
      await clock.advance(KEYS_FOR_MS - 1);
      expect(keys.judge(token())).toBe("good");
      expect(await judge(expired)).toBe("bad");
    },
  );

  it.each([3_600_000, -3_600_000])(
    "the API server's clock, put right by %d ms, is heard of with the first token that does not fit",
    async (byMs) => {
      const { clock, api, token, judge } = setup();
      await judge(token());
      await clock.advance(KEYS_PAUSE_MS);
      api.aheadMs = byMs;
      const seconds = Math.floor(api.nowMs() / 1_000);
      expect(await judge(token(OLD, { claims: { exp: seconds + 600 } }))).toBe("good");
    },
  );
});
