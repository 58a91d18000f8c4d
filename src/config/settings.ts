import { z } from "zod";
import { parseDuration } from "../lib/duration.ts";
import type { ListenAddress } from "../lib/listen.ts";
import { didYouMean } from "../lib/nearest-name.ts";

const LISTEN = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]*)):(\d{1,5})$/;

/** `host:port`. */
const listen = z.string().transform((text, context): ListenAddress => {
  const match = LISTEN.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    context.addIssue(`'${text}' is not host:port; write for example 127.0.0.1:8080, 0.0.0.0:0 or [::1]:8080`);
    return z.NEVER;
  }
  return { host: match[1] ?? match[2] ?? "", port };
});

/** GEP-2257 durations, as in the resources: `1h30m`, `500ms`. Gives milliseconds. */
const duration = z.string().transform((text, context): number => {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  context.addIssue(`'${text}' is not a duration; write for example 500ms, 30s, 5m or 1h30m`);
  return z.NEVER;
});

const bytes = z.string().transform((text, context): number => {
  const match = /^(\d{1,9})(Ki|Mi|Gi)?$/.exec(text);
  if (match === null) {
    context.addIssue(`'${text}' is not a size; write for example 64Mi`);
    return z.NEVER;
  }
  const factor = { Ki: 1_024, Mi: 1_048_576, Gi: 1_073_741_824 }[match[2] ?? ""] ?? 1;
  return Number(match[1]) * factor;
});

const storeAddress = z.string().transform((text, context) => {
  if (text === "memory:") return { kind: "memory" as const };
  const sqlite = /^sqlite:(.+)$/.exec(text);
  if (sqlite?.[1] !== undefined) return { kind: "sqlite" as const, directory: sqlite[1] };
  context.addIssue(
    /^postgres(ql)?:/.test(text)
      ? "the PostgreSQL store is not built yet; use sqlite:DIR"
      : `'${text}' is not a store; write sqlite:DIR (durable) or memory: (lost at exit)`,
  );
  return z.NEVER;
});

function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** One of some words; a misspelt one is told which was probably meant. */
function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, {
    error: ({ input }) =>
      `'${String(input).slice(0, 64)}' is not supported; write ${listed(words)}${didYouMean(String(input), words).replace(",", ";")}`,
  });
}

/** A whole number within bounds. */
function whole(min: number, max: number) {
  return z.coerce.number({ error: "expected a whole number" }).refine((value) => Number.isInteger(value) && value >= min && value <= max, {
    error: `expected a whole number from ${min} to ${max}`,
  });
}

const shortName = z.string().refine((text) => text.length >= 1 && text.length <= 63, { error: "expected a name of 1 to 63 characters" });

/** As `spec.className` is written, and namespaces. */
const label = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "expected a name of 1 to 63 lower-case letters, digits and hyphens");

const authMode = oneOf(["kubernetes", "static", "none"]);
const AUTH_MODES =
  "kubernetes (tokens of ServiceAccounts; default with the cluster), static (labelled Secrets; default with files), none (loopback only); repeatable";

/** Every setting of `run`, by flag. The description is the help text; the same schema reads flags, environment and file. */
export const SETTINGS = {
  provider: oneOf(["cluster", "file"]).default("cluster").describe("where manifests come from: the cluster's API server, or a directory"),
  manifests: z.string().optional().describe("directory of manifests (with --provider file); watched"),
  store: storeAddress.optional().describe("sqlite:DIR (durable) or memory: (lost at exit)"),
  "store-reserve": bytes.prefault("64Mi").describe("space reserved so that results can still be stored when the disk is full"),
  "store-free-min": bytes.prefault("128Mi").describe("below this much free space the ingest answers 507"),
  "store-size-max": bytes.optional().describe("the most that the store uses of its volume; default: the whole volume"),
  "ingest-listen": listen.optional().describe("host:port for events (8080; host 127.0.0.1 with files, 0.0.0.0 with the cluster)"),
  "api-listen": listen.optional().describe("host:port of the read and act API (8081)"),
  "metrics-listen": listen.optional().describe("host:port of /metrics, /livez, /readyz, /startupz (9090)"),
  "ingest-tls-certificate-file": z
    .string()
    .optional()
    .describe("speak HTTPS on the ingest port: PEM file with the server's certificate, then its chain; read again every 10 s"),
  "ingest-tls-key-file": z.string().optional().describe("its private key, as a PEM file without a passphrase"),
  "ingest-tls-client-ca-file": z
    .string()
    .optional()
    .describe("PEM file with authorities: producers must show a certificate that one of them has issued, in addition to their token"),
  "api-tls-certificate-file": z.string().optional().describe("the same for the API's port"),
  "api-tls-key-file": z.string().optional().describe("its private key"),
  "metrics-tls-certificate-file": z.string().optional().describe("the same for the port of /metrics and the probes"),
  "metrics-tls-key-file": z.string().optional().describe("its private key"),
  "ingest-auth": z.array(authMode).optional().describe(`who may publish: ${AUTH_MODES}`),
  "api-auth": z.array(authMode).optional().describe(`who may use the API: ${AUTH_MODES}`),
  "metrics-auth": oneOf(["none", "kubernetes"])
    .default("none")
    .describe("who may read /metrics: everyone, or ServiceAccounts that RBAC allows to get /metrics; probes need no token"),
  "token-issuer": z
    .array(z.string().min(1))
    .default([])
    .describe("a further issuer of ServiceAccounts' tokens that the API server accepts, which publishes only its first; repeatable"),
  "ingest-token-in-query": z
    .stringbool({ error: ({ input }) => `'${String(input)}' is neither true nor false` })
    .prefault("false")
    .describe("also accept ?token=…; it is cut before anything is logged"),
  "ingest-rate-limit": whole(0, 1_000_000)
    .default(0)
    .describe("deliveries per second and namespace; an event without a subscription counts as one; 0 = no limit"),
  "ingest-deliveries-max": whole(1, 100_000)
    .default(10_000)
    .describe("most deliveries that one request may create; more are refused with 413"),
  "idempotency-ttl": duration.prefault("24h").describe("how long idempotency keys are remembered"),
  "max-in-flight": whole(1, 65_536).default(2_048).describe("HTTP attempts at once; one namespace may hold half"),
  class: label.default("postrider").describe("serve only subscriptions with this spec.className; one installation per class"),
  installation: z
    .string()
    .regex(/^[a-z0-9][-a-z0-9]{0,62}\/[a-z0-9][-a-z0-9.]{0,252}$/, "expected namespace/name, for example postrider-system/postrider")
    .optional()
    .describe("namespace/name of this installation, the same after each restart (the chart sets it; default: with the host's name)"),
  "class-lease-namespace": label
    .default("kube-system")
    .describe("namespace of the Lease that one installation of a class holds; the same for all installations of the cluster"),
  "system-namespace": shortName.default("postrider-system").describe("namespace of Secrets named by cluster policies"),
  namespace: z.array(shortName).default([]).describe("serve only this namespace; repeatable"),
  kubeconfig: z.string().optional().describe("kubeconfig file (default: in-cluster credentials, then the usual places)"),
  "secrets-binding-hint": z
    .string()
    .default(
      "kubectl -n {namespace} create rolebinding postrider-secrets --clusterrole=postrider-secrets --serviceaccount=postrider-system:postrider",
    )
    .describe(
      "the command shown where Postrider lacks permission to read a namespace's Secrets; {namespace} is replaced (the chart sets it)",
    ),
  "tokens-binding-hint": z
    .string()
    .default(
      "kubectl -n {namespace} create rolebinding postrider-tokens --clusterrole=postrider-tokens --serviceaccount=postrider-system:postrider",
    )
    .describe(
      "the command shown where Postrider lacks permission to create tokens of a namespace's ServiceAccounts; {namespace} is replaced (the chart sets it)",
    ),
  "drain-timeout": duration.prefault("25s").describe("how long attempts in flight may take to finish after SIGTERM"),
  "webhook-origin": z
    .string()
    .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, "expected a DNS name, for example hooks.example.com")
    .default("postrider")
    .describe("the name under which receivers are asked for permission to send (WebHook-Request-Origin)"),
  "dns-server": z.array(z.string()).default([]).describe("ask this resolver (ip or ip:port) for receivers' names; repeatable"),
  "per-subscription-metrics": oneOf(["full", "counters", "off"]).default("full").describe("which metrics are shown per subscription"),
  "log-success-one-in": whole(1, 1_000_000)
    .default(1)
    .describe("log one in N attempts that succeed, with N as the field sampled of the line; failures are always logged"),
  "log-level": oneOf(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info").describe("lowest level logged"),
} as const;

export type SettingName = keyof typeof SETTINGS;

/** Settings that may be given several times, or comma-separated in the environment. */
export const LIST_SETTINGS: ReadonlySet<SettingName> = new Set(["ingest-auth", "api-auth", "token-issuer", "namespace", "dns-server"]);

/** Settings that need no value on the command line: the flag alone says yes. */
export const SWITCH_SETTINGS: ReadonlySet<SettingName> = new Set(["ingest-token-in-query"]);

export type Settings = { readonly [K in SettingName]: z.output<(typeof SETTINGS)[K]> };
