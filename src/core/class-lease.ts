/**
 * Who serves a class (`spec.className`). One Lease per class names every installation that serves it, each with the namespaces that it watches: two
 * that have a namespace in common would both send everything of it. Pure: the Lease comes in as it was read, and goes out as it is to be written.
 */

/** One installation that serves the class. */
export interface ClassHolder {
  /** `<namespace>/<name>` of the release: the same after a restart, an upgrade and on another node. */
  readonly installation: string;
  readonly pod: string;
  /** One process; a restart has another. */
  readonly process: string;
  /** The namespaces that it watches; empty = all. */
  readonly namespaces: readonly string[];
  /** Since when it serves, as written. */
  readonly since: string;
  /** Changes with every renewal. Nobody reads a time from it: clocks of other machines are not compared with ours. */
  readonly renewed: string;
}

/** What a Lease says. */
export interface ReadLease {
  readonly holders: readonly ClassHolder[];
  readonly transitions: number;
  /** The object as it was read, whose metadata is kept; undefined where there is none. */
  readonly object: Readonly<Record<string, unknown>> | undefined;
}

export type ClassDecision =
  | { readonly kind: "take"; readonly holders: readonly ClassHolder[] }
  /** `replaced`: by another process of our own installation. */
  | { readonly kind: "in-use"; readonly holder: ClassHolder; readonly isReplaced: boolean }
  | { readonly kind: "full" };

/** Installations of one class whose namespaces do not overlap; one more is refused. A watched namespace takes 64 bytes, a Lease at most 256 KiB. */
export const CLASS_HOLDERS_MAX = 32;
/** Where the holders are written. `spec.holderIdentity` repeats their names for people and for tools that know no more. */
export const HOLDERS_ANNOTATION = "postrider.dev/holders";

export function classLeaseName(className: string): string {
  return `postrider-class-${className}`;
}

/** Kubernetes' MicroTime: exactly six digits behind the second. */
export function microTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`;
}

/**
 * Reads a Lease of whatever shape. One that we did not write, or that somebody has edited, holds the class under the name in its `holderIdentity` for as
 * long as it is renewed; without a name it is free.
 */
export function readClassLease(body: unknown): ReadLease {
  if (!isRecord(body)) return { holders: [], transitions: 0, object: undefined };
  const spec = isRecord(body["spec"]) ? body["spec"] : {};
  const { holderIdentity, leaseTransitions, acquireTime, renewTime } = spec;
  const transitions = Number.isSafeInteger(leaseTransitions) ? Math.max(0, Number(leaseTransitions)) : 0;
  const identity = typeof holderIdentity === "string" ? holderIdentity : "";
  const written = writtenHolders(body);
  if (written !== undefined && identityOf(written) === identity) return { holders: written, transitions, object: body };
  if (identity === "") return { holders: [], transitions, object: body };
  const stranger: ClassHolder = {
    installation: identity,
    pod: "",
    process: "",
    namespaces: [],
    since: typeof acquireTime === "string" ? acquireTime : "",
    renewed: JSON.stringify(renewTime ?? ""),
  };
  return { holders: [stranger], transitions, object: body };
}

/** The Lease to be written. Without holders it is released. */
export function writtenClassLease(
  { object, transitions, holders: before }: ReadLease,
  holders: readonly ClassHolder[],
  where: { readonly namespace: string; readonly className: string; readonly durationMs: number },
): Readonly<Record<string, unknown>> {
  const metadata = isRecord(object?.["metadata"]) ? object["metadata"] : {};
  const annotations = isRecord(metadata["annotations"]) ? metadata["annotations"] : {};
  const labels = isRecord(metadata["labels"]) ? metadata["labels"] : {};
  const newest = holders.toSorted((a, b) => compared(b.renewed, a.renewed))[0];
  const isMoved = identityOf(before) !== identityOf(holders);
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      ...metadata,
      name: classLeaseName(where.className),
      namespace: where.namespace,
      labels: { ...labels, "app.kubernetes.io/managed-by": "postrider", "postrider.dev/class": where.className },
      annotations: { ...annotations, [HOLDERS_ANNOTATION]: JSON.stringify(holders) },
    },
    spec: {
      ...(newest === undefined ? {} : { holderIdentity: identityOf(holders), acquireTime: newest.since, renewTime: newest.renewed }),
      leaseDurationSeconds: Math.max(1, Math.round(where.durationMs / 1_000)),
      leaseTransitions: transitions + (isMoved ? 1 : 0),
    },
  };
}

/** When each holder was last seen to renew, on our own monotonic clock. */
export class HolderSightings {
  #seen = new Map<string, { readonly renewed: string; readonly atMs: number }>();

  /** Notes what was read. One that is seen for the first time has just renewed, whatever it says. */
  note(holders: readonly ClassHolder[], nowMs: number): void {
    const before = this.#seen;
    this.#seen = new Map(
      holders.map((holder) => {
        const known = before.get(keyOf(holder));
        return [keyOf(holder), known?.renewed === holder.renewed ? known : { renewed: holder.renewed, atMs: nowMs }];
      }),
    );
  }

  isLive(holder: ClassHolder, nowMs: number, durationMs: number): boolean {
    const seen = this.#seen.get(keyOf(holder));
    return seen === undefined || nowMs - seen.atMs < durationMs;
  }
}

/**
 * Whether `me` may serve. `hasHeld`: this process has served before. One that has not takes over from its own installation at once: a restarted Pod must
 * not wait for a Lease that its predecessor could not release. One that has, and finds another process of its installation there, was replaced.
 */
export function decideClass(
  holders: readonly ClassHolder[],
  me: ClassHolder,
  hasHeld: boolean,
  isLive: (holder: ClassHolder) => boolean,
): ClassDecision {
  const kept: ClassHolder[] = [];
  for (const holder of holders) {
    const isOurs = holder.installation === me.installation;
    if ((isOurs && (holder.process === me.process || !hasHeld)) || !isLive(holder)) continue;
    if (isOurs || overlap(holder.namespaces, me.namespaces)) return { kind: "in-use", holder, isReplaced: isOurs };
    kept.push(holder);
  }
  return kept.length >= CLASS_HOLDERS_MAX ? { kind: "full" } : { kind: "take", holders: [...kept, me] };
}

function overlap(a: readonly string[], b: readonly string[]): boolean {
  return a.length === 0 || b.length === 0 || a.some((namespace) => b.includes(namespace));
}

function identityOf(holders: readonly ClassHolder[]): string {
  return holders.map(({ installation }) => installation).join(",");
}

function keyOf({ installation, process }: ClassHolder): string {
  return `${installation} ${process}`;
}

function compared(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Undefined unless every entry is complete. */
function writtenHolders(body: Readonly<Record<string, unknown>>): ClassHolder[] | undefined {
  const metadata = isRecord(body["metadata"]) ? body["metadata"] : {};
  const annotations = isRecord(metadata["annotations"]) ? metadata["annotations"] : {};
  const text = annotations[HOLDERS_ANNOTATION];
  if (typeof text !== "string") return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  return Array.isArray(parsed) && parsed.every(isHolder) ? parsed : undefined;
}

function isHolder(value: unknown): value is ClassHolder {
  if (!isRecord(value)) return false;
  const { namespaces } = value;
  const isText = ["installation", "pod", "process", "since", "renewed"].every((field) => typeof value[field] === "string");
  return isText && Array.isArray(namespaces) && namespaces.every((namespace) => typeof namespace === "string");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
