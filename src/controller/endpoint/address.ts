import { judgeService, judgeUnselected, judgeUrl } from "../../core/egress/url-rules.ts";
import type { EffectivePolicy } from "../../core/policy-resolution.ts";
import type { Problem } from "../../core/problem.ts";
import type { EndpointSpec, ServiceRef, Target } from "../../core/subscription.ts";
import type { Resolved } from "./auth.ts";
import { isProblem } from "./named-refs.ts";
import type { ServiceObject } from "../objects.ts";
import type { References } from "./references.ts";

/** Where an endpoint's requests go. */
export type Place = Pick<Target, "url" | "urlIsSecret" | "dial">;

/** The place that an endpoint names, judged. A URL that stands in the spec is judged too: a cluster policy may have been tightened since. */
export function resolveAddress(
  { address }: EndpointSpec,
  at: string,
  refs: References,
  { egress, limits }: Pick<EffectivePolicy, "egress" | "limits">,
): Resolved<Place> {
  if (address.kind === "serviceRef") return resolveService(address, `${at}.serviceRef`, refs, egress);
  const field = address.kind === "url" ? `${at}.url` : `${at}.urlSecretRef`;
  const url = address.kind === "url" ? address.url : refs.secrets.text(address.ref, field);
  if (typeof url !== "string") return { ok: false, problem: url };
  const problem = judgeUrl(url, egress, limits);
  if (problem !== undefined) return { ok: false, problem: { ...problem, field } };
  return { ok: true, value: address.kind === "url" ? { url } : { url, urlIsSecret: true } };
}

/** The ClusterIP of the API object is dialled, never a name's answer: nobody but the API server says where a Service is. */
function resolveService(ref: ServiceRef, field: string, refs: References, egress: EffectivePolicy["egress"]): Resolved<Place> {
  const service = refs.named.object("Service", ref.name, field);
  if (isProblem(service)) return { ok: false, problem: service };
  const problem = serviceProblem(service, ref, field);
  if (problem !== undefined) return { ok: false, problem };
  const dial = { address: service.clusterIp, port: ref.port };
  const refused = judgeService(ref.port, egress, service.clusterIp) ?? (service.hasSelector ? undefined : judgeUnselected(egress));
  if (refused !== undefined) {
    return { ok: false, problem: { field, reason: "EgressDenied", message: `the Service ${ref.name}: ${refused}` } };
  }
  return { ok: true, value: { url: serviceUrl(ref, refs.namespace), dial } };
}

function serviceProblem({ type, clusterIp, ports }: ServiceObject, ref: ServiceRef, field: string): Problem | undefined {
  const name = `the Service ${ref.name}`;
  if (type === "ExternalName") {
    const message = `${name} is of type ExternalName, which could name any host: use endpoint.url, or a Service with a ClusterIP`;
    return { field: `${field}.name`, reason: "ServiceNotDiallable", message };
  }
  if (clusterIp === "" || clusterIp === "None") {
    const message = `${name} is headless (no ClusterIP), so there is no one address to dial: name a Service with a ClusterIP`;
    return { field: `${field}.name`, reason: "ServiceNotDiallable", message };
  }
  const tcp = ports.filter(({ protocol }) => protocol === "TCP").map(({ port }) => port);
  if (tcp.includes(ref.port)) return undefined;
  const has = tcp.length === 0 ? "it has none" : `it has ${tcp.join(", ")}`;
  const message = `${name} has no TCP port ${ref.port} (${has}): correct ${field}.port`;
  return { field: `${field}.port`, reason: "ServicePortNotFound", message };
}

/** Host header and TLS server name are the Service's DNS name, whatever address is dialled. */
export function serviceUrl({ name, port, path, scheme }: ServiceRef, namespace: string): string {
  const usual = scheme === "https" ? 443 : 80;
  return `${scheme}://${name}.${namespace}.svc${port === usual ? "" : `:${port}`}${path}`;
}
