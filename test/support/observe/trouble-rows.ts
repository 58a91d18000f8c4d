import { loopbackPolicy, manifestFile, namedPolicy, subscription } from "../manifests.ts";
import type { TroubleInstallation } from "./trouble-installation.ts";
import type { TroubleReceivers } from "./trouble-receivers.ts";

/** One kind of trouble and the alerts that tell it. */
export interface Row {
  readonly trouble: string;
  /** Subscription of namespace `shop`, or the namespace itself where `of` says so, or the installation. */
  readonly name: string;
  readonly of: "subscription" | "namespace" | "installation";
  /** Without the prefix Postrider. No others may fire for it. */
  readonly alerts: readonly string[];
  /** Needs windows of hours: not in the reduced table. */
  readonly slow?: boolean;
}

const row = (trouble: string, name: string, ...alerts: readonly string[]): Row => ({ trouble, name, of: "subscription", alerts });

/** Everything that can be wrong with one subscription or one producer, next to each other in one installation that is well. */
export const SHOP_ROWS: readonly Row[] = [
  row("none: the receiver answers", "well"),
  row("the receiver answers 500", "steady", "EndpointDown", "EndpointFailing"),
  row("the receiver hangs", "hangs", "EndpointDown", "EndpointFailing"),
  row("one event only, and the receiver answers 500", "rare", "EndpointDown", "EndpointFailing"),
  { ...row("every second attempt fails", "half", "EndpointUnreliable"), slow: true },
  row("the receiver answers 410", "gone", "DeliveriesFailed", "SubscriptionSuspended"),
  row("the receiver's certificate has expired", "certificate", "EndpointDown", "EndpointFailing"),
  row("the host's name does not exist", "nameless", "EndpointDown", "EndpointFailing"),
  row("the receiver answers 429 with Retry-After 600", "pauses", "EndpointDown", "EndpointFailing"),
  row("a Secret is missing", "unsigned", "SubscriptionNotReady"),
  row("the policy forbids the endpoint's address", "forbidden", "SubscriptionNotReady"),
  row("suspended by its spec, with deliveries pending for hours", "suspended"),
  row("suspended for longer than deliveries may wait", "aged", "DeliveriesFailed"),
  row("the filter cannot be evaluated", "filtered", "FilterErrors"),
  { trouble: "no subscription matches the events", name: "odd", of: "namespace", alerts: ["EventsUnmatched"] },
  { trouble: "a producer's events are malformed", name: "loud", of: "namespace", alerts: ["ProducerRefused"] },
  { trouble: "a manifest file is broken", name: "", of: "installation", alerts: ["ManifestsRefused"] },
];

/** Alerts that need more than half a minute: six hours at any pace, and dead letters, which are counted once a minute. */
export const LATE: ReadonlySet<string> = new Set(["EndpointDown", "DeliveriesFailed"]);

/** Enough that are well: six failing ones among them are no common cause. */
const CALM = 40;

export function shopManifests(receivers: TroubleReceivers): string {
  const at = (name: string, path: string, more: readonly string[] = []): string => subscription({ name, url: receivers.url(path), more });
  return manifestFile(
    loopbackPolicy(),
    namedPolicy("shop", "impatient", "timeout: 500ms"),
    namedPolicy("shop", "brief", "retry: {maxAge: 5s}"),
    at("well", "/ok"),
    at("steady", "/500"),
    at("hangs", "/hangs", ["policyRef: {name: impatient}"]),
    subscription({ name: "rare", types: ["rare.*"], url: receivers.url("/500") }),
    at("half", "/half"),
    at("gone", "/410"),
    subscription({ name: "certificate", url: receivers.tlsUrl("/ok") }),
    subscription({ name: "nameless", url: "http://nope.invalid/hooks" }),
    at("pauses", "/429"),
    subscription({ name: "unsigned", url: receivers.url("/ok"), signing: "{secretRefs: [{name: missing, key: secret}]}" }),
    subscription({ name: "forbidden", url: "http://10.0.0.1/hooks" }),
    at("suspended", "/ok", ["suspend: true"]),
    at("aged", "/ok", ["suspend: true", "policyRef: {name: brief}"]),
    subscription({ name: "filtered", filter: "event.data.size > 1", url: receivers.url("/ok") }),
    ...Array.from({ length: CALM }, (_, i) => subscription({ name: `calm-${i}`, types: ["calm.*"], url: receivers.url("/ok") })),
    subscription({ name: "quiet", namespace: "loud", url: receivers.url("/ok") }),
    subscription({ name: "quiet", namespace: "odd", url: receivers.url("/ok") }),
  );
}

export const BROKEN_MANIFEST = `apiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata: {name: broken, namespace: shop}\nspec: {events: {types: ["order.*"]}, endpont: {}}\n`;

/** Makes traffic until it is stopped: the trouble of most rows shows only when something is sent. */
export function shopTraffic(shop: TroubleInstallation): () => void {
  void shop.publish("shop", "rare.one");
  const timer = setInterval(() => {
    void shop.publish("shop", "order.paid", 2, { size: "large" });
    void shop.publish("odd", "nobody.cares", 20);
    void shop.publish("loud", "not a type!", 3);
  }, 500);
  return () => clearInterval(timer);
}
