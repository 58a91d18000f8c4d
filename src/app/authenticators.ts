import { type ApiAuthenticator, apiOpenToAll, ApiTokenAuthenticator } from "../admin/authenticator.ts";
import type { AuthMode, Config } from "../config/config.ts";
import { API_TOKEN_LABEL, INGEST_TOKEN_LABEL, type Resources, type ResultSink } from "../controller/objects.ts";
import { type Authenticator, ingestOpenToAll, IngestTokenAuthenticator } from "../ingest/authenticator.ts";
import type { Reviews } from "../kube/reviews.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import { reviewedScrapes, type ScrapeAccess } from "../observe/scrape-access.ts";
import { HookSettingsBook } from "./hook-settings-book.ts";
import { SecretTokens } from "./secret-tokens.ts";

/**
 * What a ServiceAccount's token must be made for, by port: a token for one is none for the other, nor for the API server. But whoever scrapes has a
 * token for the API server, and sends it to everything that is scraped.
 */
const AUDIENCES = { ingest: "postrider-ingest", api: "postrider-api", metrics: undefined } as const;
type Port = keyof typeof AUDIENCES;

/** Who may use which port. */
export interface Authenticators {
  readonly ingest: Authenticator;
  readonly api: ApiAuthenticator;
  /** Undefined = everybody may read metrics. */
  readonly metrics: ScrapeAccess | undefined;
  /** Leaves no connection to the API server behind. */
  close(): Promise<void>;
}

export interface AuthenticatorParts {
  readonly provider: Resources & ResultSink;
  readonly clock: Clock;
  readonly log: Log;
}

/** Puts together what `--ingest-auth`, `--api-auth` and `--metrics-auth` name. Rejects when reviews are wanted and no cluster is to be found. */
export async function buildAuthenticators(config: Config, parts: AuthenticatorParts): Promise<Authenticators> {
  const { provider } = parts;
  const { reviews, close } = await reviewsOf(config, parts);
  const ingestModes = config["ingest-auth"];
  const apiModes = config["api-auth"];
  const scrapes = reviews.get("metrics");
  const tokens = (modes: readonly AuthMode[], label: string, hooks?: HookSettingsBook): { readonly tokens?: SecretTokens } =>
    modes.includes("static") ? { tokens: new SecretTokens(provider, label, hooks) } : {};
  return {
    ingest: ingestModes.includes("none")
      ? ingestOpenToAll
      : new IngestTokenAuthenticator({
          ...tokens(ingestModes, INGEST_TOKEN_LABEL, new HookSettingsBook(provider)),
          ...reviewer(reviews.get("ingest")),
        }),
    api: apiModes.includes("none")
      ? apiOpenToAll
      : new ApiTokenAuthenticator({ ...tokens(apiModes, API_TOKEN_LABEL), ...reviewer(reviews.get("api")) }),
    metrics: scrapes === undefined ? undefined : reviewedScrapes(scrapes),
    close,
  };
}

/** Labels of the Secrets that hold static tokens under these settings. */
export function tokenLabels(config: Config): readonly string[] {
  return [
    ...(config["ingest-auth"].includes("static") ? [INGEST_TOKEN_LABEL] : []),
    ...(config["api-auth"].includes("static") ? [API_TOKEN_LABEL] : []),
  ];
}

function reviewer(reviews: Reviews | undefined): { readonly reviewer?: Reviews } {
  return reviews === undefined ? {} : { reviewer: reviews };
}

interface ReviewsByPort extends Pick<Authenticators, "close"> {
  readonly reviews: ReadonlyMap<Port, Reviews>;
}

async function reviewsOf(config: Config, { clock, log }: AuthenticatorParts): Promise<ReviewsByPort> {
  const ports = (["ingest", "api", "metrics"] as const).filter((port) => config[`${port}-auth`].includes("kubernetes"));
  if (ports.length === 0) return { reviews: new Map(), close: async () => undefined };
  // Loaded here only: the Kubernetes client alone holds more memory than everything else.
  const [{ kubernetesCredentials }, { KubeTransport }, { Reviews }, { TokenKeys }] = await Promise.all([
    import("../kube/credentials.ts"),
    import("../kube/transport.ts"),
    import("../kube/reviews.ts"),
    import("../kube/token-keys.ts"),
  ]);
  // Of their own: whoever sends many unknown tokens must not hold up watches and status.
  const transport = new KubeTransport(kubernetesCredentials(config.kubeconfig), clock);
  const keys = new TokenKeys({
    transport,
    clock,
    issuers: config["token-issuer"],
    onTrouble: (message) => {
      if (message === undefined) log.info({ event: "token.keys.read" }, "token signatures are checked again");
      else
        log.warn(
          { event: "token.keys.unread", message },
          "token keys cannot be read: the last keys stay in force; without any, the API server reviews every token",
        );
    },
  });
  const onTrouble =
    (port: Port) =>
    (message: string | undefined): void => {
      if (message === undefined) log.info({ event: "reviews.available", port }, "tokens can be reviewed again");
      else log.warn({ event: "reviews.unavailable", port, message }, "tokens cannot be reviewed: unknown tokens get 503");
    };
  const reviews = new Map(
    ports.map((port) => [port, new Reviews({ transport, clock, audience: AUDIENCES[port], keys, onTrouble: onTrouble(port) })] as const),
  );
  return { reviews, close: () => transport.close() };
}
