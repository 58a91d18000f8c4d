import type { Decoded } from "../core/problem.ts";
import { TOKEN_STYLE } from "../core/signing/schemes/timestamp-token.ts";
import type { HmacStyle, TokenStyle } from "../core/signing/style.ts";
import type { AuthSpec, EndpointSpec, PayloadSpec, SigningSpec, SubscriptionSpec, TlsSpec } from "../core/subscription.ts";
import { assert } from "../lib/assert.ts";
import type { WebhookSubscription, WebhookSubscriptionSpec } from "./generated/custom-resources.ts";
import { newerProblems } from "./newer-objects.ts";
import { notImplementedProblems } from "./not-implemented.ts";

/** Form parameter of `payload.format: Form` where none is named (as Pipe's webhooks have it). */
const FORM_PARAMETER = "payload";
/** What orders deliveries where `ordering.key` names nothing. */
const ORDERING_KEY = "subject";

/**
 * The domain value of a subscription that has passed the schema and its rules (readCustomResource, or the API server), with what the
 * schema leaves to us filled in; or a problem for each field that this version does not obey.
 */
export function decodeSubscription(resource: WebhookSubscription): Decoded<SubscriptionSpec> {
  const problems = [...notImplementedProblems(resource), ...newerProblems(resource)];
  if (problems.length > 0) return { ok: false, problems };
  const { spec } = resource;
  return {
    ok: true,
    value: {
      className: spec.className,
      suspend: spec.suspend,
      types: spec.events.types,
      filter: spec.events.filter,
      endpoint: endpointSpec(spec.endpoint),
      payload: payloadSpec(spec.payload),
      signing: signingSpec(spec.signing),
      policyName: spec.policyRef?.name,
      history: {
        captureResponse: spec.history?.captureResponse ?? true,
        answerInResults: spec.history?.answerInResults ?? false,
        recordIdField: spec.history?.recordIDField,
      },
      deletionPolicy: spec.deletionPolicy,
      ...(spec.ordering?.mode === "PerKey" ? { ordering: { key: spec.ordering.key ?? ORDERING_KEY } } : {}),
      ...(spec.deadLetter === undefined ? {} : { deadLetter: endpointSpec(spec.deadLetter.endpoint) }),
      ...(spec.verification === "CloudEventsHandshake" ? { verification: spec.verification } : {}),
    },
  };
}

type Endpoint = WebhookSubscriptionSpec["endpoint"];

function endpointSpec(endpoint: Endpoint): EndpointSpec {
  return {
    address: addressOf(endpoint),
    headers: (endpoint.headers ?? []).map(({ name, value, valueFrom }) => ({ name, value: valueFrom?.secretKeyRef ?? value ?? "" })),
    auth: authSpec(endpoint.auth),
    ...(endpoint.tls === undefined ? {} : { tls: tlsSpec(endpoint.tls) }),
  };
}

function addressOf(endpoint: Endpoint): EndpointSpec["address"] {
  const { url, urlSecretRef, serviceRef } = endpoint;
  if (url !== undefined) return { kind: "url", url };
  if (urlSecretRef !== undefined) return { kind: "urlSecretRef", ref: urlSecretRef };
  assert(serviceRef !== undefined, "the schema's rules leave exactly one of url, urlSecretRef and serviceRef");
  const { name, port, path, scheme } = serviceRef;
  return { kind: "serviceRef", name, port, path, scheme: scheme === "HTTPS" ? "https" : "http" };
}

function tlsSpec({ caRef, clientCertSecretRef, serverName, minVersion }: NonNullable<Endpoint["tls"]>): TlsSpec {
  const authority = caRef && { kind: caRef.kind, name: caRef.name, key: caRef.key };
  return { caRef: authority, clientCertSecretName: clientCertSecretRef?.name, serverName, minVersion };
}

function authSpec(auth: Endpoint["auth"]): AuthSpec | undefined {
  if (auth === undefined) return undefined;
  if (auth.bearer !== undefined) return { kind: "bearer", ref: auth.bearer.secretRef };
  if (auth.oauth2ClientCredentials !== undefined) {
    const { tokenURL, clientIDSecretRef, clientSecretRef, scopes, audience } = auth.oauth2ClientCredentials;
    return { kind: "oauth2", tokenUrl: tokenURL, clientIdRef: clientIDSecretRef, clientSecretRef, scopes: scopes ?? [], audience };
  }
  if (auth.serviceAccountToken !== undefined) {
    const { serviceAccountName, audience, expirationSeconds } = auth.serviceAccountToken;
    return { kind: "serviceAccount", serviceAccountName, audience, expirationSeconds };
  }
  assert(auth.basic !== undefined, "the schema's rules leave exactly one way to authenticate");
  const username = auth.basic.username ?? auth.basic.usernameSecretRef;
  assert(username !== undefined, "the schema's rules leave exactly one of username and usernameSecretRef");
  return { kind: "basic", username, passwordRef: auth.basic.passwordSecretRef };
}

function payloadSpec(payload: WebhookSubscriptionSpec["payload"]): PayloadSpec {
  return {
    format: payload?.format ?? "StandardWebhooks",
    formParameter: payload?.formParameter ?? FORM_PARAMETER,
    body: payload?.body,
  };
}

type Signing = NonNullable<WebhookSubscriptionSpec["signing"]>;

function signingSpec(signing: Signing | undefined): SigningSpec {
  const scheme = signing?.scheme ?? "StandardWebhooks";
  return {
    scheme,
    secretRefs: signing?.secretRefs ?? [],
    secretDeletionPolicy: signing?.secretDeletionPolicy ?? "Retain",
    hmac: hmacStyle(signing?.hmac),
    token: scheme === "TimestampToken" ? tokenStyle(signing?.token) : undefined,
  };
}

function hmacStyle(hmac: Signing["hmac"]): HmacStyle | undefined {
  if (hmac === undefined) return undefined;
  const { algorithm, encoding, header, prefix, timestampHeader, signedContent, value } = hmac;
  return { algorithm, encoding, header, prefix, timestampHeader, signedContent, value };
}

function tokenStyle(token: Signing["token"]): TokenStyle {
  return {
    field: token?.field ?? TOKEN_STYLE.field,
    placement: token?.placement ?? TOKEN_STYLE.placement,
    separator: token?.separator ?? TOKEN_STYLE.separator,
    algorithm: token?.algorithm ?? TOKEN_STYLE.algorithm,
    encoding: token?.encoding ?? TOKEN_STYLE.encoding,
  };
}
