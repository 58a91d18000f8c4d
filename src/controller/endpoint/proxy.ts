import type { EgressPolicy } from "../../core/policy.ts";
import type { Problem } from "../../core/problem.ts";
import type { Target } from "../../core/subscription.ts";
import { controlFault } from "./auth.ts";
import type { Resolved } from "./auth.ts";
import type { References } from "./references.ts";

const FIELD = "spec.egress.proxySecretRef";

/**
 * The proxy that the cluster policy prescribes. Its address is not judged: the cluster's administrator has named it. Without its Secret
 * deliveries wait; they never go round the proxy.
 */
export function resolveProxy({ proxySecretRef }: EgressPolicy, refs: References): Resolved<Target["proxy"]> {
  if (proxySecretRef === undefined) return { ok: true, value: undefined };
  const text = refs.system.text(proxySecretRef, FIELD);
  if (typeof text !== "string") return { ok: false, problem: ofPolicy(text) };
  const read = proxyOf(text.trim());
  if (typeof read !== "string") return { ok: true, value: read };
  const { name, key } = proxySecretRef;
  return { ok: false, problem: ofPolicy({ field: FIELD, reason: "SecretInvalid", message: `the Secret ${name}, key ${key}: ${read}` }) };
}

function ofPolicy(problem: Problem): Problem {
  return { ...problem, message: `the cluster policy's egress proxy: ${problem.message}` };
}

/** Credentials are taken out of the URL, so that it may be shown. */
function proxyOf(text: string): NonNullable<Target["proxy"]> | string {
  const usage = "it must be a URL like http://proxy.example:3128 or https://user:password@proxy.example:3128";
  // The parser would take line breaks and tabs out and encode the rest.
  if (!/^[!-~]+$/.test(text)) return `${usage}, percent-encoded and without line breaks or spaces`;
  if (!URL.canParse(text)) return usage;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") return `${usage}; ${url.protocol}// is not supported`;
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") return `${usage}, without a path`;
  const user = decoded(url.username);
  const password = decoded(url.password);
  if (user === undefined || password === undefined) return "its user or password is not percent-encoded correctly";
  if (user.includes(":")) return "its user name contains a colon, which HTTP Basic cannot carry (RFC 7617)";
  const fault = controlFault("user name", user) ?? controlFault("password", password);
  if (fault !== undefined) return fault;
  const authorization =
    user === "" && password === "" ? undefined : `Basic ${Buffer.from(`${user}:${password}`, "utf8").toString("base64")}`;
  return { url: url.origin, authorization };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
