import type { ExpressionCache } from "../controller/subscription/expression-cache.ts";
import { resolveTarget } from "../controller/endpoint/target.ts";
import type { Event } from "../core/event.ts";
import { orderKeyOf, recordIdOf } from "../core/event-value.ts";
import { NO_BODY_FIELD, renderPayload, withBodyToken } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { SCHEMES } from "../core/signing/scheme-registry.ts";
import { signatureHeaders } from "../core/signing/sign.ts";
import type { SubscriptionSpec, Target } from "../core/subscription.ts";
import { RequestHeaders } from "../attempt/request-headers.ts";
import { REDACTED, redactSecretUrl } from "../observe/redact.ts";
import { referencesIn } from "./manifest-references.ts";
import type { CheckedSpec } from "./manifest-references.ts";
import { linesOf, shown, type Shown } from "./terminal.ts";

/** A subscription that the files' checks accepted. */
export interface PreviewedSubscription extends CheckedSpec {
  readonly name: string;
}

/** What one subscription would do with an event. */
export type Preview = { readonly subscription: string } & (
  | { readonly result: "no"; readonly why: string }
  /** The filter or the body fails for this event. */
  | { readonly result: "error"; readonly why: string }
  | { readonly result: "sent"; readonly request: PreviewedRequest; readonly notes: readonly string[] }
);

export interface PreviewedRequest {
  readonly url: string;
  /** As sent, in order; values that come from Secrets are hidden, but for signatures, which are those of now. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** What is left out because it is not in the files. */
  readonly missing: string | undefined;
}

export interface PreviewSetting {
  readonly expressions: ExpressionCache;
  /** Seconds since the epoch: when it would be signed. */
  readonly nowSec: number;
  readonly version: string;
}

/** Judges an event by a subscription's types and filter, and makes the request that would be sent, with the code that sends. */
export function previewEvent(checked: PreviewedSubscription, event: Event, setting: PreviewSetting): Preview {
  const { spec, namespace, name } = checked;
  const subscription = `${namespace}/${name}`;
  if (!spec.types.some((type) => matchesType(type, event.type)))
    return { subscription, result: "no", why: `its types are ${spec.types.join(", ")}` };
  if (spec.filter !== undefined) {
    const filter = setting.expressions.filter(spec.filter);
    const verdict = filter.ok ? filter.value.evaluate(event) : { ok: false as const, message: filter.problem.message };
    if (!verdict.ok) return { subscription, result: "error", why: `its filter fails, which counts as no match: ${verdict.message}` };
    if (!verdict.matched) return { subscription, result: "no", why: `its filter is false: ${spec.filter}${absent(spec.filter, event)}` };
  }
  const { target, missing } = targetOf(checked);
  const payload = payloadOf(spec, event, target, setting);
  if (typeof payload === "string") return { subscription, result: "error", why: payload };
  const request = { ...requestOf(spec, event, { target, payload }, setting), missing };
  return { subscription, result: "sent", request, notes: notesOf(spec, event) };
}

/** What happens to the delivery beside the request: it waits, or it is neither ordered nor found. */
function notesOf({ suspend, ordering, history: { recordIdField } }: SubscriptionSpec, event: Event): string[] {
  const notes: string[] = [];
  if (suspend) notes.push("spec.suspend is true: the delivery waits until it is false");
  if (ordering !== undefined && orderKeyOf(event, ordering.key) === undefined)
    notes.push(`this event has no value at ordering.key (${ordering.key}): it is delivered without order`);
  if (recordIdField !== undefined && recordIdOf(event, recordIdField) === undefined)
    notes.push(`this event has no value at history.recordIDField (${recordIdField}): recordID does not find it`);
  return notes;
}

/** The usual reason why a filter is false: a name in the data that this event does not have. */
function absent(filter: string, event: Event): string {
  if (event.dataKind !== "json") return "";
  const data: unknown = JSON.parse(Buffer.from(event.data).toString("utf8"));
  const paths = [...filter.matchAll(/\bevent\.data((?:\.[A-Za-z_]\w*)+)(?!\w|\s*\()/g)].map(([, path = ""]) => path.slice(1));
  const missing = [...new Set(paths)].filter((path) => !hasPath(data, path.split(".")));
  return missing.length === 0 ? "" : ` (this event has no ${missing.map((path) => `event.data.${path}`).join(", ")})`;
}

function hasPath(value: unknown, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return true;
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return false;
  return hasPath((value as Record<string, unknown>)[name], rest);
}

export function matchesType(pattern: string, type: string): boolean {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}

/** With all that the files hold; without them the request is shown as far as it is known. */
function targetOf(checked: CheckedSpec): { readonly target: Target; readonly missing: string | undefined } {
  const { spec, effective } = checked;
  const isGenerated = SCHEMES[spec.signing.scheme].needsKey && spec.signing.secretRefs.length === 0;
  const resolved = resolveTarget(spec, spec.signing.secretRefs, referencesIn(checked), effective);
  const generated = "the signature, whose key is generated when the subscription is created";
  if (resolved.ok) return { target: resolved.value, missing: isGenerated ? generated : undefined };
  const { address, headers } = spec.endpoint;
  const url =
    address.kind === "url"
      ? address.url
      : address.kind === "serviceRef"
        ? `${address.scheme}://${address.name}.${checked.namespace}.svc:${address.port}${address.path}`
        : `https://${REDACTED}`;
  const literal = headers.map(({ name, value }) => [name, typeof value === "string" ? value : REDACTED] as const);
  const missing = `what Secrets and other objects would add (${resolved.problem.message})`;
  return { target: { url, headers: literal, authorization: undefined, keys: [] }, missing };
}

function payloadOf(spec: SubscriptionSpec, event: Event, target: Target, { expressions, nowSec }: PreviewSetting): Payload | string {
  const body = spec.payload.body === undefined ? undefined : expressions.body(spec.payload.body);
  if (body?.ok === false) return body.problem.message;
  const rendered = renderPayload(event, spec.payload, body?.value);
  if (!rendered.ok) return `payload.body fails for this event, so nothing would be sent: ${rendered.message}`;
  const { unboundProof, bodyField } = SCHEMES[spec.signing.scheme];
  const field = bodyField(spec.signing);
  const proof = unboundProof(spec.signing, target.keys, nowSec);
  if (field === undefined || proof === undefined) return rendered.payload;
  return withBodyToken(rendered.payload, field, proof) ?? NO_BODY_FIELD;
}

function requestOf(
  spec: SubscriptionSpec,
  event: Event,
  { target, payload }: { readonly target: Target; readonly payload: Payload },
  { nowSec, version }: PreviewSetting,
): Omit<PreviewedRequest, "missing"> {
  const signature = signatureHeaders(spec.signing, target.keys, {
    id: event.id,
    timestampSec: nowSec,
    body: payload.body,
    url: target.url,
    contentType: payload.contentType,
  });
  const { sent } = new RequestHeaders(`Postrider/${version}`, target, SCHEMES[spec.signing.scheme].shownHeaders).forAttempt(
    event,
    payload,
    signature,
  );
  const secret = new Set([
    "authorization",
    ...spec.endpoint.headers.flatMap(({ name, value }) => (typeof value === "string" ? [] : [name.toLowerCase()])),
  ]);
  const headers = sent.flatMap((name, at) => {
    if (at % 2 === 1) return [];
    return [[name, secret.has(name.toLowerCase()) ? REDACTED : (sent[at + 1] ?? "")] as const];
  });
  const isSecret = spec.endpoint.address.kind === "urlSecretRef";
  return { url: isSecret ? redactSecretUrl(target.url) : target.url, headers, body: Buffer.from(payload.body).toString("utf8") };
}

/** For people. */
export function previewText(event: Event, previews: readonly Preview[]): Shown {
  const lines = [shown`event ${event.type} in namespace ${event.namespace}:`];
  if (previews.length === 0) lines.push(shown`  the files hold no subscription for this namespace`);
  for (const preview of previews) {
    if (preview.result !== "sent")
      lines.push(shown`  ${preview.subscription}: ${preview.result === "no" ? "no" : "ERROR"}, ${preview.why}`);
    else {
      const notes = preview.notes.map((note) => shown`    (note: ${note})`);
      lines.push(shown`  ${preview.subscription}: would be sent`, ...notes, ...requestLines(preview.request));
    }
  }
  return linesOf(lines);
}

function requestLines({ url, headers, body, missing }: PreviewedRequest): Shown[] {
  return [
    shown`    POST ${url}`,
    ...headers.map(([name, value]) => shown`    ${name}: ${value}`),
    ...(missing === undefined ? [] : [shown`    (left out: ${missing})`]),
    shown``,
    ...body.split("\n").map((line) => shown`    ${line}`),
  ];
}
