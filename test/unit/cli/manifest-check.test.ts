import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkManifests } from "../../../src/cli/manifest-check.ts";
import type { Finding } from "../../../src/cli/manifest-check.ts";
import { ExpressionCache } from "../../../src/controller/subscription/expression-cache.ts";

const CORPUS = join(import.meta.dirname, "../../corpus/destinations.json");

interface Destination {
  readonly url: string;
  readonly verdict: "accept" | "refuse";
}

/** The compiler is judged elsewhere; here an expression is wrong when it says so. */
const refusal = { ok: false, problem: { field: "", reason: "Invalid", message: "does not parse: write CEL" } } as const;
const expressions = new ExpressionCache({
  filter: (source) =>
    source.includes("wrong")
      ? refusal
      : { ok: true, value: { source, evaluate: () => ({ ok: true, matched: true, steps: 1, cut: false }), blame: () => undefined } },
  body: (source) =>
    source.includes("wrong")
      ? refusal
      : { ok: true, value: { source, costly: false, evaluate: () => ({ ok: true, json: new Uint8Array(), steps: 1, cut: false }) } },
});

function check(...texts: string[]): readonly Finding[] {
  return checkManifests(
    texts.map((text, index) => ({ file: `${index}.yaml`, text })),
    expressions,
  ).findings;
}

function subscription(spec: string, name = "orders"): string {
  return `apiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata:\n  name: ${name}\n  namespace: shop\nspec:\n${spec}`;
}

const EVENTS = "  events:\n    types: [order.*]\n";
const URL_LINE = "  endpoint:\n    url: https://example.com/\n";
const PLAIN_HTTP = `apiVersion: postrider.dev/v1alpha1\nkind: ClusterDeliveryPolicy\nmetadata:\n  name: all\nspec:\n  egress:\n    allowPlainHTTP: true\n`;

describe("a Secret of ingest tokens", () => {
  const secret = (annotations: string, label = '"true"'): string =>
    `apiVersion: v1\nkind: Secret\nmetadata:\n  name: github\n  namespace: shop\n  labels:\n    postrider.dev/ingest-token: ${label}\n  annotations:\n${annotations}stringData:\n  token: 0123456789abcdef\n`;

  it("passes with good settings of hooks", () => {
    expect(check(secret("    postrider.dev/hooks: |\n      token: Basic\n"))).toEqual([]);
  });

  it.each([
    ["a misspelt setting", "    postrider.dev/hooks: |\n      tokn: Basic\n", "UnknownField", "tokn is unknown, did you mean token?"],
    ["a misspelt annotation", "    postrider.dev/hook: |\n      token: Basic\n", "UnknownField", "did you mean postrider.dev/hooks?"],
    ["a header that may be secret", "    postrider.dev/hooks: |\n      headers: {Cookie: a}\n", "NotSupported", "names 'cookie'"],
    [
      "settings that are no text",
      "    postrider.dev/hooks:\n      token: Basic\n",
      "TypeInvalid",
      "write '…/hooks: |', and its lines below that",
    ],
  ])("is refused with %s, on its line", (_what, annotations, reason, message) => {
    expect(check(secret(annotations))).toMatchObject([
      { severity: "error", line: 9, reason, message: expect.stringContaining(message) as string, object: "Secret shop/github" },
    ]);
  });

  it("is refused without its label, and with one that is no text", () => {
    const hooks = "    postrider.dev/hooks: |\n      token: Basic\n";
    expect(check(secret(hooks, '"false"'))).toMatchObject([{ line: 9, message: expect.stringContaining("add the label") as string }]);
    expect(check(secret(hooks, "true"))).toMatchObject([{ line: 7, message: 'must be of type string: put it in quotes ("true")' }]);
  });
});

describe("one subscription", () => {
  it("passes when all is good", () => {
    expect(check(subscription(EVENTS + URL_LINE))).toEqual([]);
  });

  it.each([
    ["a schema error", subscription(`${EVENTS}${URL_LINE}  retries: 3\n`), 11, "spec.retries", "UnknownField"],
    ["a filter that does not compile", subscription(`${EVENTS}    filter: wrong\n${URL_LINE}`), 9, "spec.events.filter", "InvalidFilter"],
    [
      "a body that does not compile",
      subscription(`${EVENTS}${URL_LINE}  payload:\n    body: wrong\n`),
      12,
      "spec.payload.body",
      "InvalidBody",
    ],
    ["a loopback address", subscription(`${EVENTS}  endpoint:\n    url: https://127.0.0.1/\n`), 10, "spec.endpoint.url", "EgressDenied"],
    ["plain http", subscription(`${EVENTS}  endpoint:\n    url: http://example.com/\n`), 10, "spec.endpoint.url", "EgressDenied"],
    [
      "what is not obeyed yet",
      subscription("  subscriptionRef: {name: orders}\n  from: All\n").replace("WebhookSubscription", "DeliveryReplay"),
      1,
      "",
      "NotImplemented",
    ],
    [
      "a kind that is not ours",
      subscription(EVENTS + URL_LINE).replace("WebhookSubscription", "WebhookSubscripton"),
      2,
      "kind",
      "NotSupported",
    ],
    ["broken YAML", "a: ]\n", 1, "", "InvalidYAML"],
  ])("is told %s with its line and field", (_name, text, line, field, reason) => {
    expect(check(text)).toMatchObject([{ severity: "error", file: "0.yaml", line, field, reason }]);
  });
});

describe("regular expressions, as an operator would judge them", () => {
  const judged = (filter: string): readonly Finding[] =>
    checkManifests(
      [{ file: "0.yaml", text: subscription(`${EVENTS}    filter: ${JSON.stringify(filter)}\n${URL_LINE}`) }],
      new ExpressionCache(),
    ).findings;

  it.each([
    [
      `event.data.s.matches('${".{0,999}".repeat(27)}[01]|a[ab]{999}[01]')`,
      "compiles to more than 8000 instructions, more than the 500 allowed",
    ],
    ["event.data.s.matches('[ab]{0,400}')", "compiles to 802 instructions, more than the 500 allowed"],
    ["event.data.s.matches(event.data.p)", "must be a literal text in the expression"],
    ["event.data.s.matches('(a')", "the regular expression is not valid"],
  ])("%s is refused offline", (filter, message) => {
    expect(judged(filter)).toMatchObject([
      {
        severity: "error",
        line: 9,
        field: "spec.events.filter",
        reason: "InvalidFilter",
        message: expect.stringContaining(message) as string,
      },
    ]);
  });

  it("one of a size that is allowed passes", () => {
    expect(judged("event.data.s.matches('^order-' + '[0-9]{1,12}$')")).toEqual([]);
  });
});

describe("files together", () => {
  it("a cluster policy opens plain http, for the namespaces it selects", () => {
    const plain = subscription(`${EVENTS}  endpoint:\n    url: http://example.com/\n`);
    const selecting = PLAIN_HTTP.replace("spec:\n", "spec:\n  namespaceSelector:\n    matchLabels: {stage: test}\n");
    const namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {stage: test}\n";
    expect(check(plain, PLAIN_HTTP)).toEqual([]);
    expect(check(plain, selecting)).toMatchObject([{ reason: "EgressDenied" }]);
    expect(check(plain, selecting, namespace)).toEqual([]);
  });

  it("the same object twice is refused, naming both places", () => {
    const findings = check(subscription(EVENTS + URL_LINE), `---\n${subscription(EVENTS + URL_LINE)}`);
    expect(findings).toMatchObject([{ severity: "error", file: "1.yaml", line: 5, reason: "Duplicate" }]);
    expect(findings[0]?.message).toContain("is in 0.yaml too, on line 4");
  });

  it("a policy that is not among them is a note, since it may be in the cluster", () => {
    const findings = check(subscription(`${EVENTS}${URL_LINE}  policyRef:\n    name: careful\n`));
    expect(findings).toMatchObject([{ severity: "note", line: 12, field: "spec.policyRef.name", reason: "PolicyNotFound" }]);
  });

  it("a Secret without the label is refused, an absent one is not", () => {
    const text = subscription(`${EVENTS}  endpoint:\n    urlSecretRef: {name: hook, key: url}\n`);
    const secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: hook\n  namespace: shop\nstringData: {url: https://example.com/x}\n";
    expect(check(text)).toEqual([]);
    expect(check(text, secret)).toMatchObject([{ severity: "error", reason: "RefNotPermitted", file: "0.yaml" }]);
    expect(check(text, secret.replace("  namespace", '  labels: {postrider.dev/use: "true"}\n  namespace'))).toEqual([]);
  });

  it("foreign objects are left alone", () => {
    expect(check("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {whatever: true}\n")).toEqual([]);
  });
});

describe("the corpus of destinations", () => {
  const destinations = JSON.parse(readFileSync(CORPUS, "utf8")) as Destination[];
  const judged = (url: string, ...others: string[]): boolean =>
    check(subscription(`${EVENTS}  endpoint:\n    url: ${JSON.stringify(url)}\n`), ...others).length === 0;

  it("has both verdicts", () => {
    expect(new Set(destinations.map(({ verdict }) => verdict))).toEqual(new Set(["accept", "refuse"]));
  });

  it.each(destinations.map(({ url, verdict }) => [verdict, url] as const))("%s %s, over https and beside plain http", (verdict, url) => {
    const secure = url.replace(/^(\s*)http:/i, "$1https:");
    expect(judged(secure)).toBe(verdict === "accept");
    expect(judged(url, PLAIN_HTTP)).toBe(verdict === "accept");
  });
});
