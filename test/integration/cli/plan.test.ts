import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cliRuns, type CliRun } from "../../support/cli/cli-runs.ts";
import type { RecordingReceiver } from "../../support/fields/recording-receiver.ts";
import { loopbackPolicy, manifestFile, namedPolicy, subscription } from "../../support/manifests.ts";
import type { OperatorProcess } from "../../support/operator/operator-process.ts";
import { ShopOperator } from "../../support/cli/shop-operator.ts";

let directory: string;
let running: ShopOperator;
const cli = cliRuns();
let receiver: RecordingReceiver;
let operator: OperatorProcess;
/** Ids of the events, by what they are called in `beforeAll`. */
const ids: Record<string, string> = {};

const crm = (more: Partial<Parameters<typeof subscription>[0]> = {}): string =>
  subscription({ name: "crm", filter: "event.data.total > 10", url: more.url ?? `${receiver.url}/crm`, ...more });
const slow = (maxInFlight: number): string => namedPolicy("shop", "slow", `maxInFlight: ${maxInFlight}`);
const orders = (more: readonly string[] = [], url = receiver.url): string =>
  subscription({ name: "orders", types: ["order.paid"], url: `${url}/orders`, more: ["policyRef: {name: slow}", ...more] });

beforeAll(async () => {
  running = await ShopOperator.start((url) => manifestFile(loopbackPolicy(), slow(5), crm({ url: `${url}/crm` }), orders([], url)));
  ({ directory, receiver, operator } = running);
  for (const [name, type, data] of [
    ["small", "order.paid", '{"id":"o-1","total":5}'],
    ["middle", "order.paid", '{"id":"o-2","total":12.50}'],
    ["large", "order.paid", '{"id":"o-3","total":100}'],
    ["sent", "order.sent", '{"id":"o-4","total":20}'],
    ["unwanted", "invoice.made", '{"id":"i-1"}'],
    ["untotalled", "order.paid", '{"id":"o-5"}'],
  ] as const) {
    const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
    const body = `{"type":"${type}","data":${data}}`;
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    ids[name] = ((await answer.json()) as { id: string }).id;
  }
});
afterAll(() => running?.stop());

interface Planned {
  readonly changed: boolean;
  readonly refused: readonly string[];
  readonly notes: readonly string[];
  readonly subscriptions: readonly {
    readonly subscription: string;
    readonly change: string;
    readonly before: number;
    readonly after: number;
    readonly unjudged: number;
    readonly spec: readonly { path: string }[];
    readonly policy: readonly { path: string; before: unknown; after: unknown }[];
    readonly gained: readonly { event: string; why: string }[];
    readonly lost: readonly { event: string; why: string }[];
    readonly failing: readonly { event: string; why: string }[];
    readonly requests: { count: number; sample?: { event: string; lines: string[] } };
  }[];
}

async function plan(changed: string, ...flags: readonly string[]): Promise<CliRun> {
  const file = join(directory, "changed.yaml");
  writeFileSync(file, changed);
  return cli("plan", "-f", file, "--server", operator.ready.api, "--token-file", join(directory, "token"), ...flags);
}

async function planned(changed: string, ...flags: readonly string[]): Promise<Planned & { code: number }> {
  const { code, out, err } = await plan(changed, "-o", "json", ...flags);
  expect(err).toBe("");
  return { ...(JSON.parse(out) as Planned), code };
}

const idsOf = (moved: readonly { event: string }[] | undefined): string[] => (moved ?? []).map(({ event }) => event).toSorted();
const known = (...names: readonly string[]): string[] => names.map((name) => ids[name] ?? name).toSorted();

describe("postrider plan", () => {
  it("of what is applied already is no change, and asks for no event", async () => {
    const run = await plan(manifestFile(loopbackPolicy(), slow(5), crm(), orders()));
    expect(run).toMatchObject({ code: 0, err: "" });
    expect(run.out).toContain("No change: 2 subscriptions are as the files say.");
    expect(run.out).toContain("Nothing was sent, stored or changed.");
  });

  it("names the events that a filter gains and loses, and why", async () => {
    const requests = receiver.requests.length;
    const { code, subscriptions } = await planned(manifestFile(loopbackPolicy(), crm({ filter: "event.data.total < 50" })));
    expect(code).toBe(1);
    expect(subscriptions).toHaveLength(1);
    const [one] = subscriptions;
    expect(one).toMatchObject({ subscription: "shop/crm", change: "changed", before: 3, after: 3, unjudged: 0 });
    expect(one?.spec.map(({ path }) => path)).toEqual(["events.filter"]);
    expect(idsOf(one?.gained)).toEqual(known("small"));
    expect(idsOf(one?.lost)).toEqual(known("large"));
    expect(one?.gained[0]?.why).toContain("its filter is false: event.data.total > 10");
    expect(receiver.requests).toHaveLength(requests);
  });

  it("shows how requests would differ, one of them by lines, numbers as they are spelled", async () => {
    const body = "payload: {body: \"{'id': event.data.id, 'amount': event.data.total}\"}";
    const { code, subscriptions } = await planned(manifestFile(loopbackPolicy(), crm({ more: [body] })));
    expect(code).toBe(1);
    expect(subscriptions[0]).toMatchObject({ before: 3, after: 3, gained: [], lost: [], requests: { count: 3 } });
    const lines = subscriptions[0]?.requests.sample?.lines ?? [];
    expect(lines).toContain('-   "type": "order.sent",');
    expect(lines).toContain('+   "amount": 20');
    const header = `{url: "${receiver.url}/crm", headers: [{name: X-Shop, value: eu}]}`;
    const text = (await plan(manifestFile(loopbackPolicy(), crm({ endpoint: header })))).out;
    expect(text).toMatch(/^ {6}\+ X-Shop: eu$/m);
    expect(text).toContain("spec.endpoint.headers: <hidden> -> <hidden>");
  });

  it("says which events would fail, and which cannot be judged because nobody kept their data", async () => {
    const failing = "payload: {body: \"{'amount': event.data.total}\"}";
    const first = await planned(manifestFile(loopbackPolicy(), slow(5), orders([failing])));
    expect(idsOf(first.subscriptions[0]?.failing)).toEqual(known("untotalled"));
    const invoices = subscription({ name: "invoices", types: ["invoice.*"], url: `${receiver.url}/i` });
    const added = await planned(manifestFile(loopbackPolicy(), invoices));
    expect(added.subscriptions[0]).toMatchObject({ change: "added", before: 0, after: 1, unjudged: 0 });
    expect(idsOf(added.subscriptions[0]?.gained)).toEqual(known("unwanted"));
    const filtered = subscription({ name: "invoices", types: ["invoice.*"], filter: "event.data.id == 'i-1'", url: `${receiver.url}/i` });
    expect((await planned(manifestFile(loopbackPolicy(), filtered))).subscriptions[0]).toMatchObject({ after: 0, unjudged: 1 });
  });

  it("shows values of a policy that change for subscriptions in no file too", async () => {
    const { code, subscriptions } = await planned(manifestFile(loopbackPolicy(), slow(2)));
    expect(code).toBe(1);
    expect(subscriptions).toHaveLength(1);
    expect(subscriptions[0]).toMatchObject({
      subscription: "shop/orders",
      change: "unchanged",
      policy: [{ path: "maxInFlight", before: 5, after: 2 }],
    });
    expect((await plan(manifestFile(loopbackPolicy(), slow(2)))).out).toContain(
      "shop/orders its policy changes\n  policy: maxInFlight: 5 -> 2",
    );
  });

  it.each([
    ["a filter that is none", (): string => crm({ filter: "event.data.total >" }), "InvalidFilter"],
    ["an unknown field", (): string => crm({ more: ["retries: 3"] }), "UnknownField"],
    ["an address that the policy in the files forbids", (): string => crm({ url: "http://10.0.0.1/x" }), "EgressDenied"],
  ])("refuses %s with exit code 2", async (_, changed, reason) => {
    const { code, refused } = await planned(manifestFile(loopbackPolicy(), changed()));
    expect(code).toBe(2);
    expect(refused.join()).toContain(reason);
    expect(refused.join()).toMatch(/changed\.yaml:\d+: WebhookSubscription shop\/crm/);
  });

  it("judges no address where the policy that decides is not in the files, and says so", async () => {
    const { code, notes, subscriptions } = await planned(crm({ filter: "event.data.total > 11" }));
    expect(code).toBe(1);
    expect(subscriptions[0]).toMatchObject({ before: 3, after: 3 });
    expect(notes.join()).toContain("without the ClusterDeliveryPolicy among the files");
  });

  it("never takes a plan that could not be made for changes", async () => {
    expect((await plan(crm(), "--server", "http://127.0.0.1:1")).code).toBe(2);
    expect((await plan("kind: [")).code).toBe(2);
    expect((await cli("plan", "-f", "/nowhere/at-all", "-n", "shop")).code).toBe(2);
    expect((await cli("plan")).code).toBe(2);
  });

  it("looks at as many events as it is told to", async () => {
    const { subscriptions } = await planned(manifestFile(loopbackPolicy(), crm({ filter: "event.data.total < 50" })), "--last", "3");
    expect(subscriptions[0]).toMatchObject({ before: 1, after: 1 });
    const since = await plan(manifestFile(loopbackPolicy(), crm({ filter: "event.data.total < 50" })), "--since", "1h");
    expect(since.out).toContain("Compared with 6 events of namespace shop.");
    expect(since.err).toMatch(/^--since 1h is /);
  });
});
