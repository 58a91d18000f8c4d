import { expect, it } from "vitest";
import { routeOf as apiRouteOf } from "../../../src/admin/api-routes.ts";
import { ApiHandlers } from "../../../src/admin/handlers.ts";
import { attemptView } from "../../../src/admin/views.ts";
import type { AttemptRecord } from "../../../src/store/store.ts";
import { outcome, routeOf, World } from "../../support/sim/world.ts";
import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { UNREACHED } from "../../support/door/unreached.ts";

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

/** An event delivered an hour before and one after a step of the wall clock that has been taken over. */
async function scene(stepMs: number) {
  const world = new World({ receiver: () => ({ afterMs: 5, outcome: outcome("success") }) });
  await world.start([routeOf("a")]);
  const first = await world.post();
  await world.clock.advance(HOUR);
  world.clock.stepWall(stepMs);
  world.clock.adoptWallClock();
  const second = await world.post();
  await world.clock.advance(1_000);
  const handlers = new ApiHandlers({
    clock: world.clock,
    deliveryNames: testDeliveryNames,
    store: world.store,
    directory: { list: () => [], get: () => undefined, nameOf: () => "a", uidsOf: () => [] },
    acts: { ...UNREACHED.acts, heldBack: (queue) => world.engine.heldBack(queue), bodyOf: () => undefined },
  });
  const get = async (path: string, query: Record<string, string> = {}): Promise<Record<string, unknown>> => {
    const routed = apiRouteOf("GET", `/v1/namespaces/ns/${path}`);
    if (routed.kind !== "route") throw new Error(routed.kind);
    const answer = await handlers.answer({
      route: routed.route,
      parameters: new URLSearchParams(query),
      body: new Uint8Array(0),
      signal: AbortSignal.any([]),
    });
    return answer.body as Record<string, unknown>;
  };
  const eventIds = async (query: Record<string, string>): Promise<unknown[]> =>
    ((await get("deliveries", query))["items"] as Record<string, unknown>[]).map((item) => item["eventID"]);
  return { world, first, second, get, eventIds };
}

it.each([HOUR, -HOUR, 5 * 24 * HOUR, 10 * YEAR, -10 * YEAR])("after a step of %d ms the API tells the wall's times", async (stepMs) => {
  const { world, second, get } = await scene(stepMs);
  const wallMs = world.clock.trueMs();
  const near = (text: unknown): void => expect(Math.abs(Date.parse(String(text)) - wallMs)).toBeLessThan(2_000);
  const [newest] = (await get("deliveries", { limit: "1" }))["items"] as Record<string, unknown>[];
  expect(newest?.["eventID"]).toBe(second?.id);
  near(newest?.["acceptedTime"]);
  near(newest?.["endedTime"]);
  near((await get(`deliveries/${String(newest?.["id"])}`))["acceptedTime"]);
  // The same row, alone.
  expect(await get(`deliveries/${String(newest?.["id"])}`)).toEqual(newest);
  near((await get(`events/${second?.id}`))["receivedTime"]);
});

it.each([HOUR, -HOUR, 10 * YEAR, -10 * YEAR])("after a step of %d ms `since` and `until` mean the wall's times", async (stepMs) => {
  const { world, first, second, eventIds } = await scene(stepMs);
  const between = new Date(world.clock.trueMs() - HOUR / 2).toISOString();
  expect(await eventIds({ since: between })).toEqual([second?.id]);
  expect(await eventIds({ until: between })).toEqual([first?.id]);
  expect(await eventIds({ since: new Date(world.clock.trueMs() + 1_000).toISOString() })).toEqual([]);
});

it("an attempt tells the wall's time it was begun at, one that a crash cut off when it was due, by the wall", () => {
  const wall = { shownMs: (atMs: number) => atMs + HOUR };
  const label = { id: "x", uid: "a", name: "a", isDeadLetter: false, hold: undefined };
  const attempt = {
    deliveryId: 1,
    attempt: 1,
    startedAtMs: Date.UTC(2026, 0, 1),
    durationMs: 0,
    message: "",
    requestHeaders: [],
    responseHeaders: [],
  };
  const timeOf = (of: "success" | "unknown"): unknown =>
    attemptView({ ...attempt, outcome: of } as unknown as AttemptRecord, label, undefined, wall)["time"];
  expect(timeOf("success")).toBe("2026-01-01T00:00:00.000Z");
  expect(timeOf("unknown")).toBe("2026-01-01T01:00:00.000Z");
});
