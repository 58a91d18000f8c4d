import fc from "fast-check";
import { expect, it } from "vitest";
import { didYouMean, nearestName } from "../../../src/lib/nearest-name.ts";

const FIELDS = ["events", "endpoint", "payload", "signing", "policyRef", "history", "ordering", "deletionPolicy"];

it.each([
  ["event", "events"],
  ["endpont", "endpoint"],
  ["ednpoint", "endpoint"],
  ["policy_ref", "policyRef"],
  ["POLICYREF", "policyRef"],
  ["order", "ordering"],
  ["endpointendpointendpoint", undefined],
  ["xyzzy", undefined],
  ["", undefined],
  ["e", undefined],
])("'%s' means %s", (written, meant) => {
  expect(nearestName(written, FIELDS)).toBe(meant);
  expect(didYouMean(written, FIELDS)).toBe(meant === undefined ? "" : `, did you mean ${meant}?`);
});

it("finds a name that was changed in one place, and is quick about endless ones", () => {
  fc.assert(
    fc.property(fc.constantFrom(...FIELDS), fc.nat(), (name, at) => {
      const place = at % name.length;
      expect(nearestName(name.slice(0, place) + name.slice(place + 1), FIELDS)).toBe(name);
    }),
  );
  expect(nearestName("z".repeat(1_000_000), FIELDS)).toBeUndefined();
});
