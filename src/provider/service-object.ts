import type { ObjectMeta } from "../api/generated/custom-resources.ts";
import type { ServiceObject } from "../controller/objects.ts";

/** What is read of a Service's spec, as it stands in a manifest or comes from the API server. */
export interface RawServiceSpec {
  readonly type?: string;
  readonly clusterIP?: string;
  readonly selector?: Readonly<Record<string, string>> | null;
  readonly ports?: readonly { readonly port: number; readonly protocol?: string }[];
}

/** A Service with Kubernetes' defaults filled in. */
export function serviceObject(metadata: ObjectMeta, spec: RawServiceSpec): ServiceObject {
  const { type = "ClusterIP", clusterIP = "", selector, ports = [] } = spec;
  return {
    kind: "Service",
    metadata,
    type,
    clusterIp: clusterIP,
    // An empty one is none: Kubernetes makes no EndpointSlices for it either.
    hasSelector: Object.keys(selector ?? {}).length > 0,
    ports: ports.map(({ port, protocol = "TCP" }) => ({ port, protocol })),
  };
}
