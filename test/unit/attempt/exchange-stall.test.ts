import { describe, expect, it } from "vitest";
import { BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import type { Outcome } from "../../../src/core/outcome.ts";
import { ConnectFailure } from "../../../src/attempt/connect/connect-failure.ts";
import type { DispatchController } from "../../../src/attempt/http/receiver-pool.ts";
import { ReceiverExchange } from "../../../src/attempt/http/receiver-exchange.ts";
import { TimerWheel } from "../../../src/lib/timer-wheel.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const STALLS_MS = [500, 3_000, 17_000, 60_000];
const TIMEOUTS_MS = [2_000, 15_000];
const cases = STALLS_MS.flatMap((stallMs) => TIMEOUTS_MS.map((timeoutMs) => ({ stallMs, timeoutMs })));

/** An exchange on the wheel as an attempt makes it, told of its request by the test instead of by undici. */
function scene(timeoutMs: number) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const outcomes: Outcome[] = [];
  const exchange: ReceiverExchange = new ReceiverExchange({
    clock,
    policy: { ...BUILT_IN_POLICY, timeoutMs },
    tls: true,
    captureBytes: 100,
    secrets: () => [],
    stoodMs: () => wheel.stoodSince(slot),
    done: (outcome) => {
      wheel.cancel(slot);
      outcomes.push(outcome);
    },
  });
  const slot = wheel.add(timeoutMs, exchange);
  const controller = {
    aborted: false,
    abort() {
      this.aborted = true;
    },
  };
  const sent = (): void => exchange.onRequestStart(controller as unknown as DispatchController);
  const head = (): void => exchange.onResponseStart(controller as unknown as DispatchController, 200, {});
  const data = (text: string): void => exchange.onResponseData(controller as unknown as DispatchController, Buffer.from(text));
  const end = (): void => exchange.onResponseEnd();
  return { clock, exchange, controller, outcomes, sent, head, data, end };
}

describe.each(cases)("stood still for $stallMs ms with a time-out of $timeoutMs ms", ({ stallMs, timeoutMs }) => {
  it("takes the answer that came in time", async () => {
    const { clock, outcomes, sent, head, end } = scene(timeoutMs);
    await clock.advance(10);
    sent();
    clock.arrive(400, () => {
      head();
      end();
    });
    await clock.stall(stallMs);
    expect(outcomes).toMatchObject([{ class: "success" }]);
  });

  it("takes the rest of an answer that had begun", async () => {
    const { clock, outcomes, sent, head, data, end } = scene(timeoutMs);
    sent();
    await clock.advance(10);
    head();
    data("a");
    clock.arrive(300, () => data("b"));
    clock.arrive(400, () => {
      data("c");
      end();
    });
    await clock.stall(stallMs);
    expect(outcomes).toMatchObject([{ class: "success", message: "HTTP 200 OK" }]);
    expect(Buffer.from(outcomes[0]?.responseBody ?? []).toString()).toBe("abc");
  });

  it("lets a connection that needs three more turns come about, and then the answer", async () => {
    const { clock, outcomes, sent, head, end } = scene(timeoutMs);
    await clock.advance(10);
    await clock.stall(stallMs);
    await clock.advance(timeoutMs / 4);
    expect(outcomes).toEqual([]);
    sent();
    await clock.advance(timeoutMs / 4);
    head();
    end();
    expect(outcomes).toMatchObject([{ class: "success" }]);
  });

  it("ends without an answer at most 2 s after its time, once", async () => {
    const { clock, outcomes, controller, sent } = scene(timeoutMs);
    sent();
    await clock.advance(10);
    await clock.stall(stallMs);
    const leftMs = Math.max(0, timeoutMs - stallMs - 10);
    await clock.advance(leftMs + 2_100);
    expect(outcomes).toHaveLength(1);
    expect(outcomes[0]).toMatchObject({ class: "timeout", connectionStatus: "ETIMEDOUT" });
    expect(controller.aborted).toBe(true);
    // Half a second is no excuse; the beat by which a stall is noticed may be 0.2 s old.
    const excused = (stallMs - 200) / timeoutMs >= 0.25;
    expect(outcomes[0]?.stalled).toBe(excused || undefined);
    expect(outcomes[0]?.message.includes("Postrider itself was frozen")).toBe(excused);
    await clock.advance(60_000);
    expect(outcomes).toHaveLength(1);
  });
});

describe("a failure while we stood still", () => {
  it.each([
    ["the name server's silence", new ConnectFailure("dns_error", "ETIMEOUT", "no answer from the name servers in time"), true],
    ["a connection cut off", Object.assign(new Error("x"), { code: "ECONNRESET" }), true],
    ["a handshake cut off", new ConnectFailure("tls_error", "ECONNRESET", "the TLS handshake failed"), true],
    ["the proxy's silence", new ConnectFailure("connect_error", "PROXY_TIMEOUT", "no connection"), true],
    ["a refused connection", new ConnectFailure("connect_error", "ECONNREFUSED", "connection refused"), undefined],
    ["a name that does not exist", new ConnectFailure("dns_error", "ENOTFOUND", "no such host name"), undefined],
    ["a bad certificate", new ConnectFailure("tls_error", "CERT_HAS_EXPIRED", "expired"), undefined],
  ])("%s", async (_name, error, stalled) => {
    const { clock, exchange, controller, outcomes } = scene(2_000);
    await clock.advance(10);
    await clock.stall(3_000);
    exchange.onResponseError(controller as unknown as DispatchController, error);
    expect(outcomes[0]?.stalled).toBe(stalled);
  });

  it("is no excuse for a status that the receiver sent", async () => {
    const { clock, exchange, controller, outcomes, sent } = scene(2_000);
    sent();
    clock.arrive(100, () => {
      exchange.onResponseStart(controller as unknown as DispatchController, 500, {});
      exchange.onResponseEnd();
    });
    await clock.stall(3_000);
    expect(outcomes).toMatchObject([{ class: "server_error", statusCode: 500 }]);
    expect(outcomes[0]?.stalled).toBeUndefined();
  });
});

describe("a request that is signed and not sent yet", () => {
  it.each([
    ["a freeze of six minutes", (clock: ManualClock) => clock.stall(360_000)],
    ["the machine's clock put right by six minutes", async (clock: ManualClock) => clock.stepWall(360_000)],
    ["the machine's clock put back by a day", async (clock: ManualClock) => clock.stepWall(-86_400_000)],
  ])("is not sent after %s: its signature would be refused for good", async (_name, happens) => {
    const { clock, outcomes, controller, sent } = scene(15_000);
    await clock.advance(10);
    await happens(clock);
    expect(outcomes).toEqual([]);
    sent();
    expect(controller.aborted).toBe(true);
    expect(outcomes).toMatchObject([{ class: "timeout", connectionStatus: "ETIMEDOUT", stalled: true }]);
    expect(outcomes[0]?.message).toMatch(/^not sent: according to the machine's clock, it was signed \d+ s ago$/);
  });

  it("is sent after a freeze of a minute", async () => {
    const { clock, outcomes, controller, sent } = scene(15_000);
    await clock.stall(60_000);
    sent();
    expect([controller.aborted, outcomes]).toEqual([false, []]);
  });
});
