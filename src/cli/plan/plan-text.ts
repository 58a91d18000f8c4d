import { linesOf, painted, shown, type Shown } from "../terminal.ts";
import type { Difference } from "./differences.ts";
import { isChange, type Moved, type SubscriptionPlan } from "./subscription-plan.ts";

/** Events named of each kind; the rest is a number, and -o json has all of them. */
const NAMED_MAX = 5;
const VALUE_CHARS_MAX = 80;

export interface PlanSummary {
  readonly plans: readonly SubscriptionPlan[];
  readonly refused: readonly string[];
  /** What was compared, for instance `the last 1000 events of shop`. */
  readonly events: readonly string[];
  readonly notes: readonly string[];
}

/** For people: what is refused first, then each subscription that changes, then what was looked at. */
export function planText({ plans, refused, events, notes }: PlanSummary, colours: boolean): Shown {
  const changed = plans.filter(isChange);
  const unchanged = plans.length - changed.length;
  return linesOf([
    ...refused.map((line) => painted("red", shown`refused: ${line}`, colours)),
    ...changed.flatMap((plan) => [...subscriptionLines(plan, colours), shown``]),
    ...notes.map((note) => shown`note: ${note}`),
    ...(changed.length === 0
      ? [
          shown`No change${unchanged === 0 ? "" : `: ${unchanged} ${unchanged === 1 ? "subscription is" : "subscriptions are"} as the files say`}.`,
        ]
      : []),
    shown`Compared with ${events.join(", ") || "no event"}. Nothing was sent, stored or changed.`,
  ]);
}

function subscriptionLines(plan: SubscriptionPlan, colours: boolean): Shown[] {
  const { subscription, change, spec, policy, notes, before, after, gained, lost, failing, unjudged, requests } = plan;
  const word = change === "unchanged" ? "its policy changes" : change;
  const counts =
    change === "unchanged"
      ? shown``
      : change === "added"
        ? shown`: would have matched ${after}`
        : shown`: matched ${before} before, ${after} after`;
  return [
    painted("bold", shown`${subscription} ${word}${counts}`, colours),
    ...spec.map((one) => differenceLine("spec.", one)),
    ...policy.map((one) => differenceLine("policy: ", one)),
    ...movedLines("green", "+", { count: "gained", moved: gained }, colours),
    ...movedLines("red", "-", { count: "lost", moved: lost }, colours),
    ...movedLines("red", "!", { count: "would fail", moved: failing }, colours),
    ...(unjudged === 0
      ? []
      : [shown`  ? ${unjudged} cannot be judged: no subscription wanted them, so the data that the filter needs is not kept`]),
    ...(requests.sample === undefined
      ? []
      : [
          shown`  ~ ${requests.count} would be sent otherwise; the newest is ${requests.sample.event}:`,
          ...requests.sample.lines.map((line) => diffLine(line, colours)),
        ]),
    ...notes.map((note) => shown`  note: ${note}`),
  ];
}

function differenceLine(prefix: string, { path, before, after }: Difference): Shown {
  return shown`  ${prefix}${path}: ${valueText(before)} -> ${valueText(after)}`;
}

function valueText(value: unknown): string {
  if (value === undefined) return "(not set)";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= VALUE_CHARS_MAX ? text : `${text.slice(0, VALUE_CHARS_MAX)}… (${text.length} characters)`;
}

function movedLines(
  colour: "green" | "red",
  mark: string,
  { count, moved }: { readonly count: string; readonly moved: readonly Moved[] },
  colours: boolean,
): Shown[] {
  if (moved.length === 0) return [];
  return [
    painted(colour, shown`  ${mark} ${moved.length} ${count}`, colours),
    ...moved.slice(0, NAMED_MAX).map(({ event, type, why }) => shown`      ${event} ${type}: ${why}`),
    ...(moved.length > NAMED_MAX ? [shown`      … and ${moved.length - NAMED_MAX} more: -o json names all`] : []),
  ];
}

function diffLine(line: string, colours: boolean): Shown {
  const text = shown`      ${line}`;
  if (line.startsWith("+")) return painted("green", text, colours);
  return line.startsWith("-") ? painted("red", text, colours) : text;
}
