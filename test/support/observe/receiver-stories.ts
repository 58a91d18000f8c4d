import { JOB, ONE, POD_A, POD_B } from "./story.ts";
import type { Story } from "./story.ts";

const HELD = (pod: string, reason: string): string => `postrider_subscription_held{${pod},${ONE},reason="${reason}"}`;
const SINCE = (pod: string, labels: string): string => `postrider_endpoint_failing_since_timestamp_seconds{${pod},${labels}}`;
const AGE = (pod: string): string => `postrider_oldest_pending_age_seconds{${pod},${ONE}}`;
const STATES = (state: string): string => `postrider_subscriptions{${POD_A},state="${state}"}`;

/** Stories of receivers and of what is owed to them. In most of them the Pod is replaced, with three minutes without a scrape: the alert continues. */
export const RECEIVER_STORIES: Readonly<Record<string, Story>> = {
  PostriderManyReceiversFailing: {
    series: {
      [STATES("ready")]: "15x5 5x20 15x40",
      [STATES("failing")]: "1x5 10x20 1x40",
      [STATES("not_ready")]: "0x65",
    },
    labels: JOB,
    fires: "15m",
    clear: "35m",
  },
  PostriderManySubscriptionsNotReady: {
    series: { [STATES("ready")]: "20x5 1x20 20x40", [STATES("not_ready")]: "0x5 20x20 0x40", [STATES("failing")]: "0x65" },
    labels: JOB,
    fires: "15m",
    clear: "35m",
  },
  PostriderSubscriptionNotReady: {
    series: {
      [`postrider_subscription_ready{${POD_A},${ONE}}`]: "0x18 stale",
      [`postrider_subscription_ready{${POD_B},${ONE}}`]: "_x21 0x20 1x40",
    },
    labels: `${JOB},${ONE}`,
    fires: "20m",
    clear: "55m",
  },
  PostriderSubscriptionSuspended: {
    // Of itself; the spec's own wish is no alert.
    series: {
      [HELD(POD_A, "EndpointGone")]: "_x5 1x12 stale",
      [HELD(POD_B, "EndpointGone")]: "_x20 1x20 stale",
      'postrider_subscription_held{job="postrider",instance="a:9090",namespace="shop",subscription="off",reason="BySpec"}': "1x80",
    },
    labels: `${JOB},${ONE},reason="EndpointGone"`,
    fires: "19m",
    clear: "55m",
  },
  PostriderEndpointFailing: {
    // One event in the whole day; nothing is attempted between its retries.
    series: { [SINCE(POD_A, ONE)]: "_x5 300x18 stale", [SINCE(POD_B, ONE)]: "_x27 300x30 stale" },
    labels: `${JOB},${ONE}`,
    fires: "25m",
    clear: "70m",
  },
  PostriderEndpointDown: {
    series: { [SINCE(POD_A, ONE)]: "_x5 300x400 stale", [SINCE(POD_B, ONE)]: "_x409 300x60 stale" },
    labels: `${JOB},${ONE}`,
    fires: "407m",
    clear: "480m",
  },
  PostriderEndpointUnreliable: {
    // Every other scrape finds it failing, since its last attempt.
    series: {
      [SINCE(POD_A, ONE)]: Array.from({ length: 32 }, (_, n) => `${n * 120} stale`).join(" "),
      [`postrider_endpoint_failure_ratio{${POD_A},${ONE}}`]: "0x5 0.49x60 0.05x60",
      [`postrider_delivery_attempts_total{${POD_A},${ONE},outcome="success"}`]: "0+1x125",
      [`postrider_delivery_attempts_total{${POD_A},${ONE},outcome="server_error"}`]: "0+1x65 65x60",
    },
    labels: `${JOB},${ONE}`,
    fires: "45m",
    clear: "80m",
  },
  PostriderBacklogOld: {
    // Not what its spec suspends, nor what another alert explains.
    series: {
      [AGE(POD_A)]: "30000+60x18 stale",
      [AGE(POD_B)]: "_x21 31200+60x20 0x30",
      'postrider_oldest_pending_age_seconds{job="postrider",instance="a:9090",namespace="shop",subscription="off"}': "30000+60x80",
      'postrider_subscription_held{job="postrider",instance="a:9090",namespace="shop",subscription="off",reason="BySpec"}': "1x80",
      'postrider_oldest_pending_age_seconds{job="postrider",instance="a:9090",namespace="shop",subscription="dead"}': "30000+60x80",
      [SINCE(POD_A, 'namespace="shop",subscription="dead"')]: "1x80",
      'postrider_oldest_pending_age_seconds{job="postrider",instance="a:9090",namespace="shop",subscription="half"}': "30000+60x80",
      'postrider_endpoint_failure_ratio{job="postrider",instance="a:9090",namespace="shop",subscription="half"}': "0.49x80",
    },
    labels: `${JOB},${ONE}`,
    fires: "19m",
    clear: "55m",
  },
  PostriderDeliveriesFailed: {
    // For as long as they are stored, not for some minutes.
    series: {
      [`postrider_dead_letters{${POD_A},${ONE}}`]: "0x5 3x40 stale",
      [`postrider_dead_letters{${POD_B},${ONE}}`]: "_x48 3x40 0x20",
    },
    labels: `${JOB},${ONE}`,
    fires: "48m",
    clear: "105m",
  },
};
