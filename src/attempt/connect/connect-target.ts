import type { SecureContext } from "node:tls";
import type { EgressPolicy } from "../../core/policy.ts";
import type { Target } from "../../core/subscription.ts";

/** Where one connection is to lead, and how. */
export interface ConnectTarget {
  /** `URL.hostname`: brackets around IPv6. */
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
  /** Asked for and checked instead of the host. */
  readonly serverName: string | undefined;
  readonly secureContext: SecureContext;
  /** Dialled instead of the host: a Service's ClusterIP, as the API server told it. */
  readonly dial: Target["dial"];
  readonly proxy: Target["proxy"];
  readonly egress: EgressPolicy;
  /** DNS, TCP, proxy and TLS together. */
  readonly limitMs: number;
}

/** A proxy whose addresses are known. */
export interface ProxyAddresses {
  /** Brackets around IPv6. */
  readonly hostname: string;
  /** At least one. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly tls: boolean;
  readonly secureContext: SecureContext;
  readonly authorization: string | undefined;
}
