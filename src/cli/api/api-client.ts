import type { Clock } from "../../lib/clock.ts";
import { CommandFailure } from "../program.ts";
import { jsonObject } from "../publish-answer.ts";
import { type ServerAnswer, ServerCaller, type Trust } from "../server-call.ts";
import type { ClockSkew } from "./moment.ts";

/** Where the API is, and who asks. */
export interface ApiConnection {
  readonly server: string;
  readonly trust: Trust;
  readonly token: string | undefined;
  readonly timeoutMs: number;
}

/** Parameters of a call; what is undefined is left out. */
export type ApiParameters = Readonly<Record<string, string | undefined>>;

/** The API answered, but not with what was asked for. `code` is that of docs/errors.md; empty where something else than our API answered. */
export class ApiRefusal extends CommandFailure {
  override readonly name = "CommandFailure";
  readonly status: number;
  readonly problem: string;
  readonly detail: string;

  constructor(status: number, problem: string, detail: string, message: string) {
    super(message);
    this.status = status;
    this.problem = problem;
    this.detail = detail;
  }
}

/** How often a read is repeated that the operator was too busy for, and how long before it, at most. */
const BUSY_REPEATS = 3;
const BUSY_WAIT_MAX_MS = 10_000;
/** Beyond this, what "the last two hours" means here is not what it means there. */
const SKEW_MS = 60_000;

/** Calls of the read and act API. Reads are repeated while the operator is too busy for them; acts never are, because the first may have worked. */
export class ApiClient {
  readonly #connection: ApiConnection;
  readonly #clock: Clock;
  readonly #caller: ServerCaller;
  #skew: ClockSkew | undefined;

  constructor(connection: ApiConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#caller = new ServerCaller(connection.server, connection.trust);
  }

  /** The answer's JSON, as written. @throws ApiRefusal, CommandFailure */
  async get(path: string, parameters: ApiParameters = {}): Promise<string> {
    for (let repeats = 0; ; repeats++) {
      const answer = await this.#call({ method: "GET", path, parameters, body: "", timeoutMs: this.#connection.timeoutMs });
      if (answer.status === 200) return answer.text;
      if (answer.status !== 503 || answer.retryAfter === undefined || repeats >= BUSY_REPEATS) throw refusal(answer, this.#connection);
      await heldPause(Math.min(Number(answer.retryAfter) * 1_000 || 1_000, BUSY_WAIT_MAX_MS));
    }
  }

  /** @throws ApiRefusal, CommandFailure */
  async post(
    path: string,
    order: { readonly parameters?: ApiParameters; readonly body?: string; readonly waitMs?: number } = {},
  ): Promise<string> {
    const { parameters = {}, body = "", waitMs = 0 } = order;
    const answer = await this.#call({ method: "POST", path, parameters, body, timeoutMs: this.#connection.timeoutMs + waitMs });
    if (answer.status >= 200 && answer.status <= 299) return answer.text;
    throw refusal(answer, this.#connection);
  }

  /** How far the operator's clock is from this machine's, if that is enough to change what a time means; once known. */
  get skew(): ClockSkew | undefined {
    return this.#skew;
  }

  close(): void {
    this.#caller.close();
  }

  async #call(order: {
    readonly method: "GET" | "POST";
    readonly path: string;
    readonly parameters: ApiParameters;
    readonly body: string;
    readonly timeoutMs: number;
  }): Promise<ServerAnswer> {
    const { server, token } = this.#connection;
    const given = Object.entries(order.parameters).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const query = given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
    const url = `${server.replace(/\/+$/, "")}/v1/${order.path}${query}`;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const body = Buffer.from(order.body);
    const typed = body.length === 0 ? headers : { ...headers, "content-type": "application/json" };
    const answer = await this.#caller.call({ method: order.method, url, headers: typed, body, timeoutMs: order.timeoutMs });
    this.#noteClock(answer.date);
    return answer;
  }

  #noteClock(date: string | undefined): void {
    const aheadMs = date === undefined ? Number.NaN : Date.parse(date) - this.#clock.trueMs();
    if (Math.abs(aheadMs) >= SKEW_MS) this.#skew = { operatorAheadMs: aheadMs };
  }
}

/** Our clock's timers do not hold the process; in a command nothing else does. */
export function heldPause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function refusal(answer: ServerAnswer, { server, token }: ApiConnection): ApiRefusal {
  const { status, statusText, retryAfter, text } = answer;
  const problem = jsonObject(text);
  const code = problem?.["code"];
  if (typeof code !== "string") {
    const isIngest = status === 404 || status === 405 ? " Is --server the API port (8081 by default), not the ingest or the metrics?" : "";
    return new ApiRefusal(status, "", "", `${server} answered ${status} ${statusText}: ${text.slice(0, 200)}${isIngest}`);
  }
  const detail = typeof problem?.["detail"] === "string" ? problem["detail"] : "";
  const wait = retryAfter === undefined ? "" : ` Try again after ${retryAfter} s.`;
  return new ApiRefusal(
    status,
    code,
    detail,
    `refused with ${status} ${code}: ${String(problem?.["title"])}. ${detail}${wait}${tokenHint(status, token)}`,
  );
}

function tokenHint(status: number, token: string | undefined): string {
  if (status !== 401) return "";
  return token === undefined
    ? " No token was given: use --token-file FILE, or POSTRIDER_TOKEN. In a cluster: kubectl create token SERVICEACCOUNT --audience postrider-api"
    : " The token may have expired. In a cluster: kubectl create token SERVICEACCOUNT --audience postrider-api";
}
