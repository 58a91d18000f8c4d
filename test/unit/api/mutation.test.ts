import { expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { decodeClusterPolicy, decodePolicy } from "../../../src/api/decode-policy.ts";
import { decodeSubscription } from "../../../src/api/decode-subscription.ts";
import { mutatedManifests } from "../../corpus/manifests/mutation.ts";

const COUNT = 2_000;

const seed = Math.floor(Math.random() * 0x7fffffff);

it(`mutated manifests are read or refused, and what is read can be decoded: nothing throws (seed ${seed})`, () => {
  let accepted = 0;
  for (const manifest of mutatedManifests(seed, COUNT)) {
    const result = readCustomResource(manifest);
    if (!result.ok) {
      expect(result.problems.length).toBeGreaterThan(0);
      continue;
    }
    accepted += 1;
    if (result.value.kind === "WebhookSubscription") decodeSubscription(result.value);
    else if (result.value.kind === "DeliveryPolicy") decodePolicy(result.value);
    else if (result.value.kind === "ClusterDeliveryPolicy") decodeClusterPolicy(result.value);
  }
  // Both verdicts must occur, or this tests nothing.
  expect(accepted).toBeGreaterThan(COUNT / 50);
  expect(accepted).toBeLessThan(COUNT / 2);
});
