import { expect, it } from "vitest";
import { eventView } from "../../../src/admin/views.ts";
import { withoutData } from "../../../src/core/event.ts";
import { event } from "../../conformance/store/fixture.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const wall = new ManualClock();

it("an event that nobody wanted is shown without its data, and says that they were not kept", () => {
  expect(eventView(event(), wall)).toMatchObject({ data: { text: '{"total":1.10}' }, dataKept: true });
  expect(eventView(withoutData(event()), wall)).toMatchObject({ data: null, dataKept: false, dataContentType: "application/json" });
  const untyped = event({ dataKind: "binary", dataContentType: undefined, data: Buffer.from([1]) });
  expect(eventView(withoutData(untyped), wall)).toMatchObject({ data: null, dataKept: false });
});

it("an event that had no data lacks none", () => {
  const bare = event({ dataKind: "none", dataContentType: undefined, data: new Uint8Array() });
  expect(eventView(withoutData(bare), wall)).toMatchObject({ data: { text: "" }, dataKept: true, dataContentType: null });
});
