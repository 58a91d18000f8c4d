import { describe, expect, it } from "vitest";
import { MANIFEST_ALIASES_MAX, MANIFEST_DEPTH_MAX, MANIFEST_FILE_BYTES_MAX, readManifestFile } from "../../../src/api/manifest.ts";

const FILE = `# two objects and an empty document
apiVersion: v1
kind: Secret
metadata:
  name: credentials
  labels:
    postrider.dev/use: "true"
---
---
apiVersion: postrider.dev/v1alpha1
kind: WebhookSubscription
metadata: { name: orders, namespace: shop }
spec:
  events:
    types:
      - order.paid
      - order.*
  endpoint:
    url: https://example.com/
    headers:
      - name: X-A
        value: a
      - name: X-B
`;

describe("a manifest file", () => {
  it("gives its objects with names and namespaces as written", () => {
    const { manifests, problems } = readManifestFile(FILE);
    expect(problems).toEqual([]);
    expect(manifests.map(({ apiVersion, kind, namespace, name }) => [apiVersion, kind, namespace, name])).toEqual([
      ["v1", "Secret", undefined, "credentials"],
      ["postrider.dev/v1alpha1", "WebhookSubscription", "shop", "orders"],
    ]);
  });

  it.each([
    ["", 10],
    ["kind", 11],
    ["metadata.name", 12],
    ["spec.events.types", 15],
    ["spec.events.types[1]", 17],
    ["spec.endpoint.headers[1].name", 23],
    ["spec.endpoint.headers[1].value", 23],
    ["spec.endpoint.auth.bearer", 18],
    ["spec.endpoint.headers[7].name", 20],
    ["nothing.like.it", 10],
  ])("says on which line %s stands, or its nearest parent", (field, line) => {
    expect(readManifestFile(FILE).manifests[1]?.locate(field)).toBe(line);
  });

  it.each([
    ["indented", "\n\n  apiVersion: v1\n  kind: A\n  metadata:\n    name: a\n", "metadata.name", 6],
    ["on the line of its marker", "# first\n--- {apiVersion: v1, kind: A,\n metadata: {name: a}}\n", "metadata.name", 3],
    ["after a directive", "%YAML 1.2\n---\napiVersion: v1\nkind: A\nmetadata:\n  name: a\n...\n", "metadata.name", 6],
    ["with line ends of Windows", "apiVersion: v1\r\nkind: A\r\nmetadata:\r\n  name: a\r\n", "metadata.name", 4],
  ])("knows lines in a document %s", (_name, text, field, line) => {
    const { manifests, problems } = readManifestFile(text);
    expect(problems).toEqual([]);
    expect(manifests[0]?.locate(field)).toBe(line);
  });

  it("finds keys that hold dots", () => {
    expect(readManifestFile(FILE).manifests[0]?.locate("metadata.labels.postrider.dev/use")).toBe(7);
  });

  it("follows aliases", () => {
    const { manifests } = readManifestFile("apiVersion: v1\nkind: X\nmetadata: {name: a}\nspec:\n  one: &one\n    b: 1\n  two: *one\n");
    expect(manifests[0]?.object["spec"]).toEqual({ one: { b: 1 }, two: { b: 1 } });
    expect(manifests[0]?.locate("spec.two.b")).toBe(6);
  });

  it("takes a List apart", () => {
    const { manifests, problems } = readManifestFile(
      "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: A\n    metadata: {name: a}\n  - apiVersion: v1\n    kind: B\n",
    );
    expect(manifests.map(({ kind, name }) => [kind, name])).toEqual([["A", "a"]]);
    expect(problems).toMatchObject([{ field: "items[1].metadata.name", reason: "Required", line: 7 }]);
  });

  it("may be JSON, empty, or comments only", () => {
    expect(readManifestFile(`{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}}`).manifests).toHaveLength(1);
    expect(readManifestFile("")).toEqual({ manifests: [], problems: [] });
    expect(readManifestFile("# nothing\n---\n# here\n")).toEqual({ manifests: [], problems: [] });
  });

  it("keeps the good documents beside a broken one", () => {
    const { manifests, problems } = readManifestFile(`a: [\n---\n${FILE}`);
    expect(manifests).toHaveLength(2);
    expect(problems.length).toBeGreaterThan(0);
  });

  it("does not let a key reach the prototype", () => {
    const { manifests } = readManifestFile("apiVersion: v1\nkind: A\nmetadata: {name: a}\n__proto__: {polluted: true}\n");
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys(manifests[0]?.object ?? {})).toContain("__proto__");
  });
});

describe("refused, with the line", () => {
  it.each([
    ["a list", "- a\n", 1, "a manifest must be an object"],
    ["no apiVersion", "kind: A\nmetadata: {name: a}\n", 1, "apiVersion is required"],
    ["no kind", "apiVersion: v1\nmetadata: {name: a}\n", 1, "kind is required"],
    ["no name", "apiVersion: v1\nkind: A\nmetadata:\n  namespace: b\n", 3, "metadata.name is required"],
    ["a name that is a number", "apiVersion: v1\nkind: A\nmetadata:\n  name: 5\n", 4, "metadata.name is required and must be a string"],
    ["duplicate keys", "a: 1\nb:\n  c: 1\n  c: 2\n", 4, "Map keys must be unique"],
    ["a syntax error", "a: 1\nb: ]\n", 2, "Unexpected flow-seq-end"],
    ["an unclosed quote", 'a: "b\n', 2, "Missing closing"],
    [
      "a boolean of YAML 1.1",
      "a:\n  - no\n",
      2,
      'no without quotes means different things to different YAML readers: write true or false, or quote it: "no"',
    ],
    ["an octal of YAML 1.1", "mode: 0755\n", 1, "0755 without quotes"],
    ["digits in groups", "count: 1_000\n", 1, "1_000 without quotes"],
  ])("%s", (_name, text, line, message) => {
    const { manifests, problems } = readManifestFile(text);
    expect(manifests).toEqual([]);
    expect(problems[0]?.line).toBe(line);
    expect(problems[0]?.message).toContain(message);
  });

  it("quoted words and ordinary numbers are fine", () => {
    const { problems } = readManifestFile(
      'apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: ["no", "0755", 0, 10, 0.5, nobody, 0s, 2026-01-10T08:00:00Z, 12:30:00]\n',
    );
    expect(problems).toEqual([]);
  });

  it("a file over the cap, naming it", () => {
    const { problems } = readManifestFile("#".repeat(MANIFEST_FILE_BYTES_MAX + 1));
    expect(problems[0]?.message).toContain(String(MANIFEST_FILE_BYTES_MAX));
  });

  it("a billion laughs, naming the bound", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 10; i++) lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(", ")}]`);
    const { problems } = readManifestFile(lines.join("\n"));
    expect(problems[0]?.message).toContain(`at most ${MANIFEST_ALIASES_MAX} aliases`);
  });

  it.each([
    ["brackets", "[".repeat(100_000)],
    ["closed brackets", `${"[".repeat(1_000)}${"]".repeat(1_000)}`],
    ["dashes", `${"- ".repeat(50_000)}1`],
    ["indented maps", Array.from({ length: 2_000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
  ])("%s nested without end, naming the bound", (_name, text) => {
    const { problems } = readManifestFile(text);
    expect(problems).toMatchObject([{ reason: "TooDeep", message: `nested deeper than ${MANIFEST_DEPTH_MAX} levels` }]);
  });
});
