import { once } from "node:events";
import { createServer } from "node:http";
import { Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { BUILT_IN_EGRESS, BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import type { EgressPolicy } from "../../../src/core/policy.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import corpus from "../../corpus/destinations.json" with { type: "json" };
import { FileOperator } from "../../support/controller/file-operator.ts";
import { SPEC, subscriptionYaml } from "../../support/manifests.ts";
import { anEvent, aRoute, LOOPBACK_EGRESS } from "../../support/delivery/attempt-input.ts";
import { ApiOverRoutes } from "../../support/hostile/api-over-routes.ts";

/** Promise 6: what a tenant may write, over https as the built-in policy wants it, and as it stands where plain http is allowed. */
const REFUSED = corpus.filter(({ verdict }) => verdict === "refuse").map(({ url }) => url);
const FORMS: readonly { readonly form: string; readonly urls: readonly string[]; readonly egress: EgressPolicy }[] = [
  { form: "over https", urls: REFUSED.map((url) => url.replace(/^(\s*)http:/i, "$1https:")), egress: BUILT_IN_EGRESS },
  { form: "beside allowPlainHTTP", urls: REFUSED, egress: { ...BUILT_IN_EGRESS, allowPlainHttp: true } },
];
const PLAIN_HTTP = `apiVersion: postrider.dev/v1alpha1\nkind: ClusterDeliveryPolicy\nmetadata:\n  name: all\nspec:\n  egress:\n    allowPlainHTTP: true\n`;

/** Every TCP connection this process asks for, as `host:port`. */
const connects: string[] = [];
const endings: (() => unknown)[] = [];

beforeEach(() => {
  connects.length = 0;
  const real = Reflect.get(Socket.prototype, "connect") as (...args: unknown[]) => Socket;
  vi.spyOn(Socket.prototype, "connect").mockImplementation(function (this: Socket, ...args: unknown[]) {
    const [options] = (Array.isArray(args[0]) ? args[0] : args) as [{ host?: string; port?: number }];
    connects.push(`${options.host}:${options.port}`);
    return Reflect.apply(real, this, args);
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of endings.splice(0).toReversed()) await end();
});

function newAttempter(): HttpAttempter {
  const attempter = new HttpAttempter({ clock: new SystemClock(), version: "1" });
  endings.push(() => attempter.close());
  return attempter;
}

const specWith = (url: string): string => `  events: {types: [order.paid]}\n  endpoint: {url: ${JSON.stringify(url)}}`;
const specWithSecret = (index: number): string =>
  `  events: {types: [order.paid]}\n  endpoint: {urlSecretRef: {name: hook-${index}, key: url}}`;
const secretYaml = (index: number, url: string): string =>
  `apiVersion: v1\nkind: Secret\nmetadata:\n  name: hook-${index}\n  namespace: shop\n  labels: {postrider.dev/use: "true"}\nstringData: {url: ${JSON.stringify(url)}}\n`;
const schemaTakes = (yaml: string): boolean => readCustomResource(parse(yaml)).ok;

describe.each(FORMS)("the corpus of forbidden destinations $form", ({ urls, egress }) => {
  const policy: Record<string, string> = egress.allowPlainHttp ? { "policy.yaml": PLAIN_HTTP } : {};

  test("at create: none is ever routed, by its URL or through a Secret", async () => {
    const files = { ...policy };
    for (const [i, url] of urls.entries()) {
      files[`url-${i}.yaml`] = subscriptionYaml(`url-${i}`, specWith(url));
      files[`secret-${i}.yaml`] = `${secretYaml(i, url)}---\n${subscriptionYaml(`secret-${i}`, specWithSecret(i))}`;
    }
    const operator = await FileOperator.start({ ...files, "good.yaml": subscriptionYaml("good", SPEC) });
    endings.push(() => operator.end());
    const judged = urls.flatMap((_url, i) => [...(schemaTakes(files[`url-${i}.yaml`]!) ? [`url-${i}`] : []), `secret-${i}`]);
    expect(judged.length).toBeGreaterThan(urls.length);
    await operator.until(
      () => operator.route("good") !== undefined && judged.every((name) => operator.condition(name, "Ready") !== undefined),
    );
    const dangerous = [...operator.table.routes()].filter(
      ({ subscription }) => subscription.name !== "good" && subscription.target !== undefined,
    );
    expect(dangerous.map(({ subscription }) => subscription.name)).toEqual([]);
    expect(judged.filter((name) => operator.condition(name, "Ready")?.status !== "False")).toEqual([]);
    expect(connects).toEqual([]);
  });

  test("at update: the accepted URL stays in force", async () => {
    const files = { ...policy };
    for (const i of urls.keys()) files[`url-${i}.yaml`] = subscriptionYaml(`url-${i}`, SPEC);
    const operator = await FileOperator.start(files);
    endings.push(() => operator.end());
    await operator.until(() => [...urls.keys()].every((i) => operator.route(`url-${i}`) !== undefined));
    const judged: string[] = [];
    for (const [i, url] of urls.entries()) {
      const yaml = subscriptionYaml(`url-${i}`, specWith(url));
      if (schemaTakes(yaml)) judged.push(`url-${i}`);
      await operator.write(`url-${i}.yaml`, yaml);
    }
    expect(judged.length).toBeGreaterThan(urls.length / 2);
    await operator.until(() => judged.every((name) => operator.condition(name, "Accepted")?.status === "False"));
    const targets = new Set([...operator.table.routes()].map(({ subscription }) => subscription.target?.url));
    expect([...targets]).toEqual(["https://example.com/hooks"]);
    expect(connects).toEqual([]);
  });

  test("at delivery: blocked, even if one had slipped through", async () => {
    const attempter = newAttempter();
    const outcomes = await Promise.all(
      urls.map(
        async (url, i) =>
          (await attempter.attempt({ route: aRoute({ url, egress, uid: `uid-${i}` }), event: anEvent(), attempt: 1 })).outcome,
      ),
    );
    expect(urls.filter((_url, i) => outcomes[i]!.class !== "blocked")).toEqual([]);
    expect(connects).toEqual([]);
  });

  test("as a redirect: the receiver that sends there is the only one reached", async () => {
    let location = "";
    const receiver = createServer((_req, res) => res.writeHead(307, { location: encodeURI(location) }).end());
    receiver.listen(0, "127.0.0.1");
    await once(receiver, "listening");
    endings.push(() => receiver.close());
    const own = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const attempter = newAttempter();
    for (const url of urls) {
      location = url;
      const route = aRoute({ url: `http://${own}/`, egress: LOOPBACK_EGRESS });
      const { outcome } = await attempter.attempt({ route, event: anEvent(), attempt: 1 });
      expect(outcome).toMatchObject({ class: "client_error", statusCode: 307, message: expect.stringContaining("not followed") as string });
    }
    expect(new Set(connects)).toEqual(new Set([own]));
  });

  test("at a test and a resend through the API: blocked, even if one had slipped through", async () => {
    const attempter = newAttempter();
    const onlyOnce = { ...BUILT_IN_POLICY.retry, maxAttempts: 1 };
    const routes = urls.map((url, i) => {
      const route = aRoute({ url, egress, uid: `uid-${i}`, policy: { retry: onlyOnce } });
      return { ...route, subscription: { ...route.subscription, name: `s${i}` } };
    });
    const api = await ApiOverRoutes.start(routes, attempter);
    endings.push(() => api.stop());
    const tested = await Promise.all(routes.map((_route, i) => api.call("POST", `subscriptions/s${i}/test`)));
    const again = tested.map(({ status }, i) => (status === 429 ? i : -1)).filter((i) => i !== -1);
    for (const i of again) tested[i] = await api.call("POST", `subscriptions/s${i}/test`);
    expect(tested.filter(({ body }) => body.outcome !== "Blocked" || body.ok !== false)).toEqual([]);
    for (const { id } of await api.ended(urls.length, 1)) expect((await api.call("POST", `deliveries/${id}/resend`)).status).toBe(202);
    const resent = await api.ended(urls.length, 2);
    expect(resent.filter(({ lastAttempt }) => lastAttempt.outcome !== "Blocked" || lastAttempt.attempt !== 2)).toEqual([]);
    // The calls of the API itself are all that connected.
    expect(new Set(connects)).toEqual(new Set([api.place]));
  });
});
