import { once } from "node:events";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { clusterPolicy, manifestFile, namespace, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { until } from "../support/until.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const SUBSCRIPTIONS = (port: number): string =>
  manifestFile(
    namespace("shop"),
    ...["receiver", "beside"].map((service) =>
      subscription({
        name: service === "receiver" ? "orders" : service,
        types: ["*"],
        endpoint: `{serviceRef: {name: ${service}, port: ${port}${service === "receiver" ? "" : ", path: /beside"}}}`,
        signing: "{}",
      }),
    ),
    `apiVersion: v1
kind: Service
metadata: {name: beside, namespace: shop}
spec: {clusterIP: 127.0.0.1, ports: [{port: ${port}}], selector: {app: beside}}
`,
  );
const POLICY = clusterPolicy("egress: {services: SameNamespaceAny}");
const SERVICE = (port: number, selector: string): string => `apiVersion: v1
kind: Service
metadata: {name: receiver, namespace: shop}
spec: {clusterIP: 127.0.0.1, ports: [{port: ${port}}]${selector}}
`;

it("a Service that loses its selector gets nothing more, without a restart; what waited comes once it selects again", async () => {
  const got: string[] = [];
  const beside: string[] = [];
  const server = createServer((request, response) => {
    (request.url === "/beside" ? beside : got).push(String(request.headers["webhook-id"]));
    request.resume();
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;

  const directory = mkdtempSync(join(tmpdir(), "postrider-selector-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  const write = (file: string, text: string): void => {
    writeFileSync(join(directory, `${file}.new`), text);
    renameSync(join(directory, `${file}.new`), join(directory, "manifests", file));
  };
  write("all.yaml", SUBSCRIPTIONS(port));
  write("service.yaml", SERVICE(port, ", selector: {app: receiver}"));
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}` });
  cleanups.push(() => operator.signal("SIGKILL"));

  const publish = async (): Promise<string> => {
    const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"type":"order.paid","data":{}}',
    });
    const told = (await answer.json()) as { id: string; matched: number };
    expect([answer.status, told.matched]).toEqual([202, 2]);
    return told.id;
  };
  const condition = async (): Promise<string> =>
    JSON.stringify(await (await fetch(`${operator.ready.api}/v1/namespaces/shop/subscriptions/orders`)).json());

  const first = await publish();
  await until(() => got.length === 1);
  write("service.yaml", SERVICE(port, ""));
  await until(async () => (await condition()).includes("spec.selector"));
  // A new route takes up to 50 ms more. What is sent at all has gone out when the subscription beside has had a later event.
  let published = 1;
  const sent = async (): Promise<string> => {
    const id = await publish();
    published += 1;
    await until(() => beside.length === published);
    return id;
  };
  let last = first;
  for (let tries = 0; got.includes(last) && tries < 50; tries++) {
    last = await sent();
    await sent();
  }
  expect(got).not.toContain(last);
  const before = got.length;
  for (let more = 0; more < 5; more++) await sent();
  expect(got).toHaveLength(before);
  write("service.yaml", SERVICE(port, ", selector: {app: receiver}"));
  await until(() => got.length === published);
  expect(got.toSorted()).toEqual(beside.toSorted());

  // Who needs such a Service has the cluster policy say so.
  write("service.yaml", SERVICE(port, ", selector: {}"));
  await until(async () => (await condition()).includes("spec.selector"));
  write("policy.yaml", POLICY);
  await until(async () => !(await condition()).includes("spec.selector"));
  await sent();
  await until(() => got.length === published);
  expect(await operator.signal("SIGTERM")).toBe(0);
}, 60_000);
