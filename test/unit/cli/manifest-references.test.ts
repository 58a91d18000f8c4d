import { describe, expect, it } from "vitest";
import { checkManifests } from "../../../src/cli/manifest-check.ts";
import { ExpressionCache } from "../../../src/controller/subscription/expression-cache.ts";
import { compileBody, compileFilter } from "../../../src/core/expression/compile.ts";

const expressions = new ExpressionCache({ filter: compileFilter, body: compileBody });
const WHSEC = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;

function check(...texts: string[]): string[] {
  const { findings } = checkManifests(
    texts.map((text, index) => ({ file: `${index}.yaml`, text })),
    expressions,
  );
  return findings.map(({ severity, line, field, reason, message }) => `${severity} ${line} ${field} ${reason} ${message}`);
}

const subscription = (spec: string): string =>
  `apiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata: {name: crm, namespace: shop}\nspec:\n  events: {types: [a]}\n${spec}`;
const secret = (data: string, more = 'namespace: shop, labels: {postrider.dev/use: "true"}'): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: {name: crm, ${more}}\nstringData: ${data}\n`;

const SIGNED = subscription("  endpoint: {url: https://a.example.com/}\n  signing: {secretRefs: [{name: crm, key: secret}]}\n");
const BEARER = subscription("  endpoint:\n    url: https://a.example.com/\n    auth: {bearer: {secretRef: {name: crm, key: token}}}\n");
const HEADERS = subscription(
  "  endpoint:\n    url: https://a.example.com/\n    headers: [{name: X-A, valueFrom: {secretKeyRef: {name: crm, key: a}}}, {name: X-B, valueFrom: {secretKeyRef: {name: crm, key: b}}}]\n",
);
const SECRET_URL = subscription("  endpoint: {urlSecretRef: {name: crm, key: url}}\n");
const CA = subscription("  endpoint:\n    url: https://a.example.com/\n    tls: {caRef: {kind: Secret, name: crm, key: ca}}\n");

describe("validate refuses what run refuses", () => {
  it.each<[string, string, string, RegExp[]]>([
    [
      "a key that the Secret does not have",
      SIGNED,
      "{key: x}",
      [/^error 7 spec\.signing\.secretRefs\[0\] SecretKeyNotFound .*has no key secret \(it has key\)/],
    ],
    ["a signing key of the wrong form", SIGNED, "{secret: secret}", [/SecretInvalid Secret crm, key secret: .*whsec_<base64>/]],
    ["a key that is all right", SIGNED, `{secret: ${WHSEC}}`, []],
    ["a token's key that is not there", BEARER, "{tokn: x}", [/spec\.endpoint\.auth\.bearer\.secretRef SecretKeyNotFound/]],
    ["an empty token", BEARER, '{token: ""}', [/SecretInvalid the value is empty/]],
    [
      "two headers, both wrong",
      HEADERS,
      '{a: "x\\ny"}',
      [/headers\[0\]\.valueFrom SecretInvalid/, /headers\[1\]\.valueFrom SecretKeyNotFound/],
    ],
    ["a URL that goes nowhere", SECRET_URL, "{url: not a url}", [/spec\.endpoint\.urlSecretRef /]],
    ["a URL into the cluster", SECRET_URL, "{url: https://10.0.0.1/}", [/spec\.endpoint\.urlSecretRef .*10\.0\.0\.1|not a public/]],
    ["an authority that is no certificate", CA, "{ca: nonsense}", [/spec\.endpoint\.tls\.caRef/]],
  ])("%s", (_what, text, data, expected) => {
    const said = check(text, secret(data));
    expect(said).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(said[index]).toMatch(pattern);
    expect(said.join()).not.toContain("nonsense");
  });

  it("a Secret in another namespace, and one in none", () => {
    for (const [more, namespace] of [
      ['namespace: shopp, labels: {postrider.dev/use: "true"}', "shopp"],
      ['labels: {postrider.dev/use: "true"}', "default"],
    ] as const)
      expect(check(SIGNED, secret(`{secret: ${WHSEC}}`, more))).toEqual([
        expect.stringContaining(`the Secret crm is in namespace ${namespace}, the subscription in shop`),
      ]);
  });

  it("a Secret without the label, told as YAML too", () => {
    expect(check(SIGNED, secret(`{secret: ${WHSEC}}`, "namespace: shop"))).toEqual([
      expect.stringMatching(/RefNotPermitted .*kubectl label.*metadata\.labels, postrider\.dev\/use: "true"/),
    ]);
  });

  it("and leaves out what may be in the cluster", () => {
    for (const text of [SIGNED, BEARER, HEADERS, SECRET_URL, CA]) expect(check(text)).toEqual([]);
  });
});
