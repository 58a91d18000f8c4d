import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ControlPlaneAccess } from "./kubectl.ts";

export type Claims = Readonly<Record<string, unknown>>;

/** A ServiceAccount's token with other claims, signed by the control plane's own key as the API server would have done it. */
export function resigned(access: ControlPlaneAccess, token: string, change: Claims): string {
  const [header = "", payload = ""] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Claims;
  const content = `${header}.${encoded({ ...claims, ...change })}`;
  const key = createPrivateKey(readFileSync(join(access.directory, "service-account.key")));
  return `${content}.${sign("sha256", Buffer.from(content), key).toString("base64url")}`;
}

/** The token's parts with other claims or header, and the signature as it was: what somebody without the key can do. */
export function tampered(
  token: string,
  change: { readonly header?: Claims; readonly claims?: Claims; readonly signature?: string },
): string {
  const [header = "", payload = "", signature = ""] = token.split(".");
  const merged = (part: string, more: Claims | undefined): string =>
    encoded({ ...(JSON.parse(Buffer.from(part, "base64url").toString()) as Claims), ...more });
  return `${merged(header, change.header)}.${merged(payload, change.claims)}.${change.signature ?? signature}`;
}

function encoded(value: Claims): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
