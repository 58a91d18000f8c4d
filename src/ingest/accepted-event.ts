import { createHash, hash } from "node:crypto";
import type { Event } from "../core/event.ts";
import type { Clock } from "../lib/clock.ts";
import { uuidv7 } from "../lib/random.ts";
import type { EventDraft } from "./event-draft.ts";

/** Never compared: without a key nothing is deduplicated. */
export const NO_HASH = new Uint8Array(32);

/** The event as it will be stored. The id holds the wall's time at acceptance, which the body tells where the producer gave none. */
export function eventOf(namespace: string, draft: EventDraft, clock: Pick<Clock, "nowMs" | "trueMs">): Event {
  const id = uuidv7(clock.trueMs());
  return {
    id,
    namespace,
    sourceId: draft.identity?.id ?? id,
    source: draft.identity?.source ?? `/namespaces/${namespace}`,
    type: draft.type,
    subject: draft.subject,
    time: draft.time,
    dataContentType: draft.dataContentType,
    dataKind: draft.dataKind,
    data: ownData(draft.data),
    extensions: draft.extensions,
    receivedAtMs: clock.nowMs(),
  };
}

/** The data alone, without the rest of the request: copied unless it is most of what a view of it would keep in memory. */
function ownData(data: Uint8Array): Uint8Array {
  return data.byteLength * 2 >= data.buffer.byteLength ? data : new Uint8Array(data);
}

/** Longest key stored as it is; longer ones by their SHA-256. */
const KEY_CHARS_MAX = 160;

/** What a producer's keys begin with, so that nobody else's are the same; nothing where nobody is told from anybody. */
export function keySpaceOf(producer: string): string {
  return producer === "" ? "" : `${hash("sha256", producer, "base64url")}:`;
}

/** Within a producer's space the header's key, a hook's own and CloudEvents identities never meet: their first letter differs. */
export function keyOf(draft: EventDraft, header: string | undefined, space: string): string | undefined {
  const key = ownKey(draft, header);
  if (key === undefined) return undefined;
  return space + (key.length <= KEY_CHARS_MAX ? key : `h:${hash("sha256", key, "base64url")}`);
}

function ownKey({ type, identity, hookKey }: EventDraft, header: string | undefined): string | undefined {
  // By type, because callers such as GitHub send one delivery id to each of their hooks. No part holds a line break, so no pair can be spelled in two ways.
  if (hookKey !== undefined) return `t:${type}\n${hookKey}`;
  if (header !== undefined) return `k:${header}`;
  return identity === undefined ? undefined : `c:${identity.source}\n${identity.id}`;
}

/** Up to here one call on a copy costs less than three calls; beyond it the copy does. */
const HASHED_AS_ONE_BYTES = 4_096;

/** SHA-256 over type, subject, datacontenttype and data bytes, each with its length in front so that none can flow into the next. */
export function contentHash(event: Pick<Event, "type" | "subject" | "dataContentType" | "data">): Uint8Array {
  const head = JSON.stringify([event.type, event.subject ?? null, event.dataContentType ?? null]);
  const headBytes = Buffer.byteLength(head);
  if (event.data.length > HASHED_AS_ONE_BYTES) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(headBytes);
    return createHash("sha256").update(length).update(head).update(event.data).digest();
  }
  const all = Buffer.allocUnsafe(4 + headBytes + event.data.length);
  all.writeUInt32BE(headBytes, 0);
  all.write(head, 4, "utf8");
  all.set(event.data, 4 + headBytes);
  return hash("sha256", all, "buffer");
}
