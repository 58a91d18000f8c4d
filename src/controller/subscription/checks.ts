import { celHint } from "../../core/expression/cel-hints.ts";
import { judgeService, judgeUrl } from "../../core/egress/url-rules.ts";
import { judgeHeaders } from "../../core/header-rules.ts";
import type { CompiledBody, CompiledFilter } from "../../core/expression/compile.ts";
import type { EffectivePolicy } from "../../core/policy-resolution.ts";
import { mergedProblem } from "../../core/problem.ts";
import type { Problem } from "../../core/problem.ts";
import type { Reason } from "../../core/reasons.ts";
import { SCHEMES } from "../../core/signing/scheme-registry.ts";
import type { EndpointSpec, SubscriptionSpec, Target } from "../../core/subscription.ts";
import { audienceProblem, tokenUrlProblem } from "../endpoint/auth.ts";
import type { ExpressionCache } from "./expression-cache.ts";
import type { SubscriptionFacts } from "./facts.ts";
import { HAND_OVER_MAX_MS } from "./facts.ts";
import { NamedReader } from "../endpoint/named-refs.ts";
import type { References } from "../endpoint/references.ts";
import { SecretReader } from "../endpoint/secret-refs.ts";
import type { SecretObject } from "../objects.ts";
import { signingHeaderProblem } from "./signing-headers.ts";
import { shownKeys, signingKeys, withAdvice } from "./signing-keys.ts";
import type { ShownKey } from "./signing-keys.ts";
import { resolveTarget } from "../endpoint/target.ts";

/** What the checks look at to accept a spec. */
export interface AcceptanceInput {
  readonly spec: SubscriptionSpec;
  readonly effective: EffectivePolicy;
  readonly expressions: ExpressionCache;
}

export interface AcceptanceCheck {
  readonly name: string;
  readonly check: (input: AcceptanceInput) => Problem | undefined;
}

/** What must hold for a spec to be accepted, in the order in which problems are told. `validate` runs the same chain. */
export const ACCEPTANCE_CHECKS: readonly AcceptanceCheck[] = [
  {
    name: "filter compiles",
    check: ({ spec, expressions }) => compileProblem(spec.filter, "spec.events.filter", "InvalidFilter", (s) => expressions.filter(s)),
  },
  {
    name: "body compiles",
    check: ({ spec, expressions }) => compileProblem(spec.payload.body, "spec.payload.body", "InvalidBody", (s) => expressions.body(s)),
  },
  { name: "headers may be sent", check: ({ spec }) => firstOf(spec, headerProblem) },
  { name: "signature has headers of its own", check: ({ spec }) => signingHeaderProblem(spec) },
  {
    name: "endpoint may be reached",
    check: ({ spec, effective }) => firstOf(spec, (endpoint, at) => endpointProblem(endpoint, at, effective)),
  },
  { name: "audience is the receiver's", check: ({ spec }) => firstOf(spec, ({ auth }, at) => audienceProblem(auth, `${at}.auth`)) },
  {
    name: "token endpoint may be reached",
    check: ({ spec, effective }) => firstOf(spec, (endpoint, at) => tokenEndpointProblem(endpoint, at, effective)),
  },
];

/** The first problem in the way of accepting a spec. */
export function acceptanceProblem(input: AcceptanceInput): Problem | undefined {
  for (const { check } of ACCEPTANCE_CHECKS) {
    const problem = check(input);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function compileProblem(
  source: string | undefined,
  field: string,
  reason: Reason,
  compile: (source: string) => { readonly ok: true } | { readonly ok: false; readonly problem: Problem },
): Problem | undefined {
  if (source === undefined) return undefined;
  const compiled = compile(source);
  if (compiled.ok) return undefined;
  const { message } = compiled.problem;
  return { field, reason, message: message + celHint(source, message) };
}

/** The endpoints that a spec names, each with its place in the resource. */
function endpointsOf({ endpoint, deadLetter }: SubscriptionSpec): readonly (readonly [at: string, endpoint: EndpointSpec])[] {
  const own = ["spec.endpoint", endpoint] as const;
  return deadLetter === undefined ? [own] : [own, ["spec.deadLetter.endpoint", deadLetter]];
}

function firstOf(spec: SubscriptionSpec, check: (endpoint: EndpointSpec, at: string) => Problem | undefined): Problem | undefined {
  for (const [at, endpoint] of endpointsOf(spec)) {
    const problem = check(endpoint, at);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Values from Secrets are judged when they are resolved. */
function headerProblem({ headers, auth }: EndpointSpec, at: string): Problem | undefined {
  const written = headers.map(({ name, value }) => [name, typeof value === "string" ? value : ""] as const);
  const problem = judgeHeaders(written, auth !== undefined);
  return problem && { ...problem, field: problem.field.replace("spec.endpoint", at) };
}

function endpointProblem({ address }: EndpointSpec, at: string, effective: EffectivePolicy): Problem | undefined {
  if (address.kind === "urlSecretRef") return undefined;
  if (address.kind === "serviceRef") {
    const message = judgeService(address.port, effective.egress);
    const problem: Problem | undefined = message === undefined ? undefined : { field: `${at}.serviceRef`, reason: "EgressDenied", message };
    return namingPolicy(problem, `the Service ${address.name}`, effective);
  }
  const problem = judgeUrl(address.url, effective.egress, effective.limits);
  return namingPolicy(problem && { ...problem, field: `${at}.url` }, hostOf(address.url), effective);
}

function tokenEndpointProblem({ auth }: EndpointSpec, at: string, effective: EffectivePolicy): Problem | undefined {
  return auth?.kind === "oauth2"
    ? namingPolicy(tokenUrlProblem(auth, `${at}.auth`, effective), hostOf(auth.tokenUrl), effective)
    : undefined;
}

/** Says also whose rules refuse the place. */
function namingPolicy(problem: Problem | undefined, place: string | undefined, { cluster }: EffectivePolicy): Problem | undefined {
  if (problem === undefined) return undefined;
  const by = cluster === undefined ? "no ClusterDeliveryPolicy applies: public HTTPS only" : `ClusterDeliveryPolicy ${cluster.name}`;
  return { ...problem, message: `${place ?? "the endpoint"}: ${problem.message} (${by})` };
}

/** Host and port of a URL, for people; undefined when it is none. */
export function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host.slice(0, 253) : undefined;
}

/** What is to be done with a subscription. */
export interface Verdict {
  /** Why the spec as it is now is not accepted; also where it was refused before it came here, and an older one stands for it. */
  readonly refusal: Problem | undefined;
  /** What is obeyed: the spec as it is now, or the last accepted one; undefined when none ever was. */
  readonly active: ActiveSpec | undefined;
  /** A signing Secret must be generated first. */
  readonly needsKey: boolean;
  /** The generated Secret, once it is there and ours. */
  readonly ownKey: SecretObject | undefined;
  /** The keys that sign, as the status shows them; none while they do not resolve. */
  readonly signingKeys: readonly ShownKey[];
}

export interface ActiveSpec {
  readonly spec: SubscriptionSpec;
  readonly generation: number;
  readonly effective: EffectivePolicy;
  readonly filter: CompiledFilter | undefined;
  readonly body: CompiledBody | undefined;
  /** Why nothing may be sent although events match. */
  readonly blocked: Problem | undefined;
  readonly target: Target | undefined;
}

/** Judges one subscription from its facts. Pure: the same facts give the same verdict. */
export function judgeSubscription(facts: SubscriptionFacts, expressions: ExpressionCache): Verdict {
  const { decoded, resolution } = facts;
  const refusal = decoded.ok
    ? acceptanceProblem({ spec: decoded.value, effective: resolution.effective, expressions })
    : mergedProblem(decoded.problems);
  const chosen =
    refusal === undefined && decoded.ok
      ? { spec: decoded.value, generation: facts.generation, resolution }
      : facts.lastAccepted && {
          spec: facts.lastAccepted.spec,
          generation: facts.lastAccepted.generation,
          resolution: facts.lastResolution,
        };
  if (chosen === undefined) return { refusal, active: undefined, needsKey: false, ownKey: undefined, signingKeys: [] };
  const { spec, generation } = chosen;
  const { effective, problem: policyProblem } = chosen.resolution;
  const keys = signingKeys(facts, spec);
  const refs = policyProblem ?? keys.problem;
  const found = refs === undefined ? resolveTarget(spec, keys.refs, referencesOf(facts), effective) : { ok: false as const, problem: refs };
  const waits = found.ok ? handOverProblem(facts, spec) : undefined;
  const resolved = waits === undefined ? found : { ok: false as const, problem: waits };
  const active: ActiveSpec = {
    spec,
    generation,
    effective,
    filter: spec.filter === undefined ? undefined : filterOf(spec.filter, expressions),
    body: spec.payload.body === undefined ? undefined : bodyOf(spec.payload.body, expressions),
    blocked: resolved.ok ? undefined : withAdvice(resolved.problem, keys, facts),
    target: resolved.ok ? resolved.value : undefined,
  };
  const shown = keys.problem === undefined && SCHEMES[spec.signing.scheme].needsKey ? shownKeys(keys.refs, facts, keys.own) : [];
  return { refusal: refusal ?? facts.newerRefused, active, needsKey: keys.missing, ownKey: keys.own, signingKeys: shown };
}

/** Without an order both may send at the same time; with one, what was accepted first is sent first. */
function handOverProblem({ drainedBy }: SubscriptionFacts, { ordering }: SubscriptionSpec): Problem | undefined {
  if (drainedBy === undefined || ordering === undefined) return undefined;
  const command = `postrider uninstall --class ${drainedBy}`;
  const message = `the installation of class ${drainedBy} still delivers what it accepted, and order is kept: deliveries wait for it, for at most ${HAND_OVER_MAX_MS / 60_000} minutes; if it is gone for good, end this with \`${command}\``;
  return { field: "spec.className", reason: "HandingOver", message };
}

function referencesOf({ object, secrets, named, systemSecrets, systemNamespace }: SubscriptionFacts): References {
  const { namespace } = object.metadata;
  return {
    namespace,
    secrets: new SecretReader(namespace, secrets),
    named: new NamedReader(namespace, named),
    system: new SecretReader(systemNamespace, systemSecrets),
  };
}

/** A filter that was accepted once and does not compile any more (another version) matches nothing and is counted, never guessed. */
export function filterOf(source: string, expressions: ExpressionCache): CompiledFilter {
  const compiled = expressions.filter(source);
  if (compiled.ok) return compiled.value;
  const { message } = compiled.problem;
  return { source, evaluate: () => ({ ok: false, message, steps: 1, cut: false }), blame: () => undefined };
}

/** The same for a body: what cannot be made is not sent. */
export function bodyOf(source: string, expressions: ExpressionCache): CompiledBody {
  const compiled = expressions.body(source);
  if (compiled.ok) return compiled.value;
  const { message } = compiled.problem;
  return { source, costly: false, evaluate: () => ({ ok: false, message, steps: 1, cut: false }) };
}
