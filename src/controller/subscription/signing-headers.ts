import { judgeHeaders } from "../../core/header-rules.ts";
import type { Problem } from "../../core/problem.ts";
import { signingHeaderNames } from "../../core/signing/sign.ts";
import type { SubscriptionSpec } from "../../core/subscription.ts";

/** Denied to extra headers because signing sets them. */
const OWN_HEADERS: ReadonlySet<string> = new Set(["webhook-timestamp", "webhook-signature"]);

/** A header that a signature is written into must be one that may be sent, and free: of two of one name receivers read either. */
export function signingHeaderProblem({ endpoint, signing }: SubscriptionSpec): Problem | undefined {
  const own = signingHeaderNames(signing);
  const chosen = own.filter((name) => !OWN_HEADERS.has(name.toLowerCase())).map((name) => [name, ""] as const);
  const refused = judgeHeaders(chosen, endpoint.auth !== undefined);
  if (refused !== undefined) return { ...refused, field: "spec.signing", message: `spec.signing: ${refused.message}` };
  const names = new Set(own.map((name) => name.toLowerCase()));
  const index = endpoint.headers.findIndex(({ name }) => names.has(name.toLowerCase()));
  if (index === -1) return undefined;
  const message = `the header '${endpoint.headers[index]?.name}' is set by spec.signing: remove it here, or sign into another header`;
  return { field: `spec.endpoint.headers[${index}]`, reason: "InvalidEndpoint", message };
}
