import { expect, it } from "vitest";
import { checkManifests } from "../../../src/cli/manifest-check.ts";
import { ExpressionCache } from "../../../src/controller/subscription/expression-cache.ts";

function subscription(header: string, more = ""): string {
  return `apiVersion: postrider.dev/v1alpha1
kind: WebhookSubscription
metadata: {name: a, namespace: shop}
spec:
  events: {types: ["order.*"]}
  endpoint:
    url: https://example.com/
    headers: [{name: "${header}", value: x}]
${more}`;
}

function problems(text: string): string[] {
  return checkManifests([{ file: "a.yaml", text }], new ExpressionCache())
    .findings.filter(({ severity }) => severity === "error")
    .map(({ field }) => field);
}

/** Some are refused by the schema, the others by the controller's check: none may get through both. */
it.each([
  "Host",
  "content-length",
  "Transfer-Encoding",
  "User-Agent",
  "Cookie",
  "traceparent",
  "webhook-id",
  "ce-type",
  "X-Forwarded-For",
  "Sec-Fetch-Mode",
  "Proxy-Authorization",
  "Impersonate-User",
  "x-remote-group",
  "X-Original-URL",
  "X-HTTP-Method-Override",
  "HTTP2-Settings",
  "Range",
  "X_Remote_User",
  "Content_Length",
])("refuses the header %s", (header) => {
  expect(problems(subscription(header)).length).toBeGreaterThan(0);
});

it.each(["X-Team", "Authorization", "Accept"])("takes the header %s", (header) => {
  expect(problems(subscription(header))).toEqual([]);
});

it("refuses Authorization beside endpoint.auth", () => {
  const auth = "    auth: {bearer: {secretRef: {name: s, key: k}}}\n";
  expect(problems(subscription("Authorization", auth))).toEqual(["spec.endpoint"]);
});
