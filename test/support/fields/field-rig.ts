import { stringify } from "yaml";
import type { WebhookSubscriptionStatus } from "../../../src/api/generated/custom-resources.ts";
import type { Outcome } from "../../../src/core/outcome.ts";
import type { Target } from "../../../src/core/subscription.ts";
import type { PermissionAsker } from "../../../src/delivery/attempter.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import type { NameResolver } from "../../../src/attempt/connect/resolver.ts";
import type { Event } from "../../../src/core/event.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { FileOperator } from "../controller/file-operator.ts";
import type { AcceptItem } from "../../../src/store/store.ts";
import { anEvent } from "../delivery/attempt-input.ts";
import { endDeliveries } from "../ingest/ended-delivery.ts";
import { runningIngest } from "../ingest/running-ingest.ts";
import { World } from "../sim/world.ts";
import type { Receiver } from "../sim/world.ts";
import { put } from "./field-manifests.ts";
import type { FieldManifests } from "./field-manifests.ts";
import type { Recorded, RecordingReceiver } from "./recording-receiver.ts";

/** Stands for the receiver's URL in what is set beside a field. */
export const RECEIVER = "@receiver";
export const SECRET_BYTES = "a value of at least sixteen bytes";

type Objects = Record<string, Record<string, unknown>>;

export interface SentRequest extends Partial<Recorded> {
  readonly outcome: Outcome;
}

/** One subscription and its policies as their manifests make them, and what can be seen of them. */
export class FieldRig {
  readonly receiver: RecordingReceiver;
  readonly #operator: FileOperator;
  readonly #worlds: World[] = [];

  private constructor(operator: FileOperator, receiver: RecordingReceiver) {
    this.#operator = operator;
    this.receiver = receiver;
  }

  /** `ignored`: as if the field had not been read. */
  static async start(receiver: RecordingReceiver, given: FieldManifests, ignored: boolean): Promise<FieldRig> {
    const objects = baseObjects(receiver.url);
    if (given.kind === "ClusterDeliveryPolicy" && given.around?.DeliveryPolicy === undefined) {
      delete objects["DeliveryPolicy"];
      put(objects["WebhookSubscription"] ?? {}, "spec.policyRef", undefined);
    }
    for (const [kind, values] of Object.entries(given.around ?? {})) {
      for (const [path, value] of Object.entries(values)) put(objects[kind] ?? {}, path, value);
    }
    const own = objects[given.kind] ?? {};
    for (const [path, value] of Object.entries(given.beside ?? {})) put(own, path, value === RECEIVER ? receiver.url : value);
    if (!ignored) put(own, given.field, given.value);
    else if (given.without !== undefined) put(own, given.without, undefined);
    else put(own, given.field, given.instead);
    const text = [...Object.values(objects), ...(given.extra ?? [])].map((object) => stringify(object)).join("---\n");
    return new FieldRig(await FileOperator.start({ "all.yaml": text }), receiver);
  }

  /** The subscription's route; undefined when it was not accepted. */
  get route(): Route | undefined {
    return this.#operator.route("orders");
  }

  /** The subscription's status, once it has been written (a second after the change, so that changes gather). */
  async status(): Promise<WebhookSubscriptionStatus> {
    const status = (): WebhookSubscriptionStatus | undefined => this.#operator.status("orders");
    await this.#operator.until(() => status()?.conditions?.some(({ type }) => type === "Accepted") === true);
    return status() ?? {};
  }

  /** Reason of one of the subscription's conditions. */
  async reason(type: string): Promise<string | undefined> {
    return (await this.status()).conditions?.find((condition) => condition.type === type)?.reason;
  }

  /** The subscriptions that an event reaches, by name. */
  matches(change: Partial<Event> = {}): readonly string[] {
    return this.#operator.table.match(anEvent(change)).routes.map(({ subscription }) => subscription.name);
  }

  /** Sends one real attempt to the real receiver, or to `target`; answers what came of it, and the request that came in, if one did. */
  async send(change: Partial<Event> = {}, resolver?: NameResolver, target?: Target): Promise<SentRequest> {
    const { route } = this;
    if (route === undefined) throw new Error(`no route: ${JSON.stringify((await this.status()).conditions)}`);
    const attempter = new HttpAttempter({ clock: new SystemClock(), version: "test", ...(resolver === undefined ? {} : { resolver }) });
    try {
      const before = this.receiver.requests.length;
      const { outcome } = await attempter.attempt({
        route: target === undefined ? route : aimedAt(route, target),
        event: anEvent(change),
        attempt: 1,
      });
      return { ...this.receiver.requests[before], outcome };
    } finally {
      await attempter.close();
    }
  }

  /** POSTs an event to a real ingest in front of this routing table; answers the status and what would have been stored. */
  async ingest(type = "order.paid"): Promise<{ readonly status: number; readonly item: AcceptItem | undefined }> {
    let item: AcceptItem | undefined;
    const ingest = await runningIngest({
      routes: [...this.#operator.table.routes()],
      accept: (request, store) => {
        item = request.items[0];
        return store.accept(request);
      },
    });
    try {
      const headers = { "content-type": "application/json" };
      const url = `${ingest.url}/v1/namespaces/shop/events`;
      const { status } = await fetch(url, { method: "POST", headers, body: JSON.stringify({ type, data: { id: 7 } }) });
      return { status, item };
    } finally {
      await ingest.stop();
    }
  }

  /** What a result of a real ingest tells the holder of a static token of the receiver's answer. */
  async answerTold(): Promise<unknown> {
    const token = "a-token-of-the-namespace";
    const ingest = await runningIngest({ routes: [...this.#operator.table.routes()], tokens: [token] });
    const call = async (path: string, init: RequestInit = {}): Promise<Record<string, unknown>> => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
      return (await (await fetch(`${ingest.url}/v1/namespaces/shop/${path}`, { headers, ...init })).json()) as Record<string, unknown>;
    };
    try {
      const { id } = await call("events", { method: "POST", body: '{"type":"order.paid","data":{"id":7}}' });
      await endDeliveries(ingest, String(id));
      const { value } = await call(`results/${String(id)}`);
      return (value as readonly { readonly answer: unknown }[])[0]?.answer;
    } finally {
      await ingest.stop();
    }
  }

  /** Status of the last of so many large events, at a real ingest that obeys what the policies say of storage; the volume has a GiB. */
  async filled(events: number): Promise<number> {
    const { controller } = this.#operator;
    const storageLimit = (namespace: string) => controller.storageLimit(namespace);
    const ingest = await runningIngest({ routes: [...this.#operator.table.routes()], roomBytes: () => 2 ** 30, storageLimit });
    try {
      let status = 0;
      for (let left = events; left > 0; left--)
        status = (await ingest.post(JSON.stringify({ type: "order.paid", data: "x".repeat(250_000) }))).status;
      return status;
    } finally {
      await ingest.stop();
    }
  }

  /** The engine with this route in virtual time, in front of a scripted network; started. */
  async world(receiver: Receiver, asker?: PermissionAsker): Promise<World> {
    const { route } = this;
    if (route === undefined) throw new Error(`no route: ${JSON.stringify((await this.status()).conditions)}`);
    const world = new World({ receiver, ...(asker === undefined ? {} : { asker }) });
    this.#worlds.push(world);
    await world.start([route]);
    return world;
  }

  /** Deletes the subscription; answers how the rest of its deliveries ended. */
  async deleted(): Promise<readonly string[]> {
    await this.#operator.remove("all.yaml");
    await this.#operator.until(() => this.route === undefined || this.route.draining);
    return this.#operator.deliveries.ended.map(({ how }) => how);
  }

  /** Deletes the subscription; answers whether its generated Secret is still there once it is gone. */
  async keepsKey(): Promise<boolean> {
    const key = (): boolean => this.#operator.provider.get("Secret", "shop", "orders-signing") !== undefined;
    await this.#operator.until(() => key() && this.route?.subscription.target !== undefined);
    await this.#operator.remove("all.yaml");
    await this.#operator.until(() => this.route === undefined);
    return key();
  }

  async end(): Promise<void> {
    for (const world of this.#worlds) world.kill();
    await this.#operator.end();
  }
}

/** A subscription of the namespace `shop` to everything. */
export function subscription(name: string, spec: object = {}): Record<string, unknown> {
  return {
    apiVersion: "postrider.dev/v1alpha1",
    kind: "WebhookSubscription",
    metadata: { name, namespace: "shop" },
    spec: { events: { types: ["*"] }, endpoint: { url: "https://example.com/" }, signing: { scheme: "None" }, ...spec },
  };
}

function aimedAt(route: Route, target: Target): Route {
  return { ...route, subscription: { ...route.subscription, target } };
}

function baseObjects(url: string): Objects {
  const apiVersion = "postrider.dev/v1alpha1";
  const namespace = "shop";
  const secret = (name: string, data: Record<string, string>): Record<string, unknown> => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace, labels: { "postrider.dev/use": "true" } },
    stringData: data,
  });
  return {
    Namespace: { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { team: "shop" } } },
    ClusterDeliveryPolicy: {
      apiVersion,
      kind: "ClusterDeliveryPolicy",
      metadata: { name: "cluster" },
      spec: { egress: { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true } },
    },
    DeliveryPolicy: { apiVersion, kind: "DeliveryPolicy", metadata: { name: "careful", namespace }, spec: {} },
    WebhookSubscription: subscription("orders", { endpoint: { url }, policyRef: { name: "careful" } }),
    SecretOne: secret("one", { value: SECRET_BYTES, other: `another ${SECRET_BYTES}`, url: `${url}/from-secret`, user: "ann" }),
    SecretTwo: secret("two", { value: `second ${SECRET_BYTES}`, url: `${url}/from-second`, user: "bob" }),
  };
}
