import { describe, expect, it } from "vitest";
import { EventRecorder } from "../../../src/kube/event-recorder.ts";
import { KubeServiceAccountTokens } from "../../../src/kube/service-account-tokens.ts";
import type { ApiAnswer, ApiRequest } from "../../../src/kube/transport.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** An API server with a clock of its own, which makes tokens of 10 minutes; `opaque`: they do not say what they are. */
function tokensOf(clock: ManualClock, serverAheadMs: number, opaque = false): KubeServiceAccountTokens {
  const answer = (status: number, body: object): ApiAnswer => ({ status, body, retryAfterMs: undefined });
  const request = async ({ method, path }: ApiRequest): Promise<ApiAnswer> => {
    if (method === "GET") return answer(200, { metadata: { labels: { "postrider.dev/use": "true" } } });
    if (path.endsWith("/tokenreviews")) return answer(201, { status: { authenticated: false } });
    const serverMs = clock.nowMs() + serverAheadMs;
    const claims = { aud: ["x"], iat: Math.floor(serverMs / 1_000), exp: Math.floor(serverMs / 1_000) + 600 };
    const token = opaque ? "opaque" : `${encoded({ alg: "RS256" })}.${encoded(claims)}.sig`;
    return answer(201, { status: { token, expirationTimestamp: new Date(serverMs + 600_000).toISOString() } });
  };
  return new KubeServiceAccountTokens({ transport: { request }, clock, bindingHint: "" });
}

const ASKED = { namespace: "shop", name: "till", audience: "x", expirationSeconds: 600 };

describe("a ServiceAccount's token", () => {
  it.each([0, 360_000, -360_000, HOUR, -HOUR, 10 * YEAR, -10 * YEAR])(
    "lives as long as the API server says, though its clock is %d ms ahead of ours",
    async (aheadMs) => {
      const clock = new ManualClock();
      expect(await tokensOf(clock, aheadMs).token(ASKED)).toMatchObject({ ok: true, lifeMs: 600_000 });
    },
  );

  it("that does not tell is measured by the machine's clock, also when that has just been put right", async () => {
    const clock = new ManualClock();
    clock.stepWall(360_000);
    expect(await tokensOf(clock, 360_000, true).token(ASKED)).toMatchObject({ ok: true, lifeMs: 600_000 });
    clock.stepWall(HOUR);
    expect(await tokensOf(clock, 360_000, true).token(ASKED)).toMatchObject({ ok: false, code: "TOKEN_INVALID" });
  });
});

it.each([360_000, -10 * YEAR])("a Kubernetes Event tells the machine's time, stepped by %d ms", async (byMs) => {
  const clock = new ManualClock();
  const times: string[] = [];
  const recorder = new EventRecorder({
    transport: {
      request: async ({ body }) => {
        times.push((body as { eventTime: string }).eventTime);
        return { status: 201, body: {}, retryAfterMs: undefined };
      },
    },
    clock,
    random: systemRandom,
    controller: { name: "postrider", instance: "x" },
    told: () => undefined,
  });
  clock.stepWall(byMs);
  const subject = { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "a", uid: undefined, resourceVersion: undefined };
  recorder.record(subject, { type: "Normal", reason: "R", message: "m" });
  const abort = new AbortController();
  const running = recorder.run(abort.signal);
  await settle();
  abort.abort();
  await running;
  expect(times.map((text) => Date.parse(text))).toEqual([clock.trueMs()]);
});
