import { Acceptance, type AcceptanceParts } from "./acceptance.ts";
import type { Authenticator } from "./authenticator.ts";
import { IngestServer, type IngestServerOptions } from "./ingest-server.ts";
import { RateGate } from "./rate-gate.ts";
import { Reception } from "./reception.ts";

export interface IngestParts extends AcceptanceParts, Omit<IngestServerOptions, "reception"> {
  readonly authenticator: Authenticator;
  /** Events per second and namespace; 0 = no limit. */
  readonly rateLimitPerSecond: number;
  readonly tokenInQuery: boolean;
  /** See DiskWatch. */
  readonly diskLow: () => boolean;
}

/** Puts the ingest together. @throws IngestConfigError for `none` on an address that others can reach */
export function buildIngest(parts: IngestParts): IngestServer {
  const acceptance = new Acceptance(parts);
  const rate = new RateGate(parts.rateLimitPerSecond);
  const reception = new Reception({ ...parts, acceptance, rate });
  return new IngestServer({ ...parts, reception });
}
