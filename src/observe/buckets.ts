/** A group commit: the disk's own time at one end, a disk that hangs at the other, seconds. */
export const COMMIT_BUCKETS = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10];
/** An answer of the ingest; 0.25 is the bound of its SLO. */
export const ANSWER_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** An attempt ends at the policy's timeout: usual ones have a bound of their own, so that a receiver that hangs shows as what it is. */
export const ATTEMPT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300];
/** The same for each subscription, where every bound costs a line for each of them. */
export const SUBSCRIPTION_ATTEMPT_BUCKETS = [0.025, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60];
/** A part of an attempt. */
export const PHASE_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30];
/** From due to begun; 1 is the bound of its SLO. */
export const DISPATCH_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300];
/** From acceptance to success: retries last up to four days; 60 is the bound of its SLO. */
export const LATENCY_BUCKETS = [0.05, 0.25, 1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 345_600];
export const RECONCILE_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
