import { judgeUrl } from "../../core/egress/url-rules.ts";
import { headerValueFault } from "../../core/header-rules.ts";
import type { EffectivePolicy } from "../../core/policy-resolution.ts";
import type { Problem } from "../../core/problem.ts";
import type { AuthSpec, SecretKeyRef, Target } from "../../core/subscription.ts";
import { unreachable } from "../../lib/assert.ts";
import { isProblem } from "./named-refs.ts";
import { USE_LABEL } from "../objects.ts";
import type { References } from "./references.ts";
import type { SecretReader } from "./secret-refs.ts";

/** A value that references lead to, or the first problem in the way. */
export type Resolved<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** How an endpoint is told who sends: a fixed header, or a credential to be exchanged for one. `at` is where `auth` stands. */
export function resolveAuth(
  auth: AuthSpec | undefined,
  at: string,
  refs: References,
): Resolved<Pick<Target, "authorization" | "credential">> {
  const { secrets } = refs;
  if (auth === undefined) return { ok: true, value: { authorization: undefined } };
  switch (auth.kind) {
    case "bearer": {
      const token = headerText(auth.ref, `${at}.bearer.secretRef`, secrets);
      if (!token.ok) return token;
      if (token.value === "") return empty(`${at}.bearer.secretRef`);
      return { ok: true, value: { authorization: `Bearer ${token.value}` } };
    }
    case "basic":
      return resolveBasic(auth, at, secrets);
    case "oauth2":
      return resolveOauth2(auth, at, secrets);
    case "serviceAccount":
      return resolveServiceAccount(auth, at, refs);
    default:
      return unreachable(auth);
  }
}

/** A header's value, which must be one that can be sent. */
export function headerText(value: string | SecretKeyRef, field: string, secrets: SecretReader): Resolved<string> {
  const text = typeof value === "string" ? value : secrets.text(value, field);
  if (typeof text !== "string") return { ok: false, problem: text };
  const fault = headerValueFault(text);
  if (fault === undefined) return { ok: true, value: text };
  return { ok: false, problem: { field, reason: "SecretInvalid", message: `the value cannot be sent as a header: it ${fault}` } };
}

function empty(field: string): { readonly ok: false; readonly problem: Problem } {
  return invalidSecret(field, "the value is empty: put the credential there");
}

/** The user's name ends at the first colon (RFC 7617, 2): one with a colon would become another user with another password. */
function userFault(username: string): string | undefined {
  if (username.includes(":")) return "the user name contains a colon, which HTTP Basic cannot carry (RFC 7617): use another name";
  return controlFault("user name", username);
}

/** RFC 7617, 2 and RFC 6749, A.1 and A.2 allow none; most are line breaks that a file or an encoder added. `what` is the value's name. */
export function controlFault(what: string, value: string): string | undefined {
  return /\p{Cc}|^\ufeff/u.test(value)
    ? `the ${what} contains a line break or another control character (or starts with a byte order mark), which RFC 7617 and RFC 6749 forbid: remove it; a single line break at the end is allowed`
    : undefined;
}

function invalidSecret(field: string, message: string): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem: { field, reason: "SecretInvalid", message } };
}

function resolveBasic(
  auth: Extract<AuthSpec, { kind: "basic" }>,
  at: string,
  secrets: SecretReader,
): Resolved<Pick<Target, "authorization">> {
  const field = `${at}.basic.usernameSecretRef`;
  const username = typeof auth.username === "string" ? auth.username : secrets.text(auth.username, field);
  if (typeof username !== "string") return { ok: false, problem: username };
  if (username === "") return empty(field);
  const fault = userFault(username);
  if (fault !== undefined) return invalidSecret(field, fault);
  const passwordField = `${at}.basic.passwordSecretRef`;
  const password = secrets.text(auth.passwordRef, passwordField);
  if (typeof password !== "string") return { ok: false, problem: password };
  const passwordFault = controlFault("password", password);
  if (passwordFault !== undefined) return invalidSecret(passwordField, passwordFault);
  const authorization = `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
  const tooLong = headerValueFault(authorization);
  if (tooLong === undefined) return { ok: true, value: { authorization } };
  const message = `user name and password cannot be sent as a header: together it ${tooLong}`;
  return invalidSecret(passwordField, message);
}

/** Why the token endpoint may not be reached: the secret that goes there is worth as much as an event. `at` is where `auth` stands. */
export function tokenUrlProblem(
  auth: AuthSpec | undefined,
  at: string,
  { egress, limits }: Pick<EffectivePolicy, "egress" | "limits">,
): Problem | undefined {
  if (auth?.kind !== "oauth2") return undefined;
  const problem = judgeUrl(auth.tokenUrl, egress, limits);
  return problem && { ...problem, field: `${at}.oauth2ClientCredentials.tokenURL` };
}

function resolveOauth2(
  { tokenUrl, clientIdRef, clientSecretRef, scopes, audience }: Extract<AuthSpec, { kind: "oauth2" }>,
  at: string,
  secrets: SecretReader,
): Resolved<Pick<Target, "authorization" | "credential">> {
  const field = `${at}.oauth2ClientCredentials`;
  const clientId = secrets.text(clientIdRef, `${field}.clientIDSecretRef`);
  if (typeof clientId !== "string") return { ok: false, problem: clientId };
  const clientSecret = secrets.text(clientSecretRef, `${field}.clientSecretRef`);
  if (typeof clientSecret !== "string") return { ok: false, problem: clientSecret };
  if (clientId === "") return empty(`${field}.clientIDSecretRef`);
  if (clientSecret === "") return empty(`${field}.clientSecretRef`);
  const idFault = controlFault("client id", clientId);
  if (idFault !== undefined) return invalidSecret(`${field}.clientIDSecretRef`, idFault);
  const secretFault = controlFault("client secret", clientSecret);
  if (secretFault !== undefined) return invalidSecret(`${field}.clientSecretRef`, secretFault);
  return {
    ok: true,
    value: { authorization: undefined, credential: { kind: "oauth2", tokenUrl, clientId, clientSecret, scopes, audience } },
  };
}

/** The API server's usual audiences: a token for one of them would let the receiver act in the cluster. */
const CLUSTER_AUDIENCES = /^(https:\/\/)?kubernetes(\.default(\.svc(\.[a-z0-9.-]+)?)?)?\/?$/i;
/** Ours: a receiver could publish with it, or read the history. */
const OWN_AUDIENCES: ReadonlySet<string> = new Set(["postrider-ingest", "postrider-api"]);

/** Why no token may be made for this audience. `at` is where `auth` stands. */
export function audienceProblem(auth: AuthSpec | undefined, at: string): Problem | undefined {
  if (auth?.kind !== "serviceAccount") return undefined;
  const { audience } = auth;
  if (!OWN_AUDIENCES.has(audience) && !CLUSTER_AUDIENCES.test(audience)) return undefined;
  const whose = OWN_AUDIENCES.has(audience) ? "Postrider's own" : "the API server's";
  const message = `the audience ${audience} is ${whose}: with such a token the receiver could act in this cluster; set the receiver's own audience`;
  return { field: `${at}.serviceAccountToken.audience`, reason: "InvalidEndpoint", message };
}

function resolveServiceAccount(
  { serviceAccountName, audience, expirationSeconds }: Extract<AuthSpec, { kind: "serviceAccount" }>,
  at: string,
  { namespace, named }: References,
): Resolved<Pick<Target, "authorization" | "credential">> {
  const field = `${at}.serviceAccountToken.serviceAccountName`;
  const account = named.object("ServiceAccount", serviceAccountName, field);
  if (isProblem(account)) return { ok: false, problem: account };
  if (account.metadata.labels?.[USE_LABEL] !== "true") {
    const message = `the ServiceAccount ${serviceAccountName} may not be used by subscriptions: allow it with \`kubectl label serviceaccount ${serviceAccountName} ${USE_LABEL}=true -n ${namespace}\``;
    return { ok: false, problem: { field, reason: "RefNotPermitted", message } };
  }
  const credential = { kind: "serviceAccount", namespace, serviceAccountName, audience, expirationSeconds } as const;
  return { ok: true, value: { authorization: undefined, credential } };
}
