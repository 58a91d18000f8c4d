import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FieldCase } from "../support/fields/field-case.ts";
import { FieldRig } from "../support/fields/field-rig.ts";
import { RecordingReceiver } from "../support/fields/recording-receiver.ts";
import { POLICY_CASES } from "./cases/policy-cases.ts";

/** Sees what shows with the field, or as if nobody had read it. */
async function observed(receiver: RecordingReceiver, given: FieldCase, ignored: boolean): Promise<unknown> {
  receiver.answer = { status: 200 };
  const rig = await FieldRig.start(receiver, given, ignored);
  try {
    return await given.observe(rig);
  } finally {
    await rig.end();
  }
}

describe.each(["DeliveryPolicy", "ClusterDeliveryPolicy", "WebhookSubscription"] as const)("%s", (kind) => {
  let receiver: RecordingReceiver;
  beforeAll(async () => {
    receiver = await RecordingReceiver.start();
  });
  afterAll(() => receiver.stop());

  const cases = POLICY_CASES.filter((given) => given.kind === kind);
  it.each(cases.map((given) => [given.field, given] as const))("%s does something, and nothing of it is seen when it is ignored", async (_, given) => {
    expect(await observed(receiver, given, false)).toEqual(given.shows);
    expect(await observed(receiver, given, true)).not.toEqual(given.shows);
  });
});
