import { judgeUrl } from "../core/egress.ts";
import type { EffectivePolicy } from "../core/policy-resolution.ts";
import type { Problem } from "../core/problem.ts";
import { parseKey } from "../core/signature.ts";
import type { AuthSpec, SecretKeyRef, SigningKey, SubscriptionSpec, Target } from "../core/subscription.ts";
import { SECRET_INVALID } from "./reasons.ts";
import type { SecretReader } from "./secret-refs.ts";

export type Resolved<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

const HEADER_VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

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
  const url = resolveUrl(spec, secrets, effective);
  if (!url.ok) return url;
  const headers = resolveHeaders(spec, secrets);
  if (!headers.ok) return headers;
  const authorization = resolveAuth(spec.endpoint.auth, secrets);
  if (!authorization.ok) return authorization;
  const keys = resolveKeys(spec, keyRefs, secrets);
  if (!keys.ok) return keys;
  return { ok: true, value: { url: url.value, headers: headers.value, authorization: authorization.value, keys: keys.value } };
}

/** A URL that stands in the spec is judged too: a cluster policy may have been tightened since it was accepted. */
function resolveUrl(
  spec: SubscriptionSpec,
  secrets: SecretReader,
  { egress, limits }: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<string> {
  const { address } = spec.endpoint;
  const field = "spec.endpoint.urlSecretRef";
  const url = address.kind === "url" ? address.url : secrets.text(address.ref, field);
  if (typeof url !== "string") return { ok: false, problem: url };
  const problem = judgeUrl(url, egress, limits);
  if (problem === undefined) return { ok: true, value: url };
  return { ok: false, problem: address.kind === "url" ? problem : { ...problem, field } };
}

function resolveHeaders(spec: SubscriptionSpec, secrets: SecretReader): Resolved<readonly (readonly [string, string])[]> {
  const headers: (readonly [string, string])[] = [];
  for (const [index, { name, value }] of spec.endpoint.headers.entries()) {
    const field = `spec.endpoint.headers[${index}].valueFrom`;
    const text = headerText(value, field, secrets);
    if (!text.ok) return text;
    headers.push([name, text.value]);
  }
  return { ok: true, value: headers };
}

function headerText(value: string | SecretKeyRef, field: string, secrets: SecretReader): Resolved<string> {
  const text = typeof value === "string" ? value : secrets.text(value, field);
  if (typeof text !== "string") return { ok: false, problem: text };
  if (HEADER_VALUE.test(text)) return { ok: true, value: text };
  const message = "the value cannot be sent as a header: it holds a line break, another control character or a character beyond Latin-1";
  return { ok: false, problem: { field, reason: SECRET_INVALID, message } };
}

function resolveAuth(auth: AuthSpec | undefined, secrets: SecretReader): Resolved<string | undefined> {
  if (auth === undefined) return { ok: true, value: undefined };
  if (auth.kind === "bearer") {
    const token = headerText(auth.ref, "spec.endpoint.auth.bearer.secretRef", secrets);
    return token.ok ? { ok: true, value: `Bearer ${token.value}` } : token;
  }
  const username = headerText(auth.username, "spec.endpoint.auth.basic.usernameSecretRef", secrets);
  if (!username.ok) return username;
  const password = secrets.text(auth.passwordRef, "spec.endpoint.auth.basic.passwordSecretRef");
  if (typeof password !== "string") return { ok: false, problem: password };
  return { ok: true, value: `Basic ${Buffer.from(`${username.value}:${password}`, "utf8").toString("base64")}` };
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
