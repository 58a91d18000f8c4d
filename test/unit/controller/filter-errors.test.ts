import { expect, test } from "vitest";
import { FilterErrors } from "../../../src/controller/subscription/filter-errors.ts";
import type { EventNote, Resources } from "../../../src/controller/objects.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

test("a filter that fails for every event is told once a minute on its subscription, with its message", async () => {
  const clock = new ManualClock();
  const notes: [string, EventNote][] = [];
  const get = ((_kind: string, namespace: string, name: string) =>
    name === "gone" ? undefined : { kind: "WebhookSubscription", metadata: { namespace, name } }) as unknown as Resources["get"];
  const errors = new FilterErrors({ get }, { recordEvent: (object, note) => void notes.push([object.metadata.name ?? "", note]) }, clock);
  for (let i = 0; i < 1_000; i++) errors.failed({ namespace: "shop", name: "a" }, "no such overload");
  errors.failed({ namespace: "shop", name: "b" }, "x".repeat(5_000));
  errors.failed({ namespace: "shop", name: "gone" }, "no matter");
  expect(notes.map(([name, note]) => [name, note.type, note.reason])).toEqual([
    ["a", "Warning", "FilterFailed"],
    ["b", "Warning", "FilterFailed"],
  ]);
  expect(notes[0]?.[1].message).toContain("no such overload");
  expect(notes[1]?.[1].message.length).toBeLessThanOrEqual(1_024);
  await clock.advance(60_000);
  errors.failed({ namespace: "shop", name: "a" }, "again");
  expect(notes).toHaveLength(3);
});
