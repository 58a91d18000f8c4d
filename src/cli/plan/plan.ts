import { Command, Option } from "commander";
import { ExpressionCache } from "../../controller/subscription/expression-cache.ts";
import type { ExpressionCompiler } from "../../controller/subscription/expression-cache.ts";
import type { Clock } from "../../lib/clock.ts";
import type { ApiClient } from "../api/api-client.ts";
import { type ConnectionFlags, namespaceOf, openClient, withConnection } from "../api/connection-flags.ts";
import { pageOf } from "../api/listing.ts";
import { type Moment, moment, momentLines } from "../api/moment.ts";
import type { SubscriptionRow } from "../api/rows.ts";
import { type ColourWish, wantsColour } from "../colour.ts";
import { matchesType, type PreviewSetting } from "../event-preview.ts";
import { pathOf, withClient } from "../history/list-commands.ts";
import { checkManifests, type Finding, type ManifestCheck } from "../manifest-check.ts";
import { manifestFiles } from "../manifest-files.ts";
import { oneOf, outputFormat, wholeNumber } from "../option-values.ts";
import { CommandFailure, requireFlags } from "../program.ts";
import { complain, shown, shownJson, tell } from "../terminal.ts";
import { pairsOf } from "./pairs.ts";
import { pastEvents } from "./past-events.ts";
import { planText, type PlanSummary } from "./plan-text.ts";
import { isChange, type Pair, planOf, type SubscriptionPlan } from "./subscription-plan.ts";

const EXAMPLES = `
Examples:
  # what would this change have meant for the last 1,000 events?
  postrider plan -f changed.yaml

  # for those of the last day, with the policies that the change needs
  postrider plan -f subscriptions/ -f policies/ --since 24h

  # for a program
  postrider plan -f changed.yaml -o json

Manifests that are not applied yet are compared with the subscriptions that the
operator has, for events that really came: who would get more or fewer of them,
and how requests would differ. Sends, stores and changes nothing. What is not in
the files stays as it is. docs/plan.md has an example for CI.
Exit code: 0 no change, 1 changes, 2 something is refused, or could not be
compared, or wrong usage.`;

const LAST_DEFAULT = 1_000;
const LAST_MAX = 100_000;
const EXIT_CHANGES = 1;
const EXIT_REFUSED = 2;

interface PlanFlags extends ConnectionFlags {
  readonly filename: readonly string[];
  readonly last?: number;
  readonly since?: Moment;
  readonly output: "text" | "json";
  readonly color: ColourWish;
}

export interface PlanParts {
  readonly compiler: ExpressionCompiler;
  readonly clock: Clock;
  readonly version: string;
}

/** `postrider plan`: what manifests would change, for the events that really came. */
export function planCommand({ compiler, clock, version }: PlanParts): Command {
  const command = new Command("plan").description("show what changed manifests would mean for the events that really came");
  return requireFlags(withConnection(command), "--filename")
    .option(
      "-f, --filename <path>",
      "(required) a file, a folder (with its subfolders), or - for stdin; repeatable",
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .addOption(
      new Option("--last <n>", `the newest events of each namespace, at most ${LAST_MAX} (default: ${LAST_DEFAULT})`).argParser(
        wholeNumber(1, LAST_MAX),
      ),
    )
    .addOption(
      new Option("--since <time>", `events since: 24h, 02:00 or RFC 3339; at most ${LAST_MAX}`).argParser(moment(() => clock.trueMs())),
    )
    .addOption(new Option("-o, --output <format>", "text or json").argParser(outputFormat).default("text"))
    .addOption(new Option("--color <when>", "auto, always or never").argParser(oneOf("auto", "always", "never")).default("auto"))
    .addHelpText("after", EXAMPLES)
    .action(async (flags: PlanFlags, self: Command) => {
      const expressions = new ExpressionCache(compiler);
      const setting = { expressions, nowSec: Math.floor(clock.trueMs() / 1_000), version };
      try {
        const files = flags.filename.flatMap(manifestFiles);
        if (files.length === 0) throw new CommandFailure("there is no .yaml, .yml or .json file to compare");
        await withClient(openClient(flags, clock), async (client) => {
          const check = checkManifests(files, expressions, decidedElsewhere);
          const namespaces = flags.namespace === undefined ? namespacesOf(check) : [namespaceOf(flags, self)];
          const planning = new Planning({ client, flags, check, setting });
          for (const namespace of namespaces) await planning.add(namespace);
          tellPlan(planning.summary(), flags);
          for (const line of momentLines({ "--since": flags.since }, client.skew)) complain(line);
          process.exitCode = planning.exitCode();
        });
      } catch (error) {
        // 1 means that there are changes: a plan that could not be made must not be taken for one.
        if (!(error instanceof CommandFailure)) throw error;
        complain(shown`postrider: ${error.message}`);
        process.exitCode = EXIT_REFUSED;
      }
    });
}

/** Where deliveries may go is for the ClusterDeliveryPolicy to say; files without one do not know it. */
function decidedElsewhere({ reason, severity }: Finding): boolean {
  return severity === "error" && reason === "EgressDenied";
}

/** Those that the files say something about. */
function namespacesOf({ resources }: ManifestCheck): readonly string[] {
  const found = (["WebhookSubscription", "DeliveryPolicy"] as const).flatMap((kind) =>
    Array.from(resources.list(kind), ({ metadata }) => metadata.namespace ?? ""),
  );
  return [...new Set(found)].filter((namespace) => namespace !== "").toSorted();
}

interface PlanningParts {
  readonly client: ApiClient;
  readonly flags: PlanFlags;
  readonly check: ManifestCheck;
  readonly setting: PreviewSetting;
}

class Planning {
  readonly #parts: PlanningParts;
  readonly #plans: SubscriptionPlan[] = [];
  readonly #events: string[] = [];
  readonly #refused: string[];
  readonly #notes: string[];

  constructor(parts: PlanningParts) {
    this.#parts = parts;
    const { findings, resources } = parts.check;
    const hasClusterPolicy = [...resources.list("ClusterDeliveryPolicy")].length > 0;
    const isRefusal = ({ severity, reason }: Finding): boolean => severity === "error" || (hasClusterPolicy && reason === "EgressDenied");
    this.#refused = findings.filter(isRefusal).map(findingText);
    this.#notes = hasClusterPolicy
      ? []
      : findings
          .filter(({ reason }) => reason === "EgressDenied")
          .map(
            (found) =>
              `without the ClusterDeliveryPolicy among the files its address cannot be judged, and may be refused: ${findingText(found)}`,
          );
  }

  async add(namespace: string): Promise<void> {
    const { client, flags, check, setting } = this.#parts;
    const live = pageOf<SubscriptionRow>(await client.get(pathOf(namespace, "subscriptions"))).items;
    const pairs = pairsOf(check, namespace, live);
    const moving = pairs.filter(({ before, spec }) => before === undefined || spec.length > 0);
    const last = flags.last ?? (flags.since === undefined ? LAST_DEFAULT : LAST_MAX);
    const wish = { last, sinceMs: flags.since?.atMs, concerns: (type: string) => moving.some((pair) => concerns(pair, type)) };
    const { events, listed } = moving.length === 0 ? { events: [], listed: 0 } : await pastEvents(client, namespace, wish);
    if (moving.length > 0) this.#events.push(`${listed === last ? "the last " : ""}${listed} events of namespace ${namespace}`);
    for (const pair of pairs) this.#plans.push(planOf(pair, events, setting));
  }

  summary(): PlanSummary {
    return { plans: this.#plans, refused: this.#refused, events: this.#events, notes: this.#notes };
  }

  exitCode(): number {
    if (this.#refused.length > 0) return EXIT_REFUSED;
    return this.#plans.some(isChange) ? EXIT_CHANGES : 0;
  }
}

function concerns({ before, after }: Pair, type: string): boolean {
  return [before, after].some((one) => one?.spec.types.some((pattern) => matchesType(pattern, type)) === true);
}

function findingText({ file, line, field, object, reason, message }: Finding): string {
  const place = [object, field].filter((part) => part !== "").join(" ");
  return `${file}:${line}: ${place === "" ? "" : `${place}: `}${message} (${reason})`;
}

function tellPlan(summary: PlanSummary, { output, color }: PlanFlags): void {
  if (output === "text") return tell(planText(summary, wantsColour(color, process.stdout)));
  const { plans, refused, events, notes } = summary;
  return tell(shownJson({ changed: plans.some(isChange), refused, subscriptions: plans, events, notes }));
}
