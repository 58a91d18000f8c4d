import { judgeUrl } from "../core/egress.ts";
import type { EffectivePolicy } from "../core/policy-resolution.ts";
import { parseKey } from "../core/signature.ts";
import type { EndpointSpec, SecretKeyRef, SigningKey, SubscriptionSpec, Target } from "../core/subscription.ts";
import { assert } from "../lib/assert.ts";
import { headerText, resolveAuth, tokenUrlProblem } from "./endpoint-auth.ts";
import type { Resolved } from "./endpoint-auth.ts";
import type { SecretReader } from "./secret-refs.ts";

/**
 * Everything an attempt needs, from the references of an accepted spec; or the first problem in their way. `keyRefs` are the spec's own
 * or the generated Secret's. No problem holds a secret value.
 */
export function resolveTarget(
  spec: SubscriptionSpec,
  keyRefs: readonly SecretKeyRef[],
  secrets: SecretReader,
  effective: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<Target> {
  const endpoint = resolveEndpoint(spec.endpoint, "spec.endpoint", secrets, effective);
  if (!endpoint.ok) return endpoint;
  const keys = resolveKeys(spec, keyRefs, secrets);
  if (!keys.ok) return keys;
  const target: Target = { ...endpoint.value, keys: keys.value };
  if (spec.deadLetter === undefined) return { ok: true, value: target };
  const deadLetter = resolveEndpoint(spec.deadLetter, "spec.deadLetter.endpoint", secrets, effective);
  return deadLetter.ok ? { ok: true, value: { ...target, deadLetter: { ...deadLetter.value, keys: keys.value } } } : deadLetter;
}

/** One endpoint, without what signs. `at` is where it stands in the resource. */
function resolveEndpoint(
  endpoint: EndpointSpec,
  at: string,
  secrets: SecretReader,
  effective: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<Omit<Target, "keys">> {
  const url = resolveUrl(endpoint, at, secrets, effective);
  if (!url.ok) return url;
  const headers = resolveHeaders(endpoint, at, secrets);
  if (!headers.ok) return headers;
  const tokenUrl = tokenUrlProblem(endpoint.auth, `${at}.auth`, effective);
  if (tokenUrl !== undefined) return { ok: false, problem: tokenUrl };
  const auth = resolveAuth(endpoint.auth, `${at}.auth`, secrets);
  if (!auth.ok) return auth;
  return { ok: true, value: { url: url.value, headers: headers.value, ...auth.value } };
}

/** A URL that stands in the spec is judged too: a cluster policy may have been tightened since it was accepted. */
function resolveUrl(
  { address }: EndpointSpec,
  at: string,
  secrets: SecretReader,
  { egress, limits }: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<string> {
  assert(address.kind !== "serviceRef", "not implemented, which is checked first");
  const field = `${at}.urlSecretRef`;
  const url = address.kind === "url" ? address.url : secrets.text(address.ref, field);
  if (typeof url !== "string") return { ok: false, problem: url };
  const problem = judgeUrl(url, egress, limits);
  if (problem === undefined) return { ok: true, value: url };
  return { ok: false, problem: { ...problem, field: address.kind === "url" ? `${at}.url` : field } };
}

function resolveHeaders(endpoint: EndpointSpec, at: string, secrets: SecretReader): Resolved<readonly (readonly [string, string])[]> {
  const headers: (readonly [string, string])[] = [];
  for (const [index, { name, value }] of endpoint.headers.entries()) {
    const text = headerText(value, `${at}.headers[${index}].valueFrom`, secrets);
    if (!text.ok) return text;
    headers.push([name, text.value]);
  }
  return { ok: true, value: headers };
}

function resolveKeys(spec: SubscriptionSpec, keyRefs: readonly SecretKeyRef[], secrets: SecretReader): Resolved<readonly SigningKey[]> {
  if (spec.signing.scheme === "None") return { ok: true, value: [] };
  const keys: SigningKey[] = [];
  for (const [index, ref] of keyRefs.entries()) {
    const field = `spec.signing.secretRefs[${index}]`;
    const bytes = secrets.bytes(ref, field);
    if (!(bytes instanceof Uint8Array)) return { ok: false, problem: bytes };
    const parsed = parseKey(spec.signing.scheme, bytes);
    if (!parsed.ok) {
      return { ok: false, problem: { ...parsed.problem, field, message: `Secret ${ref.name}, key ${ref.key}: ${parsed.problem.message}` } };
    }
    keys.push(parsed.key);
  }
  return { ok: true, value: keys };
}
