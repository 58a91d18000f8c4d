import { describe, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { withDefaults } from "../../../src/api/defaulting.ts";
import type { Schema } from "../../../src/api/schema.ts";

const BASE = { apiVersion: "postrider.dev/v1alpha1", kind: "DeliveryPolicy", metadata: { name: "a", namespace: "b" }, spec: {} };

describe("a manifest is refused as a whole", () => {
  it.each([
    ["text", "hello", "", "a manifest must be an object"],
    ["a list", [], "", "a manifest must be an object"],
    ["nothing", null, "", "a manifest must be an object"],
    ["a foreign kind", { ...BASE, kind: "Secret" }, "kind", "Secret is not a kind of postrider.dev/v1alpha1"],
    ["a kind from the prototype", { ...BASE, kind: "constructor" }, "kind", "constructor is not a kind"],
    ["no kind", { ...BASE, kind: undefined }, "kind", "it is not a kind"],
    ["another version", { ...BASE, apiVersion: "postrider.dev/v1" }, "apiVersion", "must be postrider.dev/v1alpha1 for a DeliveryPolicy"],
    ["no metadata", { ...BASE, metadata: undefined }, "metadata", "Required value"],
    ["no name", { ...BASE, metadata: {} }, "metadata.name", "Required value"],
    ["a bad name", { ...BASE, metadata: { name: "Not_A_Name" } }, "metadata.name", "must consist of lower case alphanumeric characters"],
    ["a long name", { ...BASE, metadata: { name: "a".repeat(254) } }, "metadata.name", "at most 253"],
    ["a bad namespace", { ...BASE, metadata: { name: "a", namespace: "b.c" } }, "metadata.namespace", "must consist of lower case"],
    [
      "a namespace where none is",
      { ...BASE, kind: "ClusterDeliveryPolicy" },
      "metadata.namespace",
      "a ClusterDeliveryPolicy has no namespace",
    ],
    ["labels a list", { ...BASE, metadata: { name: "a", labels: [] } }, "metadata.labels", "must be of type object"],
    [
      "an annotation that is no string",
      { ...BASE, metadata: { name: "a", annotations: { b: 1 } } },
      "metadata.annotations.b",
      'put it in quotes ("1")',
    ],
    [
      "a label value with a space",
      { ...BASE, metadata: { name: "a", labels: { b: "c d" } } },
      "metadata.labels.b",
      "must be a label value",
    ],
  ])("%s", (_name, manifest, field, message) => {
    const result = readCustomResource(manifest);
    const problems = result.ok ? [] : result.problems;
    expect(problems.map((problem) => problem.field)).toEqual([field]);
    expect(problems[0]?.message).toContain(message);
  });

  it("tells a slip of case from a field that does not exist", () => {
    const result = readCustomResource({ ...BASE, spec: { maxinflight: 1, nothing: 2 } });
    expect(result.ok ? [] : result.problems.map((problem) => problem.message)).toEqual([
      'unknown field "spec.maxinflight": did you mean maxInFlight?',
      expect.stringContaining('unknown field "spec.nothing": supported: timeout, connectTimeout,'),
    ]);
  });

  it("never repeats a hostile name at length", () => {
    const result = readCustomResource({ ...BASE, spec: { ["x".repeat(100_000)]: 1 } });
    expect(JSON.stringify(result).length).toBeLessThan(2_000);
  });
});

describe("defaults", () => {
  const schema: Schema = {
    type: "object",
    properties: {
      flag: { type: "boolean", default: false },
      inner: { type: "object", properties: { word: { type: "string", default: "a" }, plain: { type: "string" } } },
      list: { type: "array", items: { type: "object", properties: { word: { type: "string", default: "b" } } } },
      whole: { type: "object", default: {}, properties: { word: { type: "string", default: "c" } } },
    },
  };

  it("appear only inside objects that are there", () => {
    expect(withDefaults(schema, { list: [{}] })).toEqual({ flag: false, list: [{ word: "b" }], whole: { word: "c" } });
    expect(withDefaults(schema, { inner: {} })).toMatchObject({ inner: { word: "a" } });
  });

  it("stand in for null, which otherwise counts as absent", () => {
    expect(withDefaults(schema, { flag: null, inner: { word: null, plain: null } })).toEqual({
      flag: false,
      inner: { word: "a" },
      whole: { word: "c" },
    });
  });

  it("leave the input as it was", () => {
    const input = { inner: { plain: null } };
    withDefaults(schema, input);
    expect(input).toEqual({ inner: { plain: null } });
  });
});
