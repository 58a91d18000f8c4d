import type { Clock } from "../lib/clock.ts";
import { tokenClaims } from "./token-claims.ts";
import { statusMessage, type ApiAnswer, type KubeTransport } from "./transport.ts";

/** A ServiceAccount without this label set to "true" gives no token to anybody's subscription. */
const USE_LABEL = "postrider.dev/use";

export interface AskedToken {
  readonly namespace: string;
  readonly name: string;
  readonly audience: string;
  readonly expirationSeconds: number;
}

export type TokenResult =
  | { readonly ok: true; readonly token: string; readonly lifeMs: number }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface ServiceAccountTokensOptions {
  readonly transport: Pick<KubeTransport, "request">;
  readonly clock: Clock;
  /** The command that lets us make tokens in a namespace; `{namespace}` is replaced. */
  readonly bindingHint: string;
}

/**
 * Tokens of ServiceAccounts by TokenRequest. The label is looked at each time, so that taking it away ends the use with the token in hand.
 * A token that the API server itself would take is never handed out: with it a receiver could act as the ServiceAccount.
 */
export class KubeServiceAccountTokens {
  readonly #options: ServiceAccountTokensOptions;

  constructor(options: ServiceAccountTokensOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async token(asked: AskedToken): Promise<TokenResult> {
    try {
      return await this.#ask(asked);
    } catch (error) {
      return failure(asked, "API_SERVER_AWAY", error instanceof Error ? error.message : String(error));
    }
  }

  async #ask(asked: AskedToken): Promise<TokenResult> {
    const { transport, clock } = this.#options;
    const { namespace, name, audience, expirationSeconds } = asked;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
    const account = await transport.request({ method: "GET", path });
    if (account.status !== 200) return this.#refused(asked, account);
    const { metadata } = account.body as { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> } };
    if (metadata?.labels?.[USE_LABEL] !== "true") {
      return failure(
        asked,
        "TOKEN_REFUSED",
        `it has lost its label: \`kubectl label serviceaccount ${name} ${USE_LABEL}=true -n ${namespace}\``,
      );
    }
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { audiences: [audience], expirationSeconds },
    };
    const answer = await transport.request({ method: "POST", path: `${path}/token`, body });
    if (answer.status !== 201) return this.#refused(asked, answer);
    const granted = answer.body as TokenAnswer;
    const { status } = granted;
    const lifeMs = lifeOf(granted, clock);
    if (typeof status?.token !== "string" || !(lifeMs > 0)) return failure(asked, "TOKEN_INVALID", "the answer contains no live token");
    if (await this.#opensApiServer(status.token)) {
      return failure(asked, "TOKEN_REFUSED", `its audience ${audience} is the API server's own: set the receiver's audience`);
    }
    return { ok: true, token: status.token, lifeMs };
  }

  /** Asks without audiences, which means the API server's own. Who may not ask relies on the well-known names alone. */
  async #opensApiServer(token: string): Promise<boolean> {
    const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } };
    const path = "/apis/authentication.k8s.io/v1/tokenreviews";
    const answer = await this.#options.transport.request({ method: "POST", path, body: review });
    if (answer.status === 403) return false;
    if (answer.status !== 201) throw new Error(`the API server answered a TokenReview with ${answer.status}`);
    return (answer.body as { readonly status?: { readonly authenticated?: boolean } }).status?.authenticated === true;
  }

  #refused(asked: AskedToken, answer: ApiAnswer): TokenResult {
    if (answer.status === 404) return failure(asked, "TOKEN_REFUSED", "the ServiceAccount does not exist");
    if (answer.status === 403) {
      const command = this.#options.bindingHint.replaceAll("{namespace}", asked.namespace);
      return failure(asked, "TOKEN_REFUSED", `Postrider lacks permission to create tokens there; allow it with: ${command}`);
    }
    // Overloaded or in trouble, it has refused nothing.
    const code = answer.status >= 500 || answer.status === 429 ? "API_SERVER_AWAY" : "TOKEN_REFUSED";
    return failure(asked, code, `the API server answered ${answer.status}: ${statusMessage(answer)}`);
  }
}

/**
 * How long the token lives, ms: from one end of its life to the other by the API server's own clock, whatever ours says. For a token that does not
 * tell, the length that was granted, or at last what our clock makes of its end.
 */
function lifeOf({ spec, status }: TokenAnswer, clock: Clock): number {
  const { issuedAtMs, expiresAtMs } = tokenClaims(status?.token ?? "") ?? {};
  if (issuedAtMs !== undefined && expiresAtMs !== undefined) return expiresAtMs - issuedAtMs;
  if (spec?.expirationSeconds !== undefined) return spec.expirationSeconds * 1_000;
  return Date.parse(status?.expirationTimestamp ?? "") - clock.trueMs();
}

interface TokenAnswer {
  readonly spec?: { readonly expirationSeconds?: number };
  readonly status?: { readonly token?: string; readonly expirationTimestamp?: string };
}

function failure({ namespace, name }: AskedToken, code: string, why: string): TokenResult {
  return { ok: false, code, message: `no token of ServiceAccount ${namespace}/${name}: ${why}` };
}
