import { judgeHeaders } from "../../core/header-rules.ts";
import type { Problem } from "../../core/problem.ts";
import { SCHEMES } from "../../core/signing/scheme-registry.ts";
import type { SubscriptionSpec } from "../../core/subscription.ts";

/** A header that a signature is written into must be one that may be sent, and free: of two of one name receivers read either. */
export function signingHeaderProblem({ endpoint, signing }: SubscriptionSpec): Problem | undefined {
  const { ownHeaders, chosenHeaders } = SCHEMES[signing.scheme];
  const chosen = chosenHeaders(signing);
  const refused = judgeHeaders(
    chosen.map((name) => [name, ""] as const),
    endpoint.auth !== undefined,
  );
  if (refused !== undefined) return { ...refused, field: "spec.signing", message: `spec.signing: ${refused.message}` };
  const names = new Set([...ownHeaders, ...chosen].map((name) => name.toLowerCase()));
  const index = endpoint.headers.findIndex(({ name }) => names.has(name.toLowerCase()));
  if (index === -1) return undefined;
  const message = `the header '${endpoint.headers[index]?.name}' is set by spec.signing: remove it here, or sign into another header`;
  return { field: `spec.endpoint.headers[${index}]`, reason: "InvalidEndpoint", message };
}
