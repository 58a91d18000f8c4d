import { createHmac, timingSafeEqual } from "node:crypto";
import type { Received } from "./system-receiver.ts";

/** The properties that the document lists for each of the five events, in its order. */
export interface AiozEvent {
  readonly type: string;
  readonly emitted_at: string;
  readonly media_id: string;
  readonly media_type: string;
  readonly qualities: string;
  readonly title: string;
  readonly status: string;
  readonly user_id: string;
}

/** "Checking the request headers for a signature": the hex HMAC-SHA256 of the body behind `sha256=`. */
export function hasAiozSignature({ headers, body }: Received, key: string): boolean {
  const given = Buffer.from(String(headers["x-aioz-signature"]));
  const expected = Buffer.from(`sha256=${createHmac("sha256", key).update(body).digest("hex")}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** "… or token that matches the one provided". */
export function hasAiozToken({ headers }: Received, token: string): boolean {
  return headers["x-aioz-token"] === token;
}

export function aiozBody(event: AiozEvent): Buffer {
  const { type, emitted_at, media_id, media_type, qualities, title, status, user_id } = event;
  return Buffer.from(JSON.stringify({ type, emitted_at, media_id, media_type, qualities, title, status, user_id }));
}
