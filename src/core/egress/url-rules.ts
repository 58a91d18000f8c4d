import { ADDRESS_RULES, judgeAddress, judgeServiceAddress } from "./address-rules.ts";
import type { AddressRules } from "./address-rules.ts";
import type { EgressPolicy, PolicyLimits, PortRange } from "../policy.ts";
import type { Problem } from "../problem.ts";
import type { ReasonOf } from "../reasons.ts";

/** What the rules look at: the URL as written, taken apart without repairing anything, and what the platform's parser makes of it. */
export interface UrlParts {
  readonly raw: string;
  readonly scheme: string;
  readonly authority: string;
  /** As written, user info and port off, lower case, brackets on. */
  readonly host: string;
  /** As written; undefined = the scheme's. */
  readonly portText: string | undefined;
  readonly port: number;
  /** Undefined when the WHATWG parser refuses it. */
  readonly parsed: URL | undefined;
}

export interface UrlRule {
  readonly name: string;
  /** What is wrong and what to do, or undefined. Rules run in order; each may rely on those before it. */
  readonly judge: (parts: UrlParts, egress: EgressPolicy, limits: PolicyLimits) => string | undefined;
}

/** All rules of the guard as data, so that a test can take out each and see that it was needed. */
export interface EgressRules {
  readonly url: readonly UrlRule[];
  readonly address: AddressRules;
}

/** Ports allowed where the cluster policy lists none: web ports and the unprivileged ones, without the usual internal services. */
const BUILT_IN_PORTS: readonly PortRange[] = [
  { from: 80, to: 80 },
  { from: 443, to: 443 },
  { from: 1_024, to: 65_535 },
];
const BUILT_IN_PORTS_EXCEPT: ReadonlySet<number> = new Set([2379, 2380, 3306, 5432, 6379, 6443, 9200, 10250, 11211, 27017]);

const INTERNAL_SUFFIXES: readonly string[] = [".svc", ".local", ".internal", ".localhost"];
const METADATA_HOSTS: ReadonlySet<string> = new Set(["metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"]);
/** With underscores, which no host name has by RFC 1123, but names in the DNS (RFC 2181 11), in containers' networks and under wildcard certificates. */
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const HOST_CHARS_MAX = 253;

/** URL rules, in order. Names are stable: tests and docs use them. */
const URL_RULES: readonly UrlRule[] = [
  {
    name: "length",
    judge: ({ raw }, _egress, limits) =>
      raw.length > limits.urlLength ? `the URL is ${raw.length} characters long, more than the ${limits.urlLength} allowed` : undefined,
  },
  {
    name: "characters",
    judge: ({ raw }) =>
      /[^\x21-\x7e]/.test(raw)
        ? "the URL contains spaces, control characters or characters outside ASCII: percent-encode them (host names as xn--…)"
        : undefined,
  },
  {
    name: "scheme",
    judge: ({ scheme }) =>
      scheme === "https" || scheme === "http"
        ? undefined
        : "the URL must start with https:// (or http:// where the cluster policy allows it)",
  },
  {
    name: "shape",
    judge: ({ raw, authority }) =>
      raw.includes("\\") || authority === ""
        ? "the URL is not of the form https://host/path: write two slashes, a host, and no backslash"
        : undefined,
  },
  { name: "fragment", judge: ({ raw }) => (raw.includes("#") ? "the URL has a fragment (#…), which is never sent: remove it" : undefined) },
  {
    name: "userinfo",
    judge: ({ authority }) =>
      authority.includes("@") ? "the URL contains credentials (user@host): use endpoint.auth with a Secret" : undefined,
  },
  {
    name: "plain-http",
    judge: ({ scheme }, egress) =>
      scheme === "http" && !egress.allowPlainHttp
        ? "plain http is not allowed: use https, or a ClusterDeliveryPolicy with egress.allowPlainHTTP"
        : undefined,
  },
  {
    name: "port-syntax",
    judge: ({ portText, port }) =>
      portText !== undefined && !(/^[1-9]\d{0,4}$/.test(portText) && port <= 65_535)
        ? `the port ':${portText}' is not a number from 1 to 65535`
        : undefined,
  },
  { name: "parse", judge: ({ parsed }) => (parsed === undefined ? "the URL is not valid: its host cannot be read" : undefined) },
  {
    name: "repaired",
    judge: ({ host, parsed }) =>
      parsed !== undefined && !isIpv6(host) && parsed.hostname !== host
        ? `the host '${host}' would be read as '${parsed.hostname}': write it so`
        : undefined,
  },
  {
    name: "host-syntax",
    judge: ({ host }) =>
      isIpv6(host) || isHostName(host)
        ? undefined
        : `'${host}' is not a valid host name${host.endsWith(".") ? ": write it without the dot at the end" : ""}`,
  },
  {
    name: "metadata-host",
    judge: ({ host }) => (METADATA_HOSTS.has(host) ? `'${host}' is a cloud metadata service, which no policy can allow` : undefined),
  },
  {
    name: "allowed-hosts",
    judge: ({ host }, egress) =>
      egress.allowedHosts.length > 0 && !listsHost(egress, host)
        ? `the host '${host}' is not in the cluster policy's egress.allowedHosts`
        : undefined,
  },
  {
    name: "single-label",
    judge: ({ host }, egress) =>
      isIpv6(host) || host.includes(".") || listsHost(egress, host)
        ? undefined
        : `'${host}' is a name inside the cluster or host: use a public name, or have the cluster policy's egress.allowedHosts list it`,
  },
  {
    name: "internal-suffix",
    judge: ({ host }, egress) => {
      const suffix = INTERNAL_SUFFIXES.find((suffix) => host.endsWith(suffix));
      return suffix === undefined || listsHost(egress, host)
        ? undefined
        : `names under '${suffix}' are internal: use endpoint.serviceRef, or have '${host}' listed in the cluster policy's egress.allowedHosts`;
    },
  },
  { name: "port", judge: ({ port }, egress) => judgePort(port, egress) },
];

export const EGRESS_RULES: EgressRules = { url: URL_RULES, address: ADDRESS_RULES };

/** Rules whose breach is a malformed URL rather than a forbidden destination. */
const SYNTAX_RULES: ReadonlySet<string> = new Set([
  "length",
  "characters",
  "scheme",
  "shape",
  "fragment",
  "userinfo",
  "port-syntax",
  "parse",
  "repaired",
  "host-syntax",
]);

/**
 * Why this URL may not be delivered to under this egress policy, or undefined. The same judgement serves the controller, `validate`
 * and the connect; the message never holds the URL's query or credentials. `field` is `spec.endpoint.url`.
 */
export function judgeUrl(url: string, egress: EgressPolicy, limits: PolicyLimits, rules: EgressRules = EGRESS_RULES): Problem | undefined {
  const parts = takeApart(url);
  for (const rule of rules.url) {
    const message = rule.judge(parts, egress, limits);
    if (message !== undefined) return problem(SYNTAX_RULES.has(rule.name) ? "InvalidEndpoint" : "EgressDenied", message);
  }
  const literal = literalAddress(parts.parsed?.hostname ?? "");
  if (literal === undefined) return undefined;
  const refused = judgeAddress(literal, egress, rules.address);
  return refused === undefined ? undefined : problem("EgressDenied", refused);
}

/** Why this port may not be dialled, or undefined. */
function judgePort(port: number, egress: EgressPolicy): string | undefined {
  const listed = (egress.ports ?? BUILT_IN_PORTS).some(({ from, to }) => port >= from && port <= to);
  const excepted = egress.ports === undefined && BUILT_IN_PORTS_EXCEPT.has(port);
  return listed && !excepted
    ? undefined
    : `port ${port} is not allowed${egress.ports === undefined ? "" : " by the cluster policy's egress.ports"}`;
}

/**
 * Why this port of a Service of the subscription's own namespace may not be dialled, or undefined; `address` is its ClusterIP, once it is
 * known. The cluster policy's `services` opens Services, plain http and private addresses included; ports, deniedCIDRs and the metadata
 * services hold as for every other endpoint.
 */
export function judgeService(
  port: number,
  egress: EgressPolicy,
  address?: string,
  rules: AddressRules = EGRESS_RULES.address,
): string | undefined {
  if (egress.services === "None") return "Services are not allowed: the cluster policy's egress.services is None";
  return judgePort(port, egress) ?? (address === undefined ? undefined : judgeServiceAddress(address, egress, rules));
}

/** Why a Service without a selector may not be dialled, or undefined: behind its ClusterIP nobody judges where a connection is led. */
export function judgeUnselected(egress: EgressPolicy): string | undefined {
  if (egress.services === "SameNamespaceAny") return undefined;
  return (
    "it has no spec.selector, so it leads wherever its EndpointSlices point: give it a selector, " +
    "or have egress.services set to SameNamespaceAny in the ClusterDeliveryPolicy"
  );
}

/** The address in a URL's `hostname` (brackets off), or undefined when it is a name. */
export function literalAddress(hostname: string): string | undefined {
  if (isIpv6(hostname)) return hostname.slice(1, -1);
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname) ? hostname : undefined;
}

function problem(reason: ReasonOf<"Accepted">, message: string): Problem {
  return { field: "spec.endpoint.url", reason, message };
}

function takeApart(raw: string): UrlParts {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(raw)?.[1]?.toLowerCase() ?? "";
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#\\]*)/i.exec(raw)?.[1] ?? "";
  const hostPort = authority.slice(authority.lastIndexOf("@") + 1);
  const split = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(hostPort);
  const portText = split?.[2];
  return {
    raw,
    scheme,
    authority,
    host: (split?.[1] ?? hostPort).toLowerCase(),
    portText,
    port: portText === undefined ? (scheme === "http" ? 80 : 443) : Number(portText),
    parsed: URL.canParse(raw) ? new URL(raw) : undefined,
  };
}

function isIpv6(host: string): boolean {
  return host.startsWith("[") && host.endsWith("]");
}

function isHostName(host: string): boolean {
  return host.length <= HOST_CHARS_MAX && host.split(".").every((label) => LABEL.test(label) && label !== "xn--");
}

/** `*.x.y` stands for any depth below x.y, not for x.y itself. */
function listsHost(egress: EgressPolicy, host: string): boolean {
  return egress.allowedHosts.some((pattern) => {
    const wanted = pattern.toLowerCase();
    return wanted.startsWith("*.") ? host.endsWith(wanted.slice(1)) && host.length > wanted.length - 1 : host === wanted;
  });
}
