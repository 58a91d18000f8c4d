import { describe, expect, it } from "vitest";
import { QUESTIONS_MAX } from "../../../src/kube/question-pots.ts";
import { ANSWER_FOR_MS, ANSWERS_MAX, REFUSAL_FOR_MS, Reviews, type ReviewVerdict } from "../../../src/kube/reviews.ts";
import type { LocalVerdict } from "../../../src/kube/token-keys.ts";
import type { ApiAnswer, ApiRequest } from "../../../src/kube/transport.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

const AUDIENCE = "postrider-ingest";
const PUBLISH = { namespace: "shop", verb: "publish", group: "postrider.dev", resource: "webhooksubscriptions" } as const;
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const jwt = (claims: object = {}, signature = "sig"): string =>
  `${encoded({ alg: "RS256" })}.${encoded({ aud: [AUDIENCE], ...claims })}.${signature}`;

const created = (status: object): ApiAnswer => ({ status: 201, body: { status }, retryAfterMs: undefined });
const GOOD = created({ authenticated: true, audiences: [AUDIENCE], user: { username: "system:serviceaccount:shop:till", groups: ["g"] } });
const ALLOWED = created({ allowed: true });

/** Answers as told; counts what was asked. */
class FakeApi {
  token: (request: ApiRequest) => ApiAnswer | Promise<ApiAnswer> = () => GOOD;
  access: (request: ApiRequest) => ApiAnswer | Promise<ApiAnswer> = () => ALLOWED;
  readonly asked: ApiRequest[] = [];

  async request(request: ApiRequest): Promise<ApiAnswer> {
    this.asked.push(request);
    return request.path.endsWith("/tokenreviews") ? this.token(request) : this.access(request);
  }

  count(what: "tokenreviews" | "subjectaccessreviews"): number {
    return this.asked.filter(({ path }) => path.endsWith(`/${what}`)).length;
  }
}

function setup(judge?: (token: string) => LocalVerdict | Promise<LocalVerdict>) {
  const clock = new ManualClock();
  const api = new FakeApi();
  const troubles: (string | undefined)[] = [];
  const keys = judge === undefined ? undefined : { judge, nowMs: () => clock.trueMs() };
  const reviews = new Reviews({ transport: api, clock, audience: AUDIENCE, keys, onTrouble: (message) => troubles.push(message) });
  const review = async (token = jwt(), access: object = {}): Promise<ReviewVerdict> => reviews.review(token, { ...PUBLISH, ...access });
  return { clock, api, troubles, reviews, review };
}

const away = (): never => {
  throw new Error("connection refused");
};

describe("what is asked", () => {
  it("is who the token is for our audience, then whether that user may", async () => {
    const { api, review } = setup();
    const token = jwt();
    expect(await review(token)).toBe("allowed");
    expect(api.asked.map(({ method, path, body }) => ({ method, path, body }))).toEqual([
      {
        method: "POST",
        path: "/apis/authentication.k8s.io/v1/tokenreviews",
        body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: [AUDIENCE] } },
      },
      {
        method: "POST",
        path: "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        body: {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: { resourceAttributes: PUBLISH, user: "system:serviceaccount:shop:till", groups: ["g"], uid: undefined, extra: undefined },
        },
      },
    ]);
  });

  it.each([
    ["not good", { authenticated: false, audiences: [AUDIENCE], user: { username: "u" } }],
    ["good, but our audience did not come back", { authenticated: true, user: { username: "u" } }],
    ["good for another audience", { authenticated: true, audiences: ["other"], user: { username: "u" } }],
    ["nobody", { authenticated: true, audiences: [AUDIENCE], user: { username: "" } }],
    ["no user", { authenticated: true, audiences: [AUDIENCE] }],
    ["a text for yes", { authenticated: "true", audiences: [AUDIENCE], user: { username: "u" } }],
    ["empty", {}],
  ])("a token that is %s lets nobody in, whoever might", async (_what, status) => {
    const { api, review } = setup();
    api.token = () => created(status);
    expect(await review()).toBe("unauthenticated");
    expect(api.count("subjectaccessreviews")).toBe(0);
  });

  it.each([{}, { allowed: false }, { allowed: true, denied: true }, { allowed: "yes" }])("access %j is forbidden", async (status) => {
    const { api, review } = setup();
    api.access = () => created(status);
    expect(await review()).toBe("forbidden");
  });

  it.each([
    ["no token at all", ""],
    ["a static token", "0123456789abcdef0123456789abcdef"],
    ["two parts", jwt().split(".").slice(0, 2).join(".")],
    ["unsigned", jwt({}, "")],
    ["payload is no JSON", "e30.bm8.sig"],
    ["for another audience", jwt({ aud: ["https://kubernetes.default.svc"] })],
    ["for no audience", jwt({ aud: undefined })],
  ])("never about what cannot be ours: %s", async (_what, token) => {
    const { api, review } = setup();
    expect(await review(token)).toBe("unauthenticated");
    expect(api.asked).toEqual([]);
  });
});

describe("how long answers stand", () => {
  it("a yes is at hand at once, and is asked for anew beside the requests in its second half", async () => {
    const { clock, api, reviews, review } = setup();
    await review();
    await clock.advance(ANSWER_FOR_MS / 2 - 1);
    expect(reviews.review(jwt(), PUBLISH)).toBe("allowed");
    expect(api.asked).toHaveLength(2);
    await clock.advance(1);
    expect(reviews.review(jwt(), PUBLISH)).toBe("allowed");
    await settle();
    expect(api.asked).toHaveLength(4);
    await clock.advance(ANSWER_FOR_MS - 1);
    expect(reviews.review(jwt(), PUBLISH)).toBe("allowed");
  });

  it("a revoked token is dead when its answer is", async () => {
    const { clock, api, review } = setup();
    await review();
    api.token = () => created({ authenticated: false });
    await clock.advance(ANSWER_FOR_MS);
    expect(await review()).toBe("unauthenticated");
  });

  it("a token in use that was revoked is dead from the next look on", async () => {
    const { clock, api, review } = setup();
    await review();
    api.token = () => created({ authenticated: false });
    await clock.advance(ANSWER_FOR_MS / 2);
    expect(await review()).toBe("allowed");
    await settle();
    expect(await review()).toBe("unauthenticated");
  });

  it("a right taken away is gone within the same time, and nobody's other rights with it", async () => {
    const { clock, api, review } = setup();
    await review();
    api.access = () => created({ allowed: false });
    await clock.advance(ANSWER_FOR_MS);
    expect(await review()).toBe("forbidden");
  });

  it("an access asked for late does not outlive what was known of the token", async () => {
    const { clock, api, review } = setup();
    await review();
    await clock.advance(ANSWER_FOR_MS / 2 - 1);
    expect(await review(jwt(), { namespace: "bank" })).toBe("allowed");
    expect(api.count("tokenreviews")).toBe(1);
    api.token = away;
    await clock.advance(ANSWER_FOR_MS / 2 + 1);
    expect(await review(jwt(), { namespace: "bank" })).toBe("unavailable");
  });

  it("time is counted from the question, not from the answer", async () => {
    const { clock, api, review } = setup();
    let answer: (value: ApiAnswer) => void = () => undefined;
    api.token = () =>
      new Promise<ApiAnswer>((resolve) => {
        answer = resolve;
      });
    const first = review();
    await clock.advance(4_000);
    answer(GOOD);
    expect(await first).toBe("allowed");
    api.token = away;
    await clock.advance(ANSWER_FOR_MS - 4_000);
    expect(await review()).toBe("unavailable");
  });

  it("no answer outlives the token itself", async () => {
    const { clock, api, review } = setup();
    const token = jwt({ exp: clock.nowMs() / 1_000 + 7 });
    expect(await review(token)).toBe("allowed");
    api.token = () => created({ authenticated: false });
    await clock.advance(6_999);
    expect(await review(token)).toBe("allowed");
    await clock.advance(1);
    expect(await review(token)).toBe("unauthenticated");
  });

  it.each([360_000, -360_000])(
    "a token's end is compared with the machine's clock, put right by %d ms; a step after that changes nothing",
    async (byMs) => {
      const { clock, api, review } = setup();
      clock.stepWall(byMs);
      const token = jwt({ exp: clock.trueMs() / 1_000 + 7 });
      expect(await review(token)).toBe("allowed");
      api.token = () => created({ authenticated: false });
      clock.stepWall(-10 * byMs);
      await clock.advance(6_999);
      expect(await review(token)).toBe("allowed");
      await clock.advance(1);
      expect(await review(token)).toBe("unauthenticated");
    },
  );

  it("an answer that came while we stood still counts, though its time is over", async () => {
    const { clock, api, troubles, review } = setup();
    let answer: (value: ApiAnswer) => void = () => undefined;
    api.token = ({ signal }) =>
      new Promise<ApiAnswer>((resolve, reject) => {
        answer = resolve;
        signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const verdict = review();
    await settle();
    clock.arrive(100, () => answer(GOOD));
    await clock.stall(60_000);
    expect(await verdict).toBe("allowed");
    expect(troubles).toEqual([]);
  });

  it("a no is short: whoever has just been let in need not wait", async () => {
    const { clock, api, review } = setup();
    api.access = () => created({ allowed: false });
    expect(await review()).toBe("forbidden");
    api.access = () => ALLOWED;
    await clock.advance(REFUSAL_FOR_MS - 1);
    expect(await review()).toBe("forbidden");
    await clock.advance(1);
    expect(await review()).toBe("allowed");
  });

  it("each access has an answer of its own", async () => {
    const { api, review } = setup();
    api.access = ({ body }) =>
      created({ allowed: (body as { spec: { resourceAttributes: { verb: string } } }).spec.resourceAttributes.verb === "publish" });
    expect(await review()).toBe("allowed");
    const others = [{ verb: "get" }, { verb: "get", group: "g" }, { verb: "get", resource: "x" }, { verb: "get", name: "z" }];
    for (const other of others) expect(await review(jwt(), other)).toBe("forbidden");
    for (const other of [{ namespace: "bank" }, { subresource: "y" }]) expect(await review(jwt(), other)).toBe("allowed");
    expect([api.count("tokenreviews"), api.count("subjectaccessreviews")]).toEqual([1, 7]);
  });
});

describe("while the API server is away", () => {
  it("known tokens go on until their answers end, unknown ones are neither let in nor called wrong", async () => {
    const { clock, api, troubles, review } = setup();
    await review();
    api.token = away;
    api.access = away;
    await clock.advance(ANSWER_FOR_MS - 1);
    expect(await review()).toBe("allowed");
    expect(await review(jwt({ sub: "other" }))).toBe("unavailable");
    await clock.advance(1_000);
    expect(await review()).toBe("unavailable");
    expect(troubles).toEqual(["connection refused"]);
    api.token = () => GOOD;
    api.access = () => ALLOWED;
    await clock.advance(1_000);
    expect(await review()).toBe("allowed");
    expect(troubles).toEqual(["connection refused", undefined]);
  });

  it.each([500, 503, 429, 401, 403, 404])("%i is no answer, and is not asked for again at once", async (status) => {
    const { clock, api, review } = setup();
    api.token = () => ({ status, body: { message: "no" }, retryAfterMs: undefined });
    expect(await review()).toBe("unavailable");
    expect(await review(jwt({ sub: "other" }))).toBe("unavailable");
    expect(api.asked).toHaveLength(1);
    await clock.advance(1_000);
    expect(await review()).toBe("unavailable");
    expect(api.asked).toHaveLength(2);
  });

  it.each([200, 201])("%i without a status is no yes", async (status) => {
    const { api, review } = setup();
    api.token = () => ({ status, body: undefined, retryAfterMs: undefined });
    expect(await review()).toBe("unavailable");
  });

  it("a question that is not answered ends after 5 s", async () => {
    const { clock, api, troubles, review } = setup();
    api.token = ({ signal }) =>
      new Promise<ApiAnswer>((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted")), { once: true }));
    const asked = review();
    await clock.advance(4_999);
    expect(troubles).toEqual([]);
    await clock.advance(1);
    expect(await asked).toBe("unavailable");
    expect(troubles).toEqual(["the API server did not answer within 5000 ms"]);
  });
});

describe("bounds", () => {
  it("a thousand requests with one token are one question", async () => {
    const { api, review } = setup();
    const verdicts = await Promise.all(Array.from({ length: 1_000 }, () => review()));
    expect(new Set(verdicts)).toEqual(new Set(["allowed"]));
    expect(api.asked).toHaveLength(2);
  });

  it("one token for many namespaces is identified once", async () => {
    const { api, review } = setup(() => "good");
    await Promise.all(Array.from({ length: 100 }, (_, index) => review(jwt(), { namespace: `n${index}` })));
    expect([api.count("tokenreviews"), api.count("subjectaccessreviews")]).toEqual([1, 100]);
  });

  it("a flood of unknown tokens is cut off, and a known one is refreshed beside it", async () => {
    const { clock, api, reviews, review } = setup();
    const known = jwt({ sub: "known" });
    await review(known);
    await clock.advance(ANSWER_FOR_MS / 2);
    api.token = ({ body }) => ((body as { spec: { token: string } }).spec.token === known ? GOOD : new Promise<ApiAnswer>(() => undefined));
    const flood = Array.from({ length: QUESTIONS_MAX }, (_, index) => review(jwt({ sub: index })));
    expect(await review(jwt({ sub: "one more" }))).toBe("unavailable");
    expect(reviews.review(known, PUBLISH)).toBe("allowed");
    await settle();
    await clock.advance(ANSWER_FOR_MS / 2 + 1);
    expect(reviews.review(known, PUBLISH)).toBe("allowed");
    expect(flood).toHaveLength(QUESTIONS_MAX);
  });

  it("wrong tokens drive out only wrong tokens", async () => {
    // Signed and revoked: of tokens that nobody signed not so many would be asked about.
    const { api, reviews, review } = setup(() => "good");
    const known = jwt({ sub: "known" });
    await review(known);
    api.token = () => created({ authenticated: false });
    for (let index = 0; index < ANSWERS_MAX + 10; index++) await review(jwt({ sub: index }));
    expect(reviews.review(known, PUBLISH)).toBe("allowed");
    const asked = api.asked.length;
    expect(await review(jwt({ sub: ANSWERS_MAX + 9 }))).toBe("unauthenticated");
    expect(api.asked).toHaveLength(asked);
    expect(await review(jwt({ sub: 0 }))).toBe("unauthenticated");
    expect(api.asked).toHaveLength(asked + 1);
  });
});

describe("signatures", () => {
  const isGood = (token: string): LocalVerdict => (token.endsWith(".good") ? "good" : "bad");
  const good = (claims: object): string => jwt(claims, "good");

  it("a token that nobody signed is refused at once and never asked about", async () => {
    const { api, reviews, review } = setup(isGood);
    expect(reviews.review(jwt(), PUBLISH)).toBe("unauthenticated");
    expect(await review(good({}))).toBe("allowed");
    expect(api.count("tokenreviews")).toBe(1);
  });

  it("is looked at once for a refusal that is remembered, not at all for a token in use", async () => {
    const seen: string[] = [];
    const { clock, review } = setup((token) => {
      seen.push(token);
      return isGood(token);
    });
    for (let n = 0; n < 5; n++) await review(jwt());
    for (let n = 0; n < 5; n++) await review(good({}));
    await clock.advance(ANSWER_FOR_MS / 2);
    await review(good({}));
    await settle();
    expect(seen).toEqual([jwt(), good({})]);
    await clock.advance(REFUSAL_FOR_MS);
    await review(jwt());
    expect(seen).toHaveLength(3);
  });

  it("the TokenReview still says who is revoked, signed or not", async () => {
    const { clock, api, review } = setup(isGood);
    await review(good({}));
    api.token = () => created({ authenticated: false });
    await clock.advance(ANSWER_FOR_MS);
    expect(await review(good({}))).toBe("unauthenticated");
  });

  it("requests that wait for the keys are one question when these have come", async () => {
    let tell: (verdict: LocalVerdict) => void = () => undefined;
    const keys = new Promise<LocalVerdict>((resolve) => (tell = resolve));
    const { api, review } = setup(() => keys);
    const waiting = Array.from({ length: 100 }, () => review(good({})));
    await settle();
    expect(api.asked).toEqual([]);
    tell("good");
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["allowed"]));
    expect(api.asked).toHaveLength(2);
  });

  it("ten thousand forgeries, each another one, cost no question, and ten new good tokens beside them are answered", async () => {
    const { api, reviews, review } = setup(isGood);
    for (let n = 0; n < 10_000; n++) {
      expect(reviews.review(jwt({ n }), PUBLISH)).toBe("unauthenticated");
      if (n % 1_000 === 0) expect(await review(good({ n }))).toBe("allowed");
    }
    expect([api.count("tokenreviews"), api.count("subjectaccessreviews")]).toEqual([10, 10]);
  });

  it("without keys a flood of unknown tokens leaves the tokens of a namespace that has had a good one their questions", async () => {
    const { api, review } = setup(() => "unverifiable");
    expect(await review()).toBe("allowed");
    api.token = () => new Promise<ApiAnswer>(() => undefined);
    for (let n = 0; n < 2_000; n++) void review(jwt({ n }), { namespace: `invented-${n}` });
    await settle();
    api.token = () => GOOD;
    for (let n = 0; n < 10; n++) expect(await review(jwt({ till: n }))).toBe("allowed");
  });

  it("without keys tokens that come to nothing are asked about 50 times in 5 s of a namespace, and no more", async () => {
    const { clock, api, review } = setup(() => "unverifiable");
    expect(await review()).toBe("allowed");
    api.token = () => created({ authenticated: false });
    const verdicts: ReviewVerdict[] = [];
    for (let n = 0; n < 60; n++) verdicts.push(await review(jwt({ n })));
    expect(verdicts.filter((verdict) => verdict === "unauthenticated")).toHaveLength(50);
    expect(verdicts.slice(50)).toEqual(Array.from({ length: 10 }, () => "unavailable"));
    expect(api.count("tokenreviews")).toBe(51);
    await clock.advance(5_000);
    expect(await review(jwt({ n: 60 }))).toBe("unauthenticated");
  });
});

describe("the API server's own audience", () => {
  it("is asked for where none is named, and only of signed tokens", async () => {
    const clock = new ManualClock();
    const api = new FakeApi();
    const keys = { judge: (token: string): LocalVerdict => (token.endsWith(".sig") ? "good" : "bad"), nowMs: () => clock.trueMs() };
    const reviews = new Reviews({ transport: api, clock, audience: undefined, keys, onTrouble: () => undefined });
    api.token = () => created({ authenticated: true, user: { username: "u" } });
    const own = jwt({ aud: ["https://kubernetes.default.svc"] });
    expect(await reviews.review(own, PUBLISH)).toBe("allowed");
    expect(api.asked[0]?.body).toMatchObject({ kind: "TokenReview", spec: { token: own } });
    expect(JSON.stringify(api.asked[0]?.body)).not.toContain("audiences");
    expect(reviews.review("no-token-at-all", PUBLISH)).toBe("unauthenticated");
    api.token = () => created({ authenticated: false, user: { username: "u" } });
    expect(await reviews.review(jwt({ aud: [AUDIENCE] }), PUBLISH)).toBe("unauthenticated");
  });
});

describe("who it was", () => {
  it("is told with the yes, from memory too", async () => {
    const { reviews } = setup();
    const till = { user: "system:serviceaccount:shop:till" };
    expect(await reviews.who(jwt(), PUBLISH)).toMatchObject(till);
    expect(reviews.who(jwt(), PUBLISH)).toMatchObject(till);
  });

  it("a path of HTTP is asked for as what it is", async () => {
    const { api, reviews } = setup();
    expect(await reviews.review(jwt(), { path: "/metrics", verb: "get" })).toBe("allowed");
    expect(api.asked[1]?.body).toMatchObject({
      spec: { nonResourceAttributes: { path: "/metrics", verb: "get" }, user: "system:serviceaccount:shop:till" },
    });
    expect(JSON.stringify(api.asked[1]?.body)).not.toContain('resourceAttributes":');
  });
});
