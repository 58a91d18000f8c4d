import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import type { SigningSpec } from "../../../src/core/subscription.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { parseKey } from "../../../src/core/signing/sign.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** The machine's clock has been put right by so much, which nobody has taken over yet. */
class SteppedClock extends SystemClock {
  byMs = 0;

  override trueMs(): number {
    return super.trueMs() + this.byMs;
  }
}

/** Of an answer 503: in how long to come back, and by how much the receiver's clock is off; undefined = it says no Date. */
interface Asked {
  readonly retryAfterMs: number;
  readonly skewMs: number | undefined;
}

async function send(byMs: number, signing: Partial<SigningSpec> = {}, asked?: Asked) {
  const clock = new SteppedClock();
  clock.byMs = byMs;
  const seen: { headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      seen.push({ headers: request.headers, body });
      if (asked === undefined) {
        response.end();
        return;
      }
      response.sendDate = false;
      const nowMs = clock.trueMs() + (asked.skewMs ?? 0);
      if (asked.skewMs !== undefined) response.setHeader("Date", new Date(nowMs).toUTCString());
      response.writeHead(503, { "Retry-After": new Date(nowMs + asked.retryAfterMs).toUTCString() }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => server.close());
  const attempter = new HttpAttempter({ clock, version: "1" });
  endings.push(() => attempter.close());
  const scheme = signing.scheme ?? "StandardWebhooks";
  const secret =
    scheme === "HMAC" || scheme === "TimestampToken" ? "0123456789abcdef0123" : "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr";
  const key = parseKey(scheme, Buffer.from(secret));
  if (!key.ok) throw new Error(key.problem.message);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const spec = { signing: { scheme, secretRefs: [], hmac: undefined, token: undefined, ...signing } };
  const done = await attempter.attempt({ route: aRoute({ url, spec, target: { keys: [key.key] } }), event: anEvent(), attempt: 1 });
  return { clock, done, seen: seen[0] ?? { headers: {}, body: "" } };
}

const HMAC = {
  algorithm: "SHA256",
  encoding: "Hex",
  header: "x-signature",
  prefix: "",
  signedContent: "{timestamp}.{body}",
  value: "{signature}",
} as const;
const TOKEN = { field: "x-token", separator: "|", algorithm: "SHA256", encoding: "Hex" } as const;

const styles: readonly [string, Partial<SigningSpec>, (seen: { headers: IncomingHttpHeaders; body: string }) => string | undefined][] = [
  ["Standard Webhooks", {}, ({ headers }) => String(headers["webhook-timestamp"])],
  [
    "HMAC with its time in a header",
    { scheme: "HMAC", hmac: { ...HMAC, timestampHeader: "x-time" } },
    ({ headers }) => String(headers["x-time"]),
  ],
  [
    "HTTP Message Signatures",
    { scheme: "HTTPMessageSignatures" },
    ({ headers }) => /created=(\d+)/.exec(String(headers["signature-input"]))?.[1],
  ],
  [
    "a token in a header",
    { scheme: "TimestampToken", token: { ...TOKEN, placement: "Header" } },
    ({ headers }) => String(headers["x-token"]).split("|")[0],
  ],
  [
    "a token in the body",
    { scheme: "TimestampToken", token: { ...TOKEN, field: "token", placement: "Body" } },
    ({ body }) => (JSON.parse(body) as { token: string }).token.split("|")[0],
  ],
];

const STEPS_MS = [360_000, -360_000, 10 * 365 * 86_400_000];
const cases = styles.flatMap(([name, signing, timeOf]) => STEPS_MS.map((byMs) => ({ name, signing, timeOf, byMs })));

it.each(cases)("$name: the time is the machine's at once, stepped by $byMs ms", async ({ signing, timeOf, byMs }) => {
  const { clock, done, seen } = await send(byMs, signing);
  expect(done.outcome.class).toBe("success");
  expect(Math.abs(Number(timeOf(seen)) - clock.trueMs() / 1_000)).toBeLessThan(2);
  expect(Math.abs(done.startedAtMs - clock.trueMs())).toBeLessThan(2_000);
  expect(done.outcome.durationMs).toBeLessThan(2_000);
});

it.each([
  ["that says no Date, by the machine's clock", [0, 360_000, -3_600_000], undefined],
  ["that says a Date, by its own clock", [0, 360_000, -3_600_000], 0],
  ["whose clock is a year ahead", [0, 360_000], 365 * 86_400_000],
  ["whose clock is ten minutes behind", [0, -360_000], -600_000],
])("a Retry-After date of a receiver %s, ours stepped by %j ms", async (_name, steps, skewMs) => {
  for (const byMs of steps) {
    const { done } = await send(byMs, {}, { retryAfterMs: 60_000, skewMs });
    expect(done.outcome.retryAfterMs).toBeGreaterThan(55_000);
    expect(done.outcome.retryAfterMs).toBeLessThanOrEqual(60_000);
  }
});
