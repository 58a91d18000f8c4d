import { createHmac, timingSafeEqual } from "node:crypto";

/** What the document says a receiver does with `token = <timestamp>|<hmac>`. */
export interface PerculusCheck {
  readonly body: Buffer;
  readonly secret: string;
  /** The document's N, in seconds. */
  readonly maxAgeSeconds: number;
  readonly nowSeconds: number;
}

export interface PerculusMessage {
  readonly request_id: string;
  readonly type: string;
  readonly session_id: string;
  readonly token: string;
  readonly status: string;
  readonly video_url?: string;
  readonly date?: string;
  readonly error?: string;
}

/** Generates the hmac again from timestamp and secret, and looks at the token's age. The document leaves hash and spelling open: SHA-256, hex. */
export function checkPerculusToken({ body, secret, maxAgeSeconds, nowSeconds }: PerculusCheck): "ok" | "expired" | "forged" {
  const { token } = JSON.parse(body.toString("utf8")) as PerculusMessage;
  const [timestamp = "", hmac = "", ...rest] = token.split("|");
  if (!/^\d{10}$/.test(timestamp) || rest.length > 0) return "forged";
  const again = createHmac("sha256", secret).update(timestamp).digest("hex");
  if (hmac.length !== again.length || !timingSafeEqual(Buffer.from(hmac), Buffer.from(again))) return "forged";
  return nowSeconds - Number(timestamp) > maxAgeSeconds ? "expired" : "ok";
}

/** The message from the document's table of fields, in its order; `token` as it came, for its value is new in each attempt. */
export function perculusBody(message: PerculusMessage): Buffer {
  const { request_id, type, session_id, token, status, video_url, date, error } = message;
  return Buffer.from(JSON.stringify({ request_id, type, session_id, token, status, video_url, date, error }));
}

export function tokenOf(body: Buffer): string {
  return (JSON.parse(body.toString("utf8")) as PerculusMessage).token;
}
