import { matchesType, previewEvent } from "../event-preview.ts";
import type { Preview, PreviewedRequest, PreviewedSubscription, PreviewSetting } from "../event-preview.ts";
import { bodyAsLines, type Difference, lineDiff } from "./differences.ts";
import type { PastEvent } from "./past-events.ts";

/** A subscription as it is, and as the files would make it; one of the two may be missing. */
export interface Pair {
  readonly subscription: string;
  readonly before: PreviewedSubscription | undefined;
  readonly after: PreviewedSubscription;
  /** Where the two specs differ, as they are written. */
  readonly spec: readonly Difference[];
  readonly policy: readonly Difference[];
  readonly notes: readonly string[];
}

/** An event about which the two do not agree. */
export interface Moved {
  readonly event: string;
  readonly type: string;
  readonly why: string;
}

export interface SubscriptionPlan {
  readonly subscription: string;
  readonly change: "added" | "changed" | "unchanged";
  readonly spec: readonly Difference[];
  readonly policy: readonly Difference[];
  readonly notes: readonly string[];
  /** Events matched. */
  readonly before: number;
  readonly after: number;
  readonly gained: readonly Moved[];
  readonly lost: readonly Moved[];
  /** Whose filter or body would fail, and does not now. */
  readonly failing: readonly Moved[];
  /** Whose data is not kept, so that nobody knows. */
  readonly unjudged: number;
  /** Events that would be sent otherwise than now, and how, for the newest of them. */
  readonly requests: { readonly count: number; readonly sample: { readonly event: string; readonly lines: readonly string[] } | undefined };
}

/** Whether anything at all would be different. */
export function isChange({ change, policy }: SubscriptionPlan): boolean {
  return change !== "unchanged" || policy.length > 0;
}

/** Judges every event with both, by the code that matches and sends. */
export function planOf(pair: Pair, events: readonly PastEvent[], setting: PreviewSetting): SubscriptionPlan {
  const { subscription, spec, policy, notes, before } = pair;
  const change = before === undefined ? "added" : spec.length > 0 ? "changed" : "unchanged";
  const tally = new Tally();
  if (change !== "unchanged") for (const past of events) judge(pair, past, { tally, setting });
  const { gained, lost, failing, unjudged, matched, requests } = tally;
  return { subscription, change, spec, policy, notes, ...matched, gained, lost, failing, unjudged, requests };
}

class Tally {
  readonly matched = { before: 0, after: 0 };
  readonly gained: Moved[] = [];
  readonly lost: Moved[] = [];
  readonly failing: Moved[] = [];
  unjudged = 0;
  requests: SubscriptionPlan["requests"] = { count: 0, sample: undefined };
}

function judge(
  { before, after }: Pair,
  { id, type, event }: PastEvent,
  { tally, setting }: { readonly tally: Tally; readonly setting: PreviewSetting },
): void {
  if (event === undefined) {
    judgeByType({ id, type }, { before, after }, tally);
    return;
  }
  const was = before === undefined ? undefined : previewEvent(before, event, setting);
  const will = previewEvent(after, event, setting);
  const [matchedBefore, matchedAfter] = [isMatch(was), isMatch(will)];
  if (matchedBefore) tally.matched.before += 1;
  if (matchedAfter) tally.matched.after += 1;
  const moved = { event: id, type };
  if (matchedAfter && !matchedBefore) tally.gained.push({ ...moved, why: whyNot(was) });
  if (matchedBefore && !matchedAfter) tally.lost.push({ ...moved, why: whyNot(will) });
  if (will.result === "error" && was?.result !== "error") tally.failing.push({ ...moved, why: will.why });
  if (was?.result !== "sent" || will.result !== "sent") return;
  const lines = requestDiff(was.request, will.request);
  if (lines.length > 0) tally.requests = { count: tally.requests.count + 1, sample: tally.requests.sample ?? { event: id, lines } };
}

/** Without its data only types can be compared, and a filter cannot be judged. */
function judgeByType(
  moved: { readonly id: string; readonly type: string },
  { before, after }: Pick<Pair, "before" | "after">,
  tally: Tally,
): void {
  const { id, type } = moved;
  const verdict = (checked: PreviewedSubscription | undefined): "yes" | "no" | "unknown" => {
    if (checked?.spec.types.some((pattern) => matchesType(pattern, type)) !== true) return "no";
    return checked.spec.filter === undefined ? "yes" : "unknown";
  };
  const [was, will] = [verdict(before), verdict(after)];
  if (was === "unknown" || will === "unknown") {
    if (was !== will || before?.spec.filter !== after.spec.filter) tally.unjudged += 1;
    return;
  }
  if (was === "yes") tally.matched.before += 1;
  if (will === "yes") tally.matched.after += 1;
  if (will === "yes" && was === "no") tally.gained.push({ event: id, type, why: "its type did not match" });
  if (was === "yes" && will === "no") tally.lost.push({ event: id, type, why: `its types are ${after.spec.types.join(", ")}` });
}

/** A body that fails is a delivery all the same: it matched, and fails. */
function isMatch(preview: Preview | undefined): boolean {
  return preview?.result === "sent" || (preview?.result === "error" && !preview.why.startsWith("its filter fails"));
}

function whyNot(preview: Preview | undefined): string {
  if (preview === undefined) return "the subscription is new";
  return preview.result === "sent" ? "" : preview.why;
}

/** Signatures follow the body: they would be the one line that always differs and says nothing. */
const SIGNATURE = /signature|digest/i;

function requestDiff(was: PreviewedRequest, will: PreviewedRequest): string[] {
  const isSameBody = was.body === will.body;
  const head = ({ url, headers }: PreviewedRequest): string[] => [
    `POST ${url}`,
    ...headers.filter(([name]) => isSameBody || !SIGNATURE.test(name)).map(([name, value]) => `${name}: ${value}`),
  ];
  const names = ({ headers }: PreviewedRequest): string => headers.map(([name]) => name.toLowerCase()).join();
  const signed = isSameBody || names(was) !== names(will) ? [] : ["  (signatures follow the body)"];
  const heads = lineDiff(head(was), head(will));
  if (isSameBody) return heads;
  return [...heads, ...signed, ...lineDiff(bodyAsLines(was.body), bodyAsLines(will.body))];
}
