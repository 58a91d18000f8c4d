import { afterEach, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import type { Subscription, Target } from "../../../src/core/subscription.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { FileOperator } from "../../support/controller/file-operator.ts";
import { anEvent } from "../../support/delivery/attempt-input.ts";
import { RecordingReceiver } from "../../support/fields/recording-receiver.ts";
import { countOf } from "../../support/full-run.ts";
import {
  FOREIGN_MARKS,
  foreignObjects,
  HOSTILE_NAMES,
  ownObjects,
  REFERENCE_FIELDS,
  referenceCases,
} from "../../support/references/reference-cases.ts";

const CASES = countOf(650, 6_500);
const SEED = Number(process.env["POSTRIDER_TEST_SEED"] ?? 20_261_123);
const OBJECTS_A_FILE = 100;
const API = "postrider.dev/v1alpha1";
const EGRESS = { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true };

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** JSON is YAML, and says of a name exactly what it is. */
const yamlOf = (objects: readonly object[]): string => objects.map((object) => JSON.stringify(object)).join("\n---\n");
const marksIn = (text: string): readonly string[] => FOREIGN_MARKS.filter((mark) => text.includes(mark));

/** Everything of a target as text, keys and basic credentials in plain. */
function shown(target: Target | undefined): string {
  if (target === undefined) return "";
  const { keys, deadLetter, ...rest } = target;
  const basic = Buffer.from(/^Basic (.*)$/.exec(target.authorization ?? "")?.[1] ?? "", "base64").toString();
  return [JSON.stringify(rest), basic, ...keys.map(({ key }) => key.export().toString("latin1")), shown(deadLetter)].join("\n");
}

async function started(objects: readonly object[]): Promise<FileOperator> {
  const files: Record<string, string> = {};
  for (let i = 0; i < objects.length; i += OBJECTS_A_FILE) files[`f${i}.yaml`] = yamlOf(objects.slice(i, i + OBJECTS_A_FILE));
  const operator = new FileOperator(await FileOperator.prepare(files));
  endings.push(() => operator.end());
  operator.run();
  await operator.until(() => operator.controller.ready, 60_000);
  return operator;
}

const taken = (objects: readonly object[]): readonly string[] =>
  objects
    .filter((object) => readCustomResource(object as Record<string, unknown>).ok)
    .map((object) => (object as { metadata: { name: string } }).metadata.name);

/** Promise 14: a reference leads to its own namespace or nowhere, whatever it is called. */
it(`reads nothing across namespaces through any reference (seed ${SEED})`, { timeout: 120_000 }, async () => {
  const receiver = await RecordingReceiver.start();
  endings.push(() => receiver.stop());
  const { url } = receiver;
  const cases = referenceCases(CASES, SEED, url);
  const subscriptions = cases.map(({ spec }, i) => ({
    apiVersion: API,
    kind: "WebhookSubscription",
    metadata: { name: `s${i}`, namespace: "shop" },
    spec,
  }));
  const names = new Set(cases.map(({ name }) => name).filter((name) => !HOSTILE_NAMES.includes(name)));
  const foreign = [
    ...[...HOSTILE_NAMES, "own"].flatMap((name) =>
      ["other", "shop-2", "postrider-system"].flatMap((namespace) => foreignObjects(name, namespace, url)),
    ),
    ...[...names].flatMap((name) => foreignObjects(name, "other", url)),
  ];
  const closed = [
    ...foreignObjects("unlabelled", "shop", url, {}).slice(0, 1),
    ...foreignObjects("apitoken", "shop", url, { "postrider.dev/api-token": "true" }).slice(0, 1),
    ...foreignObjects("notlabelled", "shop", url, { "postrider.dev/use": "false" }).slice(0, 1),
  ];
  const policy = { apiVersion: API, kind: "ClusterDeliveryPolicy", metadata: { name: "here" }, spec: { egress: EGRESS } };
  const operator = await started([policy, ...ownObjects(url), ...foreign, ...closed, ...subscriptions]);
  const judged = taken(subscriptions);
  await operator.until(() => judged.every((name) => operator.condition(name, "Ready") !== undefined), 60_000);

  const routes = [...operator.table.routes()].filter(({ subscription }) => subscription.namespace === "shop");
  const leaks: string[] = [];
  const caseOf = (subscription: Subscription): string => JSON.stringify(cases[Number(subscription.name.slice(1))]);
  for (const { subscription } of routes) {
    const seen = marksIn(`${shown(subscription.target)} ${JSON.stringify([subscription.policy, subscription.blocked?.reason])}`);
    if (seen.length > 0) leaks.push(`${seen.join()} in the target: ${caseOf(subscription)}`);
  }
  for (const name of judged) {
    const seen = marksIn(JSON.stringify(operator.status(name)));
    if (seen.length > 0) leaks.push(`${seen.join()} in the status of ${name}`);
  }
  const attempter = new HttpAttempter({ clock: new SystemClock(), version: "test" });
  endings.push(() => attempter.close());
  let sent = 0;
  for (const route of routes) {
    for (const target of [route.subscription.target, route.subscription.target?.deadLetter]) {
      if (target === undefined) continue;
      sent += 1;
      await attempter.attempt({ route: { ...route, subscription: { ...route.subscription, target } }, event: anEvent(), attempt: 1 });
    }
  }
  for (const request of receiver.requests) {
    const basic = Buffer.from(/^Basic (.*)$/.exec(request.headers.authorization ?? "")?.[1] ?? "", "base64").toString();
    const seen = marksIn(`${JSON.stringify(request)} ${basic}`);
    if (seen.length > 0) leaks.push(`${seen.join()} on the wire: ${JSON.stringify(request)}`);
  }
  expect(leaks).toEqual([]);
  // Each field was tried with a name that is its own, and most with one that the API server would take and that leads nowhere.
  const resolved = new Set(
    routes
      .filter(({ subscription }) => subscription.target !== undefined)
      .map(({ subscription }) => cases[Number(subscription.name.slice(1))]?.field),
  );
  const neverResolve = REFERENCE_FIELDS.filter((field) => field.endsWith("serviceAccountToken"));
  expect(REFERENCE_FIELDS.filter((field) => !resolved.has(field)).toSorted()).toEqual(neverResolve.toSorted());
  expect(routes.filter(({ subscription }) => subscription.target === undefined).length).toBeGreaterThan(CASES / 5);
  expect(receiver.requests.length).toBeGreaterThan(sent / 2);
});

it("takes a cluster policy's proxy from the operator's namespace alone, never from a tenant's", async () => {
  const url = "http://127.0.0.1:8080";
  const spaces = [...HOSTILE_NAMES, "own"].map((name, i) => ({ name, space: `n${i}` }));
  const policies = spaces.map(({ name, space }) => ({
    apiVersion: API,
    kind: "ClusterDeliveryPolicy",
    metadata: { name: space },
    spec: { namespaceSelector: { matchLabels: { space } }, egress: { ...EGRESS, proxySecretRef: { name, key: "url" } } },
  }));
  const ofTenant = ({ name, space }: { name: string; space: string }): readonly object[] => [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: space, labels: { space } } },
    ...foreignObjects(name, space, url).slice(0, 1),
    {
      apiVersion: API,
      kind: "WebhookSubscription",
      metadata: { name: "s", namespace: space },
      spec: { events: { types: ["*"] }, endpoint: { url }, signing: { scheme: "None" } },
    },
  ];
  const tenants = spaces.flatMap(ofTenant);
  const proxy = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "own", namespace: "postrider-system", labels: { "postrider.dev/use": "true" } },
    stringData: { url: "http://127.0.0.1:3128" },
  };
  const wanted = taken(policies);
  // A cluster policy that is refused would leave nobody judged (see half-read.test.ts); the API server would not have taken it either.
  const operator = await started([proxy, ...policies.filter(({ metadata }) => wanted.includes(metadata.name)), ...tenants]);
  expect(wanted.length).toBeGreaterThan(5);
  await operator.until(() =>
    wanted.every((space) => operator.status("s", space)?.conditions?.some(({ type }) => type === "Ready") === true),
  );
  const routes = [...operator.table.routes()].filter(({ subscription }) => wanted.includes(subscription.namespace));
  const withTarget = routes.filter(({ subscription }) => subscription.target !== undefined);
  expect(withTarget.map(({ subscription }) => subscription.target?.proxy?.url)).toEqual(["http://127.0.0.1:3128"]);
  expect(routes.length).toBe(wanted.length);
  expect(marksIn(wanted.map((space) => JSON.stringify(operator.status("s", space))).join())).toEqual([]);
});
