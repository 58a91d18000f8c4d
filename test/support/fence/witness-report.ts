/** Where the witness finds the operator. */
export interface WitnessScene {
  readonly ingest: string;
  readonly metrics: string;
  readonly pid: number;
  readonly token: string;
}

export type WitnessAsked =
  | { readonly kind: "begin"; readonly scene: WitnessScene }
  | { readonly kind: "report" }
  | { readonly kind: "stop" };

export type WitnessTold = { readonly kind: "ready"; readonly port: number } | ({ readonly kind: "report" } & WitnessReport);

/** What an honest producer, its receiver, a probe and somebody who watches the memory saw since the last report. */
export interface WitnessReport {
  readonly accepted: number;
  /** Answers that were none or not 202, a few of them in words. */
  readonly refused: number;
  readonly refusals: readonly string[];
  readonly acceptP50Ms: number;
  readonly acceptP99Ms: number;
  readonly acceptMaxMs: number;
  readonly probes: number;
  readonly probesFailed: number;
  /** A few of these in words. */
  readonly probeFaults: readonly string[];
  readonly probeMaxMs: number;
  /** Of what was accepted: from the 202 to the receiver. */
  readonly delivered: number;
  readonly undelivered: number;
  readonly deliveryP99Ms: number;
  readonly residentMaxMiB: number;
}
