import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { contentHash } from "../../../src/ingest/accepted-event.ts";

/** As stores have kept it since the first version: other bytes would make every duplicate a conflict after an upgrade. */
function asEver(event: Parameters<typeof contentHash>[0]): string {
  const head = Buffer.from(JSON.stringify([event.type, event.subject ?? null, event.dataContentType ?? null]));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(head.length);
  return createHash("sha256")
    .update(Buffer.concat([length, head, event.data]))
    .digest("hex");
}

test.each([0, 1, 4_095, 4_096, 4_097, 262_144])("the hash of %i bytes of data is the one that stores have", (bytes) => {
  const data = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
  for (const subject of [undefined, "żółć"]) {
    const event = { type: "order.paid", subject, dataContentType: "application/json", data };
    expect(Buffer.from(contentHash(event)).toString("hex")).toBe(asEver(event));
    expect(contentHash({ ...event, type: "order.paid2" })).not.toEqual(contentHash(event));
  }
});
