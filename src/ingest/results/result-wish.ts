import { parseDuration } from "../../lib/duration.ts";
import { type Checked, refused } from "../refusal.ts";

/** Longest wait of one request, ms: below the 60 s after which most proxies give a silent connection up. A longer wish is cut to it. */
export const WAIT_MAX_MS = 55_000;
/** How long a poll waits that was reached by redirect and names no time, ms: else ten hops would be over within one round trip each. */
export const REDIRECT_WAIT_MS = 20_000;
/** Redirects from one call on; after so many the answer is `processing`. Most clients follow 20. */
export const HOPS_MAX = 10;

/** How a caller wants to hear of the result. */
export interface ResultWish {
  /** ms, at most WAIT_MAX_MS; undefined = nothing said. */
  readonly waitMs: number | undefined;
  /** The wait was asked for by Prefer (RFC 7240): the answer says Preference-Applied. */
  readonly preferred: boolean;
  readonly redirects: boolean;
  /** Redirects followed so far. */
  readonly hop: number;
}

export const NO_WISH: ResultWish = { waitMs: undefined, preferred: false, redirects: false, hop: 0 };

/** Reads `wait`, `pollingRedirectEnabled` and `hop` of a query, and `wait` of Prefer headers (joined by comma); the query wins. */
export function readWish(query: string, prefer: string | undefined): Checked<ResultWish> {
  if (query === "" && prefer === undefined) return { ok: true, value: NO_WISH };
  const parameters = new URLSearchParams(query);
  for (const name of ["wait", "pollingRedirectEnabled", "hop"]) {
    if (parameters.getAll(name).length > 1) return refused("parameter_invalid", `The parameter ${name} appears twice: send it once.`);
  }
  const asked = parameters.get("wait");
  const waitMs = asked === null ? undefined : waitOf(asked);
  if (asked !== null && waitMs === undefined) {
    return refused("parameter_invalid", "wait is not a duration such as 10s, 500ms or 10 (seconds).");
  }
  const redirects = parameters.get("pollingRedirectEnabled") ?? "false";
  if (redirects !== "true" && redirects !== "false") {
    return refused("parameter_invalid", "pollingRedirectEnabled must be true or false.");
  }
  const hop = parameters.get("hop") ?? "0";
  if (!/^[0-9]{1,3}$/.test(hop)) return refused("parameter_invalid", "hop must be a number: follow the redirect's address unchanged.");
  const preferredMs = waitMs === undefined && prefer !== undefined ? preferredWaitMs(prefer) : undefined;
  const wishedMs = waitMs ?? preferredMs;
  return {
    ok: true,
    value: {
      waitMs: wishedMs === undefined ? undefined : Math.min(wishedMs, WAIT_MAX_MS),
      preferred: preferredMs !== undefined,
      redirects: redirects === "true",
      hop: Number(hop),
    },
  };
}

/** Durations as everywhere in the API, or whole seconds as in Prefer. */
function waitOf(text: string): number | undefined {
  return /^[0-9]{1,5}$/.test(text) ? Number(text) * 1_000 : parseDuration(text);
}

/** RFC 7240 4.3; a preference that cannot be understood is ignored (section 2). */
function preferredWaitMs(prefer: string): number | undefined {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,5})"?(?=$|[,;\s])/i.exec(prefer)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
