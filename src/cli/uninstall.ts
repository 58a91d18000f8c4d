import { Command, InvalidArgumentError } from "commander";
import { API_VERSION } from "../api/schema.ts";
import { drainFinalizer, drainFinalizersAfter, SHARED_DRAIN_FINALIZER } from "../core/drain-finalizer.ts";
import { statusMessage, type ApiAnswer, type ApiRequest } from "../kube/transport.ts";
import type { Clock } from "../lib/clock.ts";
import { CommandFailure } from "./program.ts";
import { shown, tell } from "./terminal.ts";

const EXAMPLES = `
Examples:
  # what the chart does before it is uninstalled: stop the operator, then
  # release every subscription
  postrider uninstall --statefulset postrider-system/postrider

  # the operator is already gone and subscriptions hang in deletion
  postrider uninstall

  # another installation serves its subscriptions now, and it is gone for good
  postrider uninstall --class old

It removes the finalizer drain.postrider.dev/CLASS, which holds a subscription
until the installation of that class has delivered what it accepted, and
nothing else.
Exit code: 0 when none is left, 1 when some are left or the API server refuses,
2 for a wrong flag.`;

const TIMEOUT_DEFAULT_S = 90;
const TIMEOUT_MAX_S = 3_600;
const POLL_MS = 500;
/** After the last removal, one more look this much later. */
const SETTLE_MS = 1_500;
/** Objects read and finalizers written at a time. */
const PAGE = 500;
const PARALLEL = 16;
const MERGE = "application/merge-patch+json";
const RESOURCE = "webhooksubscriptions";
const DNS_NAME = /^[a-z0-9][a-z0-9.-]{0,252}$/;

/** As much of the API server as this command uses. */
export interface KubernetesApi {
  request(request: ApiRequest): Promise<ApiAnswer>;
}

interface UninstallOptions {
  readonly statefulset?: { readonly namespace: string; readonly name: string };
  readonly class: string;
  readonly namespace: readonly string[];
  readonly timeout: number;
  readonly kubeconfig?: string;
}

/** Opens the API server of a kubeconfig. */
export type Connect = (kubeconfig: string | undefined) => Promise<KubernetesApi>;

/** `postrider uninstall`: takes our finalizer off every subscription. */
export function uninstallCommand(clock: Clock, connect: Connect): Command {
  return new Command("uninstall")
    .description("before the operator is removed: take its finalizer off every subscription")
    .option("--statefulset <namespace/name>", "stop this operator first, so that it cannot put finalizers back", namespacedName)
    .option("--class <name>", "the class of the operator", "postrider")
    .option("--namespace <name>", "only this namespace; repeatable", (value: string, before: string[]) => [...before, value], [])
    .option("--timeout <duration>", "give up after this long, for example 90s", seconds, TIMEOUT_DEFAULT_S)
    .option("--kubeconfig <file>", "kubeconfig file (default: in-cluster credentials, then the usual places)")
    .addHelpText("after", EXAMPLES)
    .action(async (options: UninstallOptions) => {
      const api = await connect(options.kubeconfig);
      // Our clock's timers do not hold the process, and Node would end it in the middle of a pause.
      const hold = setTimeout(() => undefined, 2 * TIMEOUT_MAX_S * 1_000);
      try {
        await new Uninstallation(api, clock, options, (line) => tell(shown`${line}`)).run();
      } finally {
        clearTimeout(hold);
      }
    });
}

interface Item {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion: string;
    readonly finalizers?: readonly string[];
  };
  readonly spec?: { readonly className?: string };
}

/**
 * Bounded by the timeout, through which an API server that is away or overloaded is asked again; a crash in between leaves fewer
 * finalizers than before, and running it again goes on.
 */
export class Uninstallation {
  readonly #api: KubernetesApi;
  readonly #clock: Clock;
  readonly #options: UninstallOptions;
  readonly #print: (line: string) => void;
  readonly #endMs: number;

  constructor(api: KubernetesApi, clock: Clock, options: UninstallOptions, print: (line: string) => void) {
    this.#api = api;
    this.#clock = clock;
    this.#options = options;
    this.#print = print;
    this.#endMs = clock.monotonicMs() + options.timeout * 1_000;
  }

  /** @throws CommandFailure when finalizers are left at the end of the time, or the API server refuses to list. */
  async run(): Promise<void> {
    if (this.#options.statefulset !== undefined) await this.#stopOperator(this.#options.statefulset);
    let removed = 0;
    let settled = false;
    for (let passes = 1; ; passes++) {
      const held = await this.#held();
      if (held.length === 0 && (removed === 0 || settled)) break;
      settled = held.length === 0;
      if (settled) {
        // An operator that still runs needs a moment to put back what was just taken off: "none is left" must still hold then.
        await this.#pause(SETTLE_MS);
        continue;
      }
      const problems = await this.#release(held);
      removed += held.length - problems.length;
      // Conflicts are read again at once; but an operator that runs on puts finalizers back as fast as they go.
      if (problems.length === held.length || passes > 1) await this.#pauseOrFail(held, problems);
    }
    this.#print(`finalizers removed from ${removed} subscriptions; none is left`);
  }

  /** Without this the operator would answer each removal by putting its finalizer back. Half of the time, then it goes on. */
  async #stopOperator({ namespace, name }: { readonly namespace: string; readonly name: string }): Promise<void> {
    const path = `/apis/apps/v1/namespaces/${namespace}/statefulsets/${name}/scale`;
    const halfMs = this.#clock.monotonicMs() + (this.#options.timeout * 1_000) / 2;
    let answer = await this.#ask({ method: "PATCH", path, contentType: MERGE, body: { spec: { replicas: 0 } } });
    if (answer.status === 404) return;
    if (answer.status >= 300) throw new CommandFailure(`cannot stop statefulset ${namespace}/${name}: ${statusMessage(answer)}`);
    while (replicas(answer) !== 0 && answer.status !== 404) {
      if (this.#clock.monotonicMs() > halfMs) {
        this.#print(`statefulset ${namespace}/${name} has not stopped in time: continuing`);
        return;
      }
      await this.#pause();
      answer = await this.#ask({ method: "GET", path });
    }
    this.#print(`statefulset ${namespace}/${name} is stopped`);
  }

  async #held(): Promise<Item[]> {
    const held: Item[] = [];
    const { namespace: namespaces, class: className } = this.#options;
    for (const scope of namespaces.length === 0 ? [""] : namespaces.map((name) => `namespaces/${encodeURIComponent(name)}/`)) {
      for (const item of await this.#list(`/apis/${API_VERSION}/${scope}${RESOURCE}`)) {
        if (isHeld(item, className)) held.push(item);
      }
    }
    return held;
  }

  async #list(path: string): Promise<Item[]> {
    const items: Item[] = [];
    let next: string | undefined = "";
    while (next !== undefined) {
      const query: string = next === "" ? "" : `&continue=${encodeURIComponent(next)}`;
      const answer: ApiAnswer = await this.#ask({ method: "GET", path: `${path}?limit=${PAGE}${query}` });
      // No such resource: the CRDs are gone, and every finalizer with them.
      if (answer.status === 404) return [];
      // The list took too long: what was read is enough for this pass, and there is always one more.
      if (answer.status === 410 && items.length > 0) return items;
      if (answer.status !== 200) throw new CommandFailure(`cannot list subscriptions: ${statusMessage(answer)}`);
      const page = answer.body as { items: Item[]; metadata?: { continue?: string } };
      items.push(...page.items);
      next = page.metadata?.continue === "" ? undefined : page.metadata?.continue;
    }
    return items;
  }

  /** The problems of those that still hold their finalizer. */
  async #release(held: readonly Item[]): Promise<string[]> {
    const problems: string[] = [];
    const waiting = [...held];
    const lane = async (): Promise<void> => {
      for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
        const problem = await this.#releaseOne(item);
        if (problem !== undefined) problems.push(problem);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, lane));
    return problems;
  }

  /** Merge patch with the resourceVersion that was read: somebody else's finalizer, added meanwhile, is never lost. */
  async #releaseOne({ metadata }: Item): Promise<string | undefined> {
    const { namespace, name, resourceVersion } = metadata;
    const path = `/apis/${API_VERSION}/namespaces/${encodeURIComponent(namespace)}/${RESOURCE}/${encodeURIComponent(name)}`;
    const finalizers = drainFinalizersAfter(metadata.finalizers ?? [], this.#options.class, false);
    const answer = await this.#ask({ method: "PATCH", path, contentType: MERGE, body: { metadata: { resourceVersion, finalizers } } });
    if (answer.status < 300 || answer.status === 404) return undefined;
    return `${namespace}/${name}: ${statusMessage(answer)}`;
  }

  async #pauseOrFail(held: readonly Item[], problems: readonly string[]): Promise<void> {
    if (this.#clock.monotonicMs() >= this.#endMs) {
      const { namespace, name } = held[0]?.metadata ?? { namespace: "", name: "" };
      const first = problems[0] ?? `${namespace}/${name}: something puts it back (is an operator still running?)`;
      throw new CommandFailure(
        `${problems.length || held.length} subscriptions still have their finalizer after ${this.#options.timeout} s, the first of them: ${first}`,
      );
    }
    await this.#pause();
  }

  /** Asks again while no answer comes, or one that says "later". @throws CommandFailure at the end of the time. */
  async #ask(request: ApiRequest): Promise<ApiAnswer> {
    for (;;) {
      let problem: string;
      let waitMs = POLL_MS;
      try {
        const answer = await this.#api.request(request);
        if (answer.status !== 429 && answer.status < 500) return answer;
        problem = statusMessage(answer);
        waitMs = Math.max(waitMs, answer.retryAfterMs ?? 0);
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error);
      }
      if (this.#clock.monotonicMs() + waitMs >= this.#endMs) {
        throw new CommandFailure(`the API server cannot be used (${this.#options.timeout} s): ${problem}`);
      }
      await this.#pause(waitMs);
    }
  }

  #pause(ms = POLL_MS): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }
}

/** The finalizer that all classes shared up to 0.1 tells by nothing but the subscription's class whose it is. */
function isHeld({ metadata, spec }: Item, className: string): boolean {
  const { finalizers = [] } = metadata;
  if (finalizers.includes(drainFinalizer(className))) return true;
  return finalizers.includes(SHARED_DRAIN_FINALIZER) && (spec?.className ?? "postrider") === className;
}

/** Pods that exist, those that are ending included. */
function replicas(scale: ApiAnswer): number | undefined {
  return (scale.body as { status?: { replicas?: number } } | undefined)?.status?.replicas;
}

function namespacedName(text: string): { readonly namespace: string; readonly name: string } {
  const [namespace = "", name = "", ...more] = text.split("/");
  if (more.length > 0 || !DNS_NAME.test(namespace) || !DNS_NAME.test(name)) {
    throw new InvalidArgumentError("expected namespace/name, for example postrider-system/postrider.");
  }
  return { namespace, name };
}

function seconds(text: string): number {
  const match = /^(\d{1,4})(s|m)$/.exec(text);
  const value = Number(match?.[1]) * (match?.[2] === "m" ? 60 : 1);
  if (!(value >= 1 && value <= TIMEOUT_MAX_S)) throw new InvalidArgumentError("expected a duration from 1s to 60m, for example 90s.");
  return value;
}
