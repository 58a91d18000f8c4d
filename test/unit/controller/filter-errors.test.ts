import { expect, test } from "vitest";
import { FilterErrors } from "../../../src/controller/subscription/filter-errors.ts";
import { objectKey } from "../../../src/controller/objects.ts";
import type { EventNote, Resources } from "../../../src/controller/objects.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const failing = (name: string, filter = "event.data.total > 10") => ({ namespace: "shop", name, spec: { filter } });
const keyOf = (name: string) => objectKey({ kind: "WebhookSubscription", namespace: "shop", name });

function start() {
  const clock = new ManualClock();
  const notes: [string, EventNote][] = [];
  const get = ((_kind: string, namespace: string, name: string) =>
    name === "gone" ? undefined : { kind: "WebhookSubscription", metadata: { namespace, name } }) as unknown as Resources["get"];
  const errors = new FilterErrors({ get }, { recordEvent: (object, note) => void notes.push([object.metadata.name ?? "", note]) }, clock);
  return { clock, notes, errors };
}

test("a filter that fails for every event is told once a minute on its subscription, with its message", async () => {
  const { clock, notes, errors } = start();
  for (let i = 0; i < 1_000; i++) errors.failed(failing("a"), "no such overload");
  errors.failed(failing("b"), "x".repeat(5_000));
  expect(errors.failed(failing("gone"), "no matter")).toBeUndefined();
  expect(notes.map(([name, note]) => [name, note.type, note.reason])).toEqual([
    ["a", "Warning", "FilterFailed"],
    ["b", "Warning", "FilterFailed"],
  ]);
  expect(notes[0]?.[1].message).toContain("no such overload");
  expect(notes[1]?.[1].message.length).toBeLessThanOrEqual(1_024);
  await clock.advance(60_000);
  errors.failed(failing("a"), "again");
  expect(notes).toHaveLength(3);
});

test("all of them are counted, with the time and the message of the newest, until the filter is another", async () => {
  const { clock, notes, errors } = start();
  const sinceMs = clock.trueMs();
  for (let i = 0; i < 999; i++) errors.failed(failing("a"), "no such overload");
  await clock.advance(5_000);
  expect(errors.failed(failing("a"), "field not found: total")).toBe(keyOf("a"));
  const filter = failing("a").spec.filter;
  expect(errors.of(keyOf("a"), filter)).toMatchObject({
    count: 1_000,
    sinceMs,
    lastAtMs: sinceMs + 5_000,
    message: "field not found: total",
  });
  expect(errors.of(keyOf("a"), "event.data.sum > 10")).toBeUndefined();
  errors.failed(failing("a", "event.data.sum > 10"), "no such overload");
  expect(errors.of(keyOf("a"), "event.data.sum > 10")).toMatchObject({ count: 1 });
  expect(errors.of(keyOf("a"), filter)).toBeUndefined();
  // An edit every second is no way to an Event every second.
  expect(notes).toHaveLength(1);
  errors.forget(keyOf("a"));
  expect(errors.of(keyOf("a"), "event.data.sum > 10")).toBeUndefined();
});

test("nothing is kept of subscriptions that do not exist", () => {
  const { errors } = start();
  errors.failed(failing("gone"), "late");
  expect(errors.of(keyOf("gone"), failing("gone").spec.filter)).toBeUndefined();
});
