import type { Outcome } from "../../core/outcome.ts";
import type { Credential } from "../../core/subscription.ts";
import { REDACTED, redactText } from "../../observe/redact.ts";
import type { TokenAnswer, TokenFailure, TokenIssuer, TokenRequest } from "./token-issuer.ts";
import type { SideRequests } from "../http/side-request.ts";

type ClientCredentials = Extract<Credential, { kind: "oauth2" }>;

/** Most bytes of a token endpoint's answer. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Longest token: it has to fit into a receiver's request head. */
const TOKEN_CHARS_MAX = 12 * 1024;
/** Where the answer does not say how long a token lives (RFC 6749, 5.1: `expires_in` is only recommended). */
const LIFE_DEFAULT_MS = 5 * 60_000;
/** What an authorization server said, for people. */
const SAID_CHARS_MAX = 120;
/** A shorter client id is a word, not a secret. */
const ID_CHARS_MIN = 8;

/**
 * The client credentials grant (RFC 6749, 4.4) with `client_secret_basic`: id and secret form-encoded first (2.3.1), scopes joined by spaces,
 * `audience` as many servers take it. Redirects are failures: they would carry the secret elsewhere.
 */
export class TokenEndpoint implements TokenIssuer {
  readonly #requests: SideRequests;
  readonly #userAgent: string;

  constructor(requests: SideRequests, userAgent: string) {
    this.#requests = requests;
    this.#userAgent = userAgent;
  }

  async issue(request: TokenRequest): Promise<TokenAnswer> {
    const { credential } = request;
    if (credential.kind !== "oauth2") return failure("client_error", "TOKEN_INVALID", "not an OAuth 2.0 credential");
    const host = hostOf(credential.tokenUrl);
    const outcome = await this.#requests.send({
      pool: `token ${request.namespace} ${host}`,
      method: "POST",
      url: credential.tokenUrl,
      headers: [
        ["user-agent", this.#userAgent],
        ["accept", "application/json"],
        ["content-type", "application/x-www-form-urlencoded"],
        ["authorization", clientSecretBasic(credential)],
      ].flat(),
      body: Buffer.from(grantForm(credential), "latin1"),
      egress: request.egress,
      via: request.proxy === undefined ? undefined : { proxy: request.proxy },
      connectLimitMs: request.connectLimitMs,
      timeoutMs: request.timeoutMs,
      answerBytesMax: ANSWER_BYTES_MAX,
    });
    return outcome.class === "success" ? readToken(outcome, host) : refusal(outcome, credential, host);
  }
}

/** `Basic` over the form-encoded id and secret (RFC 6749, 2.3.1). */
export function clientSecretBasic({ clientId, clientSecret }: Pick<ClientCredentials, "clientId" | "clientSecret">): string {
  return `Basic ${Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`, "latin1").toString("base64")}`;
}

/** The request's form (RFC 6749, 4.4.2). */
export function grantForm({ scopes, audience }: Pick<ClientCredentials, "scopes" | "audience">): string {
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  if (scopes.length > 0) form.set("scope", scopes.join(" "));
  if (audience !== undefined) form.set("audience", audience);
  return form.toString();
}

function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}

/** What the answer of a token endpoint holds (RFC 6749, 5.1). */
function readToken(outcome: Outcome, host: string): TokenAnswer {
  const invalid = (what: string): TokenFailure => failure("client_error", "TOKEN_INVALID", `no token from ${host}: ${what}`);
  if (outcome.responseBody.length >= ANSWER_BYTES_MAX) return invalid(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
  const answer = jsonObject(outcome.responseBody);
  if (answer === undefined) return invalid("its answer is not a JSON object");
  const { access_token: token, token_type: type, expires_in: seconds } = answer;
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) return invalid("its answer has no usable access_token");
  if (token.length > TOKEN_CHARS_MAX) return invalid(`its access_token is longer than ${TOKEN_CHARS_MAX} characters`);
  if (typeof type === "string" && type.toLowerCase() !== "bearer")
    return invalid(`its token_type is ${redactText(type, 32)}; only Bearer is supported`);
  const life = Number(seconds) * 1_000;
  return { ok: true, token, lifeMs: seconds !== undefined && Number.isFinite(life) && life > 0 ? life : LIFE_DEFAULT_MS };
}

/** Says which host gave no token and what it said; what it echoes of the credential is hidden. */
function refusal(outcome: Outcome, credential: ClientCredentials, host: string): TokenFailure {
  const { retryAfterMs } = outcome;
  const outcomeClass = outcome.class === "success" ? "client_error" : outcome.class;
  if (outcome.statusCode === undefined) {
    return { ...failure(outcomeClass, outcome.connectionStatus, `no token from ${host}: ${outcome.message}`), retryAfterMs };
  }
  const { error, error_description: description } = jsonObject(outcome.responseBody) ?? {};
  const said = [error, description].filter((part) => typeof part === "string" && part !== "").join(": ");
  const shown = said === "" ? "" : `, ${redactText(withoutSecrets(said, credential), SAID_CHARS_MAX)}`;
  return { ...failure(outcomeClass, "TOKEN_REFUSED", `no token from ${host}: ${outcome.message}${shown}`), retryAfterMs };
}

function withoutSecrets(text: string, { clientId, clientSecret }: ClientCredentials): string {
  let shown = text;
  const secrets = [clientSecretBasic({ clientId, clientSecret }).slice("Basic ".length), formEncoded(clientSecret), clientSecret];
  if (clientId.length >= ID_CHARS_MIN) secrets.push(clientId);
  for (const secret of secrets) if (secret !== "") shown = shown.replaceAll(secret, REDACTED);
  return shown;
}

function jsonObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "the token endpoint";
}

function failure(outcomeClass: TokenFailure["class"], code: string, message: string): TokenFailure {
  return { ok: false, class: outcomeClass, code, message };
}
