import { describe, expect, it } from "vitest";
import type { FieldCase } from "../support/fields/field-case.ts";
import { FieldRig } from "../support/fields/field-rig.ts";
import { RecordingReceiver } from "../support/fields/recording-receiver.ts";
import { FIELD_CASES } from "./cases/field-cases.ts";

/** Sees what shows with the field, or as if nobody had read it. */
async function observed(given: FieldCase, ignored: boolean): Promise<unknown> {
  const receiver = await RecordingReceiver.start();
  const rig = await FieldRig.start(receiver, given, ignored);
  try {
    return await given.observe(rig);
  } finally {
    await rig.end();
    await receiver.stop();
  }
}

describe.each(["DeliveryPolicy", "ClusterDeliveryPolicy", "WebhookSubscription"] as const)("%s", (kind) => {
  const cases = FIELD_CASES.filter((given) => given.kind === kind).map((given) => [given.field, given] as const);

  it.concurrent.each(cases)("%s does something, and nothing of it is seen when it is ignored", async (_, given) => {
    expect(await observed(given, false)).toEqual(given.shows);
    expect(await observed(given, true)).not.toEqual(given.shows);
  });
});
