import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { Schema } from "../../../src/api/schema.ts";

const CRDS = join(import.meta.dirname, "../../../crds");
/** Words that Kubernetes' API conventions write in one case throughout. */
const ACRONYMS = new Set(["api", "ca", "cidr", "dns", "http", "https", "id", "ip", "json", "sni", "tls", "uid", "uri", "url"]);
/** Values that another standard spells, which an enum of ours repeats. */
const FOREIGN = /^(HTTPS?|None|TLS\d\.\d|\d+(\.\d+)?|[a-z0-9-]+\/[a-z0-9.+-]+)$/;

interface Field {
  readonly path: string;
  readonly name: string;
  readonly schema: Schema;
}

function fieldsOf(schema: Schema, path: string): Field[] {
  const { properties = {}, items, additionalProperties } = schema;
  const own = Object.entries(properties).map(([name, child]) => ({ path: `${path}.${name}`, name, schema: child }));
  if (items !== undefined) own.push({ path: `${path}[]`, name: "", schema: items });
  const children = own.flatMap((field) => fieldsOf(field.schema, field.path));
  return own.concat(children, additionalProperties === undefined ? [] : fieldsOf(additionalProperties, `${path}{}`));
}

const fields = readdirSync(CRDS)
  .filter((file) => file.endsWith(".yaml"))
  .flatMap((file) => {
    const crd = parse(readFileSync(join(CRDS, file), "utf8")) as {
      spec: { names: { kind: string }; versions: { schema: { openAPIV3Schema: Schema } }[] };
    };
    const { properties = {} } = crd.spec.versions[0]?.schema.openAPIV3Schema ?? {};
    return ["spec", "status"].flatMap((part) => {
      const [path, schema] = [`${crd.spec.names.kind}.${part}`, properties[part] ?? {}];
      return [{ path, name: part, schema }].concat(fieldsOf(schema, path));
    });
  });

/** `recordIdField` is `record`, `Id`, `Field`; `deniedCIDRs` is `denied`, `CIDRs`. */
const wordsOf = (name: string): string[] => name.match(/[A-Z]+s?(?![a-z])|[A-Z]?[a-z\d]+/g) ?? [];
const isMisspelt = (word: string): boolean => {
  const [, stem = "", plural = ""] = /^(.+?)(s?)$/.exec(word) ?? [];
  const isAcronym = ACRONYMS.has(word.toLowerCase()) || ACRONYMS.has(stem.toLowerCase());
  const bare = ACRONYMS.has(word.toLowerCase()) ? word : stem;
  return isAcronym && bare !== bare.toUpperCase() && plural.length <= 1;
};
/** The first word of a name is in lower case, acronym or not: `url`, `tlsVersion`. */
const misspelt = (name: string): string[] => wordsOf(name).filter((word, at) => (at === 0 ? /[A-Z]/.test(word) : isMisspelt(word)));

describe("names in the API", () => {
  it("write acronyms in one case", () => {
    expect(fields.length).toBeGreaterThan(150);
    expect(fields.filter(({ name }) => misspelt(name).length > 0).map(({ path }) => path)).toEqual([]);
  });

  it.each([
    ["eventId", ["Id"]],
    ["recordIdField", ["Id"]],
    ["tokenUrl", ["Url"]],
    ["allowedCidrs", ["Cidrs"]],
    ["eventID", []],
    ["allowedCIDRs", []],
    ["allowPlainHTTP", []],
    ["ids", []],
  ])("in %s the words %j are misspelt", (name, words) => {
    expect(misspelt(name)).toEqual(words);
  });

  it("enumerate values in CamelCase, or as their own standard spells them", () => {
    const values = fields.flatMap(({ path, schema }) => (schema.enum ?? []).map((value) => ({ path, value })));
    expect(values.length).toBeGreaterThan(20);
    expect(values.filter(({ value }) => !/^[A-Z][A-Za-z0-9]*$/.test(value) && !FOREIGN.test(value))).toEqual([]);
  });
});

describe("a status", () => {
  const inStatus = fields.filter(({ path }) => /^\w+\.status/.test(path));

  it("has no closed enum but the three words of a condition's status: a newer operator may write other values under older CRDs", () => {
    expect(inStatus.length).toBeGreaterThan(40);
    const closed = inStatus.filter(({ path, schema }) => schema.enum !== undefined && !path.endsWith(".conditions[].status"));
    expect(closed.map(({ path }) => path)).toEqual([]);
  });

  it("has one schema default, the generation that no controller has looked at, and the page of the field says so", () => {
    const defaults = inStatus.filter(({ schema }) => schema.default !== undefined);
    expect(new Set(defaults.map(({ name, schema }) => `${name} ${JSON.stringify(schema.default)}`))).toEqual(
      new Set(['status {"observedGeneration":-1}']),
    );
    expect(defaults).toHaveLength(4);
    for (const { schema } of defaults) expect(schema.properties?.["observedGeneration"]?.description).toContain("-1 until it first has");
  });
});
