import { NamedReader } from "../../../src/controller/endpoint/named-refs.ts";
import type { NamedLookup, SecretLookup, ServiceObject } from "../../../src/controller/objects.ts";
import type { References } from "../../../src/controller/endpoint/references.ts";
import { SecretReader } from "../../../src/controller/endpoint/secret-refs.ts";
import { resolveTarget } from "../../../src/controller/endpoint/target.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS } from "../../../src/core/policy.ts";
import type { EgressPolicy } from "../../../src/core/policy.ts";
import type { EndpointSpec, SubscriptionSpec } from "../../../src/core/subscription.ts";
import { aRoute } from "../delivery/attempt-input.ts";
import { makeCertificates } from "../delivery/certificates.ts";

export const certificates = makeCertificates();

export const SERVICE = {
  kind: "serviceRef",
  name: "receiver",
  port: 8_080,
  path: "/in?a=b",
  scheme: "http",
} as const satisfies EndpointSpec["address"];
export const URL_ADDRESS: EndpointSpec["address"] = { kind: "url", url: "https://example.com/x" };

export function specOf(endpoint: Partial<EndpointSpec>, rest: Partial<SubscriptionSpec> = {}): SubscriptionSpec {
  const { spec } = aRoute({ url: "https://example.com/" }).subscription;
  const signing = { ...spec.signing, scheme: "None" as const };
  return { ...spec, signing, endpoint: { address: URL_ADDRESS, headers: [], auth: undefined, ...endpoint }, ...rest };
}

export function service(change: Partial<Omit<ServiceObject, "kind" | "metadata">> = {}): NamedLookup {
  const given = { type: "ClusterIP", clusterIp: "10.96.0.7", hasSelector: true, ports: [{ port: 8_080, protocol: "TCP" }] };
  return { state: "found", object: { kind: "Service", metadata: { name: "receiver" }, ...given, ...change } };
}

export function configMap(data: Record<string, string>): NamedLookup {
  return { state: "found", object: { kind: "ConfigMap", metadata: { name: "ca" }, data } };
}

export function secret(data: Record<string, string>, type = "Opaque"): SecretLookup {
  const bytes = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value)]));
  return { state: "usable", secret: { kind: "Secret", metadata: { name: "s" }, type, data: bytes, controllerUid: undefined } };
}

export interface Given {
  readonly named?: Readonly<Record<string, NamedLookup>>;
  readonly secrets?: Readonly<Record<string, SecretLookup>>;
  readonly system?: Readonly<Record<string, SecretLookup>>;
  readonly egress?: Partial<EgressPolicy>;
}

export function resolve(spec: SubscriptionSpec, { named = {}, secrets = {}, system = {}, egress = {} }: Given) {
  const refs: References = {
    namespace: "shop",
    secrets: new SecretReader("shop", new Map(Object.entries(secrets))),
    named: new NamedReader("shop", new Map(Object.entries(named))),
    system: new SecretReader("postrider-system", new Map(Object.entries(system))),
  };
  return resolveTarget(spec, [], refs, { egress: { ...BUILT_IN_EGRESS, ...egress }, limits: BUILT_IN_LIMITS });
}
