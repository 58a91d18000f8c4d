import { Command } from "commander";
import type { Clock } from "../../lib/clock.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { lengthText, timeText } from "../api/moment.ts";
import type { ConditionRow, DeliveryCounts, SubscriptionRow } from "../api/rows.ts";
import { linesOf, shown, type Shown, tell } from "../terminal.ts";
import { conditionOf, lastAnswer } from "./kinds.ts";
import { bareId, pathOf, withClient } from "./list-commands.ts";
import type { Reading } from "./sentences.ts";

const EXAMPLES = `
Examples:
  # why does crm get nothing?
  postrider status -n shop crm

Exit code: 0 done, whatever the state is; 1 refused, unreachable or unknown,
2 wrong usage.`;

/** `postrider status`: how a subscription is, since when, and what to do about it. */
export function statusCommand(clock: Clock): Command {
  const command = new Command("status")
    .description("say in a sentence how a subscription is, and what to do")
    .argument("<name>", "the subscription");
  return withConnection(command)
    .option("--utc", "times in UTC; otherwise in this machine's zone")
    .addHelpText("after", EXAMPLES)
    .action(async (name: string, flags: ConnectionFlags & { readonly utc?: boolean }, self: Command) => {
      const namespace = namespaceOf(flags, self);
      await withClient(openClient(flags, clock), async (client) => {
        const row = JSON.parse(await client.get(pathOf(namespace, "subscriptions", bareId(name)))) as SubscriptionRow;
        tell(statusText(row, { nowMs: clock.trueMs(), utc: flags.utc === true, namespace }));
      });
    });
}

/** The state first, then numbers, then what else is wrong, then the command that helps. */
export function statusText(row: SubscriptionRow, reading: Reading): Shown {
  const { head, advice } = stateOf(row, reading);
  const { delivery, recentFilterErrors, keysWithoutValue = [] } = row.status ?? {};
  const more = [
    ...(recentFilterErrors === undefined
      ? []
      : [shown`Its filter failed for ${recentFilterErrors.count} events, which did not match: ${recentFilterErrors.message}`]),
    ...keysWithoutValue.map(({ field, path, events }) => shown`None of ${events} events had a value at ${field} (${path}).`),
  ];
  return linesOf([head, ...countLines(delivery, reading), ...more, ...advice.map((line) => shown`${line}`)]);
}

interface State {
  readonly head: Shown;
  readonly advice: readonly string[];
}

function stateOf(row: SubscriptionRow, reading: Reading): State {
  const { name, status } = row;
  const { namespace } = reading;
  const say = (words: string, condition: ConditionRow | undefined, advice: readonly string[] = []): State => ({
    head: shown`${name}: ${words}${since(condition, reading)}${condition === undefined ? "." : `. ${sentence(condition.message)}`}`,
    advice,
  });
  const accepted = conditionOf(row, "Accepted");
  if (accepted?.status === "False")
    return say(`its spec is rejected (${accepted.reason})`, accepted, ["Check a change before it is applied: postrider plan -f FILE"]);
  const refs = conditionOf(row, "ResolvedRefs");
  if (refs?.status === "False") return say(`nothing is sent, because a reference does not resolve (${refs.reason})`, refs);
  const suspended = conditionOf(row, "Suspended");
  if (suspended?.status === "True") return say(`suspended (${suspended.reason})`, suspended, resumeAdvice(suspended, name, namespace));
  const ready = conditionOf(row, "Ready");
  if (ready !== undefined && ready.status !== "True") return say(`not ready (${ready.reason})`, ready);
  const healthy = conditionOf(row, "EndpointHealthy");
  if (healthy?.status === "False") {
    const next = status?.delivery?.nextAttemptTime;
    const nextMs = next === undefined ? Number.NaN : Date.parse(next) - reading.nowMs;
    const probe = Number.isNaN(nextMs) ? "" : ` Next attempt ${nextMs > 0 ? `in ${lengthText(nextMs)}` : "now"}.`;
    const { head } = say(`failing (${healthy.reason})`, healthy);
    return {
      head: shown`${head}${probe}`,
      advice: failingAdvice(name, namespace),
    };
  }
  const failures = status?.delivery?.consecutiveFailures ?? 0;
  if (failures > 0)
    return { head: shown`${name}: failing${streak(status?.delivery, failures, reading)}`, advice: failingAdvice(name, namespace) };
  return healthy?.status === "True" ? say("delivering", healthy) : say("ready; nothing has been sent lately", undefined);
}

/** Too few to count as unhealthy for the operator, but a person who asks now must not read that all is well. */
function streak(delivery: DeliveryCounts | undefined, failures: number, { nowMs, utc }: Reading): string {
  const time = delivery?.lastFailureTime;
  const last = time === undefined ? "" : `, the last one at ${timeText(time, utc)} (${lengthText(nowMs - Date.parse(time))} ago)`;
  return `: ${failures === 1 ? "the last attempt has failed" : `${failures} attempts have failed in a row`}${last}. That is too few to open its circuit.`;
}

function failingAdvice(name: string, namespace: string): string[] {
  return [
    `What was sent and answered: postrider attempts -n ${namespace} -s ${name} --limit 5`,
    `What the receiver says now: postrider test -n ${namespace} ${name}`,
  ];
}

function sentence(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}

function resumeAdvice({ reason }: ConditionRow, name: string, namespace: string): string[] {
  if (reason === "BySpec") return [`Set spec.suspend to false in the manifest of ${name}, where it is kept.`];
  if (reason === "Paused") return [`Let it send again: postrider resume -n ${namespace} ${name}`];
  return [`Check first: postrider test -n ${namespace} ${name}`, `Then: postrider resume -n ${namespace} ${name}`];
}

function since(condition: ConditionRow | undefined, { nowMs, utc }: Reading): string {
  const time = condition?.lastTransitionTime;
  return time === undefined ? "" : ` since ${timeText(time, utc)} (${lengthText(nowMs - Date.parse(time))})`;
}

function countLines(delivery: DeliveryCounts | undefined, { nowMs, utc }: Reading): Shown[] {
  if (delivery === undefined) return [shown`No event was accepted for it yet.`];
  const { pending = 0, delivered = 0, failed = 0, oldestPendingTime, lastSuccessTime, lastAttempt } = delivery;
  const oldest = oldestPendingTime === undefined ? "" : `, the oldest for ${lengthText(nowMs - Date.parse(oldestPendingTime))}`;
  const success = lastSuccessTime === undefined ? "It never succeeded" : `The last success was at ${timeText(lastSuccessTime, utc)}`;
  const answer = lastAnswer(lastAttempt);
  const last = answer === "" ? "" : `; the last answer was ${/^\d/.test(answer) ? `HTTP ${answer}` : answer}`;
  return [shown`${pending} waiting${oldest}; ${delivered} delivered, ${failed} failed for good. ${success}${last}.`];
}
