import { bearerToken, TOKEN_CHARS_MAX } from "../core/access-token.ts";

/** Whether a request may read `/metrics`, or how it is answered. */
export type ScrapeVerdict = { readonly ok: true } | { readonly ok: false; readonly status: 401 | 403 | 503; readonly text: string };

/** Who may read `/metrics`; `authorization` holds the value of every such header of the request, in order. Never rejects. */
export type ScrapeAccess = (authorization: readonly string[]) => Promise<ScrapeVerdict>;

/** Asks the cluster who a token is and whether they may. Never rejects. */
export interface ScrapeReviewer {
  review(token: string, access: { readonly path: string; readonly verb: string }): ReviewVerdict | Promise<ReviewVerdict>;
}

type ReviewVerdict = "allowed" | "unauthenticated" | "forbidden" | "unavailable";

const ACCESS = { path: "/metrics", verb: "get" } as const;

const ANSWERS: Readonly<Record<ReviewVerdict, ScrapeVerdict>> = {
  allowed: { ok: true },
  unauthenticated: {
    ok: false,
    status: 401,
    text: "send one 'Authorization: Bearer …' with a ServiceAccount's token for the API server (--metrics-auth kubernetes)\n",
  },
  forbidden: {
    ok: false,
    status: 403,
    text: "the token is valid, but lacks the permission to get /metrics; allow it with a ClusterRole that has nonResourceURLs: [/metrics], verbs: [get]\n",
  },
  unavailable: { ok: false, status: 503, text: "the API server cannot verify tokens right now: try again shortly\n" },
};

/** As controller-runtime's metrics with authentication: ServiceAccounts that RBAC lets `get` the path `/metrics`. */
export function reviewedScrapes(reviewer: ScrapeReviewer): ScrapeAccess {
  return async (authorization) => {
    const [header] = authorization;
    const token = header === undefined || authorization.length !== 1 ? undefined : bearerToken(header);
    if (token === undefined || token.length > TOKEN_CHARS_MAX) return ANSWERS.unauthenticated;
    return ANSWERS[await reviewer.review(token, ACCESS)];
  };
}
