import { expect, it } from "vitest";
import { Uninstallation, type KubernetesApi } from "../../../src/cli/uninstall.ts";
import { drainFinalizer } from "../../../src/core/drain-finalizer.ts";
import type { ApiAnswer, ApiRequest } from "../../../src/kube/transport.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

interface Stored {
  readonly namespace: string;
  readonly name: string;
  readonly className: string;
  finalizers: string[];
  version: number;
}

const answer = (status: number, body?: unknown): ApiAnswer => ({ status, body, retryAfterMs: undefined });

/** An API server that holds subscriptions and one StatefulSet, and pages its lists by two. */
class FakeApi implements KubernetesApi {
  readonly requests: ApiRequest[] = [];
  readonly stored: Stored[];
  /** Pods left; each look at the scale takes one away. */
  pods = 2;
  conflicts = 0;
  status = 200;
  /** Answers "later" so many times, or none at all. */
  overloads = 0;
  resets = 0;
  /** An operator that still runs and answers each removal. */
  puttingBack = false;

  constructor(stored: Stored[]) {
    this.stored = stored;
  }

  async request(request: ApiRequest): Promise<ApiAnswer> {
    this.requests.push(request);
    const url = new URL(request.path, "http://api");
    if (this.resets-- > 0) throw new Error("socket hang up");
    if (this.overloads-- > 0) return { status: 429, body: { message: "too many requests" }, retryAfterMs: 2_000 };
    if (url.pathname.endsWith("/scale")) return this.#scale(request);
    if (this.status !== 200) return answer(this.status, { message: "not today" });
    if (request.method === "GET") return this.#list(url);
    return this.#patch(url.pathname, request.body as { metadata: { resourceVersion: string; finalizers: string[] } });
  }

  #scale(request: ApiRequest): ApiAnswer {
    if (request.method === "GET") this.pods = Math.max(0, this.pods - 1);
    return answer(200, { status: { replicas: this.pods } });
  }

  #list(url: URL): ApiAnswer {
    const namespace = /namespaces\/([^/]+)\//.exec(url.pathname)?.[1];
    const all = this.stored.filter((each) => namespace === undefined || each.namespace === namespace);
    const from = Number(url.searchParams.get("continue") ?? 0);
    const items = all.slice(from, from + 2).map(({ namespace: ns, name, className, finalizers, version }) => ({
      metadata: { namespace: ns, name, finalizers, resourceVersion: String(version) },
      spec: { className },
    }));
    return answer(200, { items, metadata: { continue: from + 2 < all.length ? String(from + 2) : "" } });
  }

  #patch(path: string, { metadata }: { metadata: { resourceVersion: string; finalizers: string[] } }): ApiAnswer {
    const [, namespace, name] = /namespaces\/([^/]+)\/webhooksubscriptions\/([^/]+)$/.exec(path) ?? [];
    const found = this.stored.find((each) => each.namespace === namespace && each.name === name);
    if (found === undefined) return answer(404);
    if (this.conflicts > 0) {
      this.conflicts -= 1;
      found.version += 1;
      found.finalizers = [...found.finalizers, "another/finalizer"];
    }
    if (metadata.resourceVersion !== String(found.version)) return answer(409, { message: "changed" });
    found.finalizers = this.puttingBack ? [...metadata.finalizers, drainFinalizer("postrider")] : metadata.finalizers;
    return answer(200);
  }
}

function stored(name: string, more: Partial<Stored> = {}): Stored {
  return { namespace: "shop", name, className: "postrider", finalizers: [drainFinalizer("postrider")], version: 1, ...more };
}

const OPTIONS = { class: "postrider", namespace: [], timeout: 60 };

/** Runs to the end under a clock that is moved on. */
async function run(api: FakeApi, options: Partial<ConstructorParameters<typeof Uninstallation>[2]> = {}): Promise<string[]> {
  const clock = new ManualClock();
  const lines: string[] = [];
  const ended = new Uninstallation(api, clock, { ...OPTIONS, ...options }, (line) => lines.push(line)).run();
  const state = { over: false };
  const watched = ended.finally(() => (state.over = true)).catch(() => undefined);
  for (let turn = 0; turn < 400 && !state.over; turn++) await clock.advance(500);
  await watched;
  await ended;
  return lines;
}

it("takes our finalizer off every subscription of the class, page by page, and leaves others' alone", async () => {
  const api = new FakeApi([
    stored("a"),
    stored("b", { finalizers: ["other/one", drainFinalizer("postrider")] }),
    stored("c", { namespace: "bank" }),
    stored("d", { className: "second", finalizers: [drainFinalizer("second")] }),
    stored("e", { finalizers: ["other/one"] }),
    // Handed over, and not delivered by us yet.
    stored("f", { className: "second", finalizers: [drainFinalizer("postrider"), drainFinalizer("second")] }),
    // Of a version up to 0.1.
    stored("g", { finalizers: ["postrider.dev/drain"] }),
    stored("h", { className: "second", finalizers: ["postrider.dev/drain"] }),
  ]);
  const lines = await run(api);
  expect(api.stored.map(({ name, finalizers }) => [name, finalizers])).toEqual([
    ["a", []],
    ["b", ["other/one"]],
    ["c", []],
    ["d", [drainFinalizer("second")]],
    ["e", ["other/one"]],
    ["f", [drainFinalizer("second")]],
    ["g", []],
    ["h", ["postrider.dev/drain"]],
  ]);
  expect(lines).toEqual(["finalizers removed from 5 subscriptions; none is left"]);
});

it("stops the operator before it touches a subscription", async () => {
  const api = new FakeApi([stored("a")]);
  const lines = await run(api, { statefulset: { namespace: "hooks", name: "postrider" } });
  expect(api.requests[0]).toMatchObject({
    method: "PATCH",
    path: "/apis/apps/v1/namespaces/hooks/statefulsets/postrider/scale",
    body: { spec: { replicas: 0 } },
  });
  const firstList = api.requests.findIndex(({ path }) => path.includes("webhooksubscriptions"));
  expect(api.requests.slice(0, firstList).map(({ method }) => method)).toEqual(["PATCH", "GET", "GET"]);
  expect(lines[0]).toBe("statefulset hooks/postrider is stopped");
});

it("goes on after half of the time when the operator's Pod never ends", async () => {
  const api = new FakeApi([stored("a")]);
  api.pods = 1_000;
  const lines = await run(api, { statefulset: { namespace: "hooks", name: "postrider" } });
  expect(lines).toEqual([
    "statefulset hooks/postrider has not stopped in time: continuing",
    "finalizers removed from 1 subscriptions; none is left",
  ]);
});

it("reads again after a conflict and keeps a finalizer that came meanwhile", async () => {
  const api = new FakeApi([stored("a")]);
  api.conflicts = 1;
  await run(api);
  expect(api.stored[0]?.finalizers).toEqual(["another/finalizer"]);
});

it("looks only into the namespaces it is given", async () => {
  const api = new FakeApi([stored("a"), stored("b", { namespace: "bank" })]);
  await run(api, { namespace: ["bank"] });
  expect(api.stored.map(({ finalizers }) => finalizers.length)).toEqual([1, 0]);
});

it("is done when the CRDs are gone", async () => {
  const api = new FakeApi([]);
  api.status = 404;
  await expect(run(api)).resolves.toEqual(["finalizers removed from 0 subscriptions; none is left"]);
});

it("fails with the API server's words when it may not list, and with a count when the time is over", async () => {
  const refused = new FakeApi([stored("a")]);
  refused.status = 403;
  await expect(run(refused)).rejects.toThrow("cannot list subscriptions: not today");
  const stuck = new FakeApi([stored("a")]);
  stuck.conflicts = 1_000_000;
  await expect(run(stuck, { timeout: 5 })).rejects.toThrow(
    /1 subscriptions still have their finalizer after 5 s, the first of them: shop\/a: changed/,
  );
});

it("asks again through resets and 429, and says so when the time is over", async () => {
  const api = new FakeApi([stored("a")]);
  api.resets = 3;
  api.overloads = 3;
  await run(api, { timeout: 20 });
  expect(api.stored[0]?.finalizers).toEqual([]);
  const away = new FakeApi([stored("a")]);
  away.resets = 1_000_000;
  await expect(run(away, { timeout: 5 })).rejects.toThrow("the API server cannot be used (5 s): socket hang up");
});

it("does not loop for ever, nor fast, against an operator that puts the finalizer back", async () => {
  const api = new FakeApi([stored("a")]);
  api.puttingBack = true;
  await expect(run(api, { timeout: 5 })).rejects.toThrow(
    /1 subscriptions still have their finalizer after 5 s, the first of them: shop\/a: something puts it back/,
  );
  expect(api.requests.length).toBeLessThanOrEqual(30);
});
