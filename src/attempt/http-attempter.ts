import type { Outcome } from "../core/outcome.ts";
import { requestedRate } from "../core/permission.ts";
import { NO_BODY_FIELD, withBodyToken } from "../core/payload.ts";
import type { Payload, Rendering } from "../core/payload.ts";
import type { Policy } from "../core/policy.ts";
import type { Route } from "../core/route-table.ts";
import type { Scheme } from "../core/signing/scheme.ts";
import { SCHEMES } from "../core/signing/scheme-registry.ts";
import type { Subscription, Target } from "../core/subscription.ts";
import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { errorCode, UNKNOWN_CODE } from "../lib/error-code.ts";
import { systemRandom } from "../lib/random.ts";
import type { Random } from "../lib/random.ts";
import { Slots } from "../lib/slots.ts";
import { TimerWheel } from "../lib/timer-wheel.ts";
import { REDACTED, redactSecretUrl, redactUrl } from "../observe/redact.ts";
import type { AttemptDone, AttemptInput, Attempter, PermissionAsker } from "../delivery/attempter.ts";
import { Authorizer } from "./token/authorizer.ts";
import type { Exchangeable } from "./token/authorizer.ts";
import { BodyDesk } from "./body-desk.ts";
import type { ServiceAccountTokens } from "./token/token-issuer.ts";
import { Dispatcher } from "./http/dispatcher.ts";
import type { PoolTarget } from "./http/dispatcher.ts";
import { EGRESS_DENIED, refusalOf } from "./connect/egress-guard.ts";
import { ReceiverExchange } from "./http/receiver-exchange.ts";
import { RequestHeaders } from "./request-headers.ts";
import { DnsResolver } from "./connect/resolver.ts";
import type { NameResolver } from "./connect/resolver.ts";
import { keySecrets, SecretWords } from "./http/secret-words.ts";
import { sentSecrets } from "./http/sent-secrets.ts";
import { SideRequests } from "./http/side-request.ts";
import type { HeldToken } from "./token/token-book.ts";

const NO_BODY = new Uint8Array(0);
const STOPPING = "Postrider is shutting down";

export interface HttpAttempterOptions {
  readonly clock: Clock;
  /** For `User-Agent: Postrider/<version>`. */
  readonly version: string;
  /** Default: c-ares with the system's name servers. */
  readonly resolver?: NameResolver;
  /** PEM certificates trusted instead of Node's own list (tests). */
  readonly ca?: readonly string[];
  /** Spreads the renewal of tokens. */
  readonly random?: Random;
  /** Who gives ServiceAccount tokens; undefined without a cluster. */
  readonly serviceAccounts?: ServiceAccountTokens | undefined;
  /** The name under which receivers are asked for permission to send. Default: `postrider`. */
  readonly origin?: string;
}

/** What is the same for every attempt of one state of a subscription: worked out once, kept as long as that state is. */
interface Prepared {
  readonly target: Target;
  readonly scheme: Scheme;
  readonly pool: PoolTarget;
  readonly path: string;
  readonly tls: boolean;
  readonly captureBytes: number;
  readonly headers: RequestHeaders;
  readonly shownUrl: string;
  readonly secrets: readonly string[];
  /** The same, and the keys, for what a receiver says again in its body. */
  readonly words: SecretWords;
  readonly refused: string | undefined;
  readonly exchangeable: Exchangeable | undefined;
}

interface Sendable {
  readonly payload: Payload;
  /** The body with its token hidden, where the token stands in the body. */
  readonly shownBody: Uint8Array | undefined;
}

/** Makes attempts over HTTP: renders, signs, sends, and says what came of it. Nothing is kept between attempts but connections. */
export class HttpAttempter implements Attempter, PermissionAsker {
  readonly origin: string;
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #wheel: TimerWheel;
  readonly #dispatcher: Dispatcher;
  readonly #resolver: NameResolver & { close?: () => void };
  readonly #requests: SideRequests;
  readonly #authorizer: Authorizer;
  readonly #prepared = new WeakMap<Subscription, Prepared>();
  readonly #underWay = new Slots<ReceiverExchange>();
  readonly #bodies: BodyDesk;

  constructor(options: HttpAttempterOptions) {
    this.#clock = options.clock;
    this.origin = options.origin ?? "postrider";
    this.#userAgent = `Postrider/${options.version}`;
    this.#wheel = new TimerWheel(options.clock);
    this.#bodies = new BodyDesk(options.clock);
    this.#resolver = options.resolver ?? new DnsResolver({ clock: options.clock });
    this.#dispatcher = new Dispatcher({ clock: options.clock, wheel: this.#wheel, resolver: this.#resolver, ca: options.ca });
    this.#requests = new SideRequests({ clock: options.clock, wheel: this.#wheel, dispatcher: this.#dispatcher });
    this.#authorizer = new Authorizer({
      clock: options.clock,
      random: options.random ?? systemRandom,
      requests: this.#requests,
      userAgent: this.#userAgent,
      serviceAccounts: options.serviceAccounts,
    });
  }

  attempt(input: AttemptInput): Promise<AttemptDone> {
    return new Promise((resolve) => this.#bodies.make(input.event, input.route, (rendering) => this.#start(input, rendering, resolve)));
  }

  forget(uid: string): void {
    this.#dispatcher.forget(uid);
  }

  async close(): Promise<void> {
    this.#bodies.close();
    for (const exchange of this.#underWay) exchange.cancel(STOPPING);
    this.#requests.cancel(STOPPING);
    this.#resolver.close?.();
    await this.#dispatcher.close();
    this.#wheel.clear();
  }

  /** The validation request (CloudEvents webhook, 4.1): no secret goes to somebody who has not agreed, so it carries no credentials. */
  askPermission({ uid, target, egress, policy }: Subscription): Promise<Outcome> {
    assert(target !== undefined, "a receiver is asked only once its references are resolved");
    const rate = requestedRate(policy.rateLimit);
    const { dial, tls, proxy } = target;
    const headers = ["user-agent", this.#userAgent, "webhook-request-origin", this.origin];
    if (rate !== undefined) headers.push("webhook-request-rate", String(rate));
    return this.#requests.send({
      pool: `handshake ${uid}`,
      method: "OPTIONS",
      url: target.url,
      urlIsSecret: target.urlIsSecret,
      headers,
      body: NO_BODY,
      egress,
      via: { dial, tls, proxy },
      connectLimitMs: policy.connectTimeoutMs,
      timeoutMs: policy.timeoutMs,
      answerBytesMax: 0,
    });
  }

  /** Connections a subscription holds now; for tests and metrics. */
  connections(uid: string): number {
    return this.#dispatcher.connections(uid);
  }

  /** Without a rendering it is over before anything is sent: Postrider stops. */
  #start(input: AttemptInput, rendering: Rendering | undefined, resolve: (done: AttemptDone) => void): void {
    const { subscription } = input.route;
    const prepared = this.#prepare(subscription);
    // Others compare it with their own clocks, and people read it.
    const startedAtMs = this.#clock.trueMs();
    const timestampSec = Math.floor(startedAtMs / 1_000);
    const sendable = rendering === undefined ? STOPPING : readied(rendering, prepared, input.route, timestampSec);
    const headers = typeof sendable === "string" ? prepared.headers.bare(input.event) : signed(prepared, sendable, input, timestampSec);
    const { exchangeable } = prepared;
    const policy = timeLimited(subscription.policy, input.timeoutMaxMs);
    const abandon = (): void => exchange.cancel("cut off: the caller has hung up");
    let token: string | undefined;
    const exchange: ReceiverExchange = new ReceiverExchange({
      clock: this.#clock,
      policy,
      tls: prepared.tls,
      captureBytes: prepared.captureBytes,
      secrets: () => (token === undefined ? prepared.secrets : [...prepared.secrets, token]),
      stoodMs: () => this.#wheel.stoodSince(deadline),
      done: (ended: Outcome) => {
        this.#wheel.cancel(deadline);
        this.#underWay.remove(index, exchange);
        input.signal?.removeEventListener("abort", abandon);
        const requestBody = typeof sendable === "string" ? undefined : sendable.shownBody;
        const outcome = exchangeable === undefined || token === undefined ? ended : this.#authorizer.judged(exchangeable, token, ended);
        const shown = withBodyToShow(outcome, input, { prepared, token, timestampSec });
        resolve({ outcome: shown, startedAtMs, url: prepared.shownUrl, requestHeaders: headers.shown, requestBody });
      },
    });
    const deadline = this.#wheel.add(policy.timeoutMs, exchange);
    const index = this.#underWay.add(exchange);
    input.signal?.addEventListener("abort", abandon, { once: true });
    if (input.signal?.aborted === true) return abandon();
    if (sendable === STOPPING) return exchange.cancel(STOPPING);
    if (typeof sendable === "string") return exchange.refuse("client_error", "PAYLOAD_INVALID", sendable);
    if (prepared.refused !== undefined) return exchange.refuseUrl(EGRESS_DENIED, `not sent: ${prepared.refused}`);
    const send = (): void => this.#send(exchange, input, { prepared, headers: headers.sent, body: sendable.payload.body });
    if (exchangeable === undefined) return send();
    this.#withToken(exchange, exchangeable, (given) => {
      token = given;
      headers.sent.push("authorization", `Bearer ${given}`);
      headers.shown.push(["authorization", REDACTED]);
      send();
    });
  }

  /** Goes on with a token, at once where one is held; without one the attempt has failed. What the fetch takes counts against the deadline. */
  #withToken(exchange: ReceiverExchange, exchangeable: Exchangeable, goOn: (token: string) => void): void {
    const took = (held: HeldToken): void => {
      exchange.waitFor(undefined);
      if (exchange.ended) return;
      if (held.ok) goOn(held.token);
      else exchange.giveUp(held);
    };
    const held = this.#authorizer.token(exchangeable);
    if (!(held instanceof Promise)) return took(held);
    exchange.waitFor(`no token from ${exchangeable.issuer}`);
    void held.then(took);
  }

  #send(exchange: ReceiverExchange, input: AttemptInput, request: { prepared: Prepared; headers: string[]; body: Uint8Array }): void {
    const { prepared, headers, body } = request;
    try {
      const { pool, path } = prepared;
      this.#dispatcher.send(input.route.subscription.uid, pool, { method: "POST", path, headers, body }, exchange);
    } catch (error) {
      const code = errorCode(error) ?? UNKNOWN_CODE;
      exchange.refuse("client_error", code, `the request could not be built (${code}): check the endpoint's headers`);
    }
  }

  #prepare(subscription: Subscription): Prepared {
    const known = this.#prepared.get(subscription);
    if (known !== undefined) return known;
    const { target, egress, policy, spec } = subscription;
    assert(target !== undefined, "an attempt requires a subscription whose references are resolved");
    const scheme = SCHEMES[spec.signing.scheme];
    const refused = refusalOf(target, egress);
    const isSecret = target.urlIsSecret === true;
    const url = URL.canParse(target.url) ? new URL(target.url) : new URL("https://invalid.invalid/");
    const secrets = sentSecrets(target.url, isSecret, [...target.headers.map(([, value]) => value), target.authorization ?? ""]);
    const prepared: Prepared = {
      target,
      scheme,
      pool: {
        origin: url.origin,
        egress,
        connections: policy.maxInFlight,
        connectLimitMs: Math.min(policy.connectTimeoutMs, policy.timeoutMs),
        dial: target.dial,
        tls: target.tls,
        proxy: target.proxy,
      },
      path: `${url.pathname}${url.search}`,
      tls: url.protocol === "https:",
      captureBytes: spec.history.captureResponse ? policy.retention.responseBytes : 0,
      headers: new RequestHeaders(this.#userAgent, target, scheme.shownHeaders),
      shownUrl: isSecret ? redactSecretUrl(target.url) : redactUrl(target.url),
      secrets,
      words: new SecretWords([...secrets, ...keySecrets(target.keys)]),
      refused,
      exchangeable: this.#authorizer.exchangeable(subscription, target),
    };
    this.#prepared.set(subscription, prepared);
    return prepared;
  }
}

function timeLimited(policy: Policy, timeoutMaxMs: number | undefined): Policy {
  return timeoutMaxMs === undefined || timeoutMaxMs >= policy.timeoutMs ? policy : { ...policy, timeoutMs: timeoutMaxMs };
}

/** The body to send, or why there is none. */
function readied(rendered: Rendering, { scheme, target }: Prepared, route: Route, timestampSec: number): Sendable | string {
  if (!rendered.ok) return `payload.body failed: ${rendered.message}`;
  const { signing } = route.subscription.spec;
  const field = scheme.bodyField(signing);
  const proof = field === undefined ? undefined : scheme.unboundProof(signing, target.keys, timestampSec);
  if (field === undefined || proof === undefined) return { payload: rendered.payload, shownBody: undefined };
  const payload = withBodyToken(rendered.payload, field, proof);
  return payload === undefined ? NO_BODY_FIELD : { payload, shownBody: withBodyToken(rendered.payload, field, REDACTED)?.body };
}

/** Without what the request carried as a secret in the answer's body, as far as it can be recognized. */
function withBodyToShow(
  outcome: Outcome,
  { route }: AttemptInput,
  made: { readonly prepared: Prepared; readonly token: string | undefined; readonly timestampSec: number },
): Outcome {
  const { responseBody } = outcome;
  if (responseBody.length === 0) return outcome;
  const { prepared, token, timestampSec } = made;
  const proof = prepared.scheme.unboundProof(route.subscription.spec.signing, prepared.target.keys, timestampSec);
  const ofThisOne = new SecretWords([token, proof].filter((each) => each !== undefined));
  const shown = prepared.words.hide(ofThisOne.hide(responseBody, prepared.captureBytes), prepared.captureBytes);
  return shown === responseBody ? outcome : { ...outcome, responseBody: shown };
}

function signed(
  prepared: Prepared,
  { payload }: Sendable,
  input: AttemptInput,
  timestampSec: number,
): ReturnType<RequestHeaders["forAttempt"]> {
  const { signing } = input.route.subscription.spec;
  const signature = prepared.scheme.sign(signing, prepared.target.keys, {
    id: input.event.id,
    timestampSec,
    body: payload.body,
    url: prepared.target.url,
    contentType: payload.contentType,
  });
  return prepared.headers.forAttempt(input.event, payload, signature);
}
