import { headerNameFault } from "../../core/header-rules.ts";
import type { EffectivePolicy } from "../../core/policy-resolution.ts";
import type { Problem } from "../../core/problem.ts";
import { SCHEMES } from "../../core/signing/scheme-registry.ts";
import { parseKey } from "../../core/signing/sign.ts";
import type { SigningKey } from "../../core/signing/style.ts";
import type { EndpointSpec, SecretKeyRef, SubscriptionSpec, Target } from "../../core/subscription.ts";
import { assert } from "../../lib/assert.ts";
import { resolveProxy } from "./proxy.ts";
import { resolveAddress } from "./address.ts";
import { headerText, resolveAuth, tokenUrlProblem } from "./auth.ts";
import type { Resolved } from "./auth.ts";
import { resolveTls } from "./tls.ts";
import type { References } from "./references.ts";
import type { SecretReader } from "./secret-refs.ts";
import { signingHeaderProblem } from "../subscription/signing-headers.ts";

/**
 * Everything an attempt needs, from the references of an accepted spec; or the first problem in their way. `keyRefs` are the spec's own
 * or the generated Secret's. No problem holds a secret value.
 */
export function resolveTarget(
  spec: SubscriptionSpec,
  keyRefs: readonly SecretKeyRef[],
  refs: References,
  effective: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<Target> {
  const signing = signingHeaderProblem(spec);
  if (signing !== undefined) return { ok: false, problem: signing };
  const endpoint = resolveEndpoint(spec.endpoint, "spec.endpoint", refs, effective);
  if (!endpoint.ok) return endpoint;
  const keys = resolveKeys(spec, keyRefs, refs.secrets);
  if (!keys.ok) return keys;
  const target: Target = { ...endpoint.value, keys: keys.value };
  if (spec.deadLetter === undefined) return { ok: true, value: target };
  const deadLetter = resolveEndpoint(spec.deadLetter, "spec.deadLetter.endpoint", refs, effective);
  return deadLetter.ok ? { ok: true, value: { ...target, deadLetter: { ...deadLetter.value, keys: keys.value } } } : deadLetter;
}

/** Every problem of what a spec names, part by part: for people who want to mend all at once. `resolveTarget` tells the first. */
export function referenceProblems(
  spec: SubscriptionSpec,
  keyRefs: readonly SecretKeyRef[],
  refs: References,
  effective: Pick<EffectivePolicy, "egress" | "limits">,
): readonly Problem[] {
  const parts: Resolved<unknown>[] = [];
  for (const [endpoint, at] of [
    [spec.endpoint, "spec.endpoint"],
    [spec.deadLetter, "spec.deadLetter.endpoint"],
  ] as const) {
    if (endpoint === undefined) continue;
    if (endpoint.address.kind !== "url") parts.push(resolveAddress(endpoint, at, refs, effective));
    endpoint.headers.forEach(({ value }, index) => parts.push(headerText(value, `${at}.headers[${index}].valueFrom`, refs.secrets)));
    parts.push(resolveAuth(endpoint.auth, `${at}.auth`, refs), resolveTls(endpoint.tls, `${at}.tls`, refs));
  }
  keyRefs.forEach((_, index) => parts.push(resolveKey(spec, keyRefs, index, refs.secrets)));
  return parts.flatMap((part) => (part.ok ? [] : [part.problem]));
}

/** One endpoint, without what signs. `at` is where it stands in the resource. */
function resolveEndpoint(
  endpoint: EndpointSpec,
  at: string,
  refs: References,
  effective: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<Omit<Target, "keys">> {
  const place = resolveAddress(endpoint, at, refs, effective);
  if (!place.ok) return place;
  const headers = resolveHeaders(endpoint, at, refs.secrets);
  if (!headers.ok) return headers;
  const tokenUrl = tokenUrlProblem(endpoint.auth, `${at}.auth`, effective);
  if (tokenUrl !== undefined) return { ok: false, problem: tokenUrl };
  const auth = resolveAuth(endpoint.auth, `${at}.auth`, refs);
  if (!auth.ok) return auth;
  const tls = resolveTls(endpoint.tls, `${at}.tls`, refs);
  if (!tls.ok) return tls;
  // A proxy is the way out of the cluster; a Service is inside. Its token endpoint, if any, is outside all the same.
  const proxy = resolveProxy(effective.egress, refs);
  if (!proxy.ok) return proxy;
  return {
    ok: true,
    value: {
      ...place.value,
      headers: headers.value,
      ...auth.value,
      ...(tls.value === undefined ? {} : { tls: tls.value }),
      ...(proxy.value === undefined ? {} : { proxy: proxy.value }),
    },
  };
}

function resolveHeaders(endpoint: EndpointSpec, at: string, secrets: SecretReader): Resolved<readonly (readonly [string, string])[]> {
  const headers: (readonly [string, string])[] = [];
  for (const [index, { name, value }] of endpoint.headers.entries()) {
    // Again: the spec in force may have been accepted by a version that denied fewer.
    const message = headerNameFault(name);
    if (message !== undefined) return { ok: false, problem: { field: `${at}.headers[${index}].name`, reason: "InvalidEndpoint", message } };
    const text = headerText(value, `${at}.headers[${index}].valueFrom`, secrets);
    if (!text.ok) return text;
    headers.push([name, text.value]);
  }
  return { ok: true, value: headers };
}

function resolveKeys(spec: SubscriptionSpec, keyRefs: readonly SecretKeyRef[], secrets: SecretReader): Resolved<readonly SigningKey[]> {
  if (!SCHEMES[spec.signing.scheme].needsKey) return { ok: true, value: [] };
  const keys: SigningKey[] = [];
  for (const index of keyRefs.keys()) {
    const key = resolveKey(spec, keyRefs, index, secrets);
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return { ok: true, value: keys };
}

function resolveKey(spec: SubscriptionSpec, keyRefs: readonly SecretKeyRef[], index: number, secrets: SecretReader): Resolved<SigningKey> {
  const ref = keyRefs[index];
  assert(ref !== undefined, "an index of the list");
  const field = `spec.signing.secretRefs[${index}]`;
  const bytes = secrets.bytes(ref, field);
  if (!(bytes instanceof Uint8Array)) return { ok: false, problem: bytes };
  const parsed = parseKey(spec.signing.scheme, bytes);
  if (parsed.ok) return { ok: true, value: parsed.key };
  return { ok: false, problem: { ...parsed.problem, field, message: `Secret ${ref.name}, key ${ref.key}: ${parsed.problem.message}` } };
}
