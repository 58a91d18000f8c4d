import { describe, expect, it } from "vitest";
import { crdLeaves } from "../support/fields/crd-leaves.ts";
import { FIELD_CASES } from "./cases/field-cases.ts";

/** A kind that this version refuses as a whole; test/unit/api shows that every object of it is answered NotImplemented. */
const REFUSED_KIND = "DeliveryReplay";

const named = FIELD_CASES.map(({ kind, field }) => `${kind} ${field}`);
const fields = crdLeaves("spec").map(([kind, field]) => `${kind} ${field}`);

describe("the fields of the CRDs", () => {
  it("each have a case that fails when they are ignored", () => {
    const missing = fields.filter((field) => !field.startsWith(REFUSED_KIND) && !named.includes(field));
    expect(missing).toEqual([]);
  });

  it("are the only ones that cases are about, each once", () => {
    expect(named.filter((name) => !fields.includes(name))).toEqual([]);
    expect(named.filter((name, i) => named.indexOf(name) !== i)).toEqual([]);
  });
});
