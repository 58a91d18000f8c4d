import type { Answer, Arrival } from "./example-receiver.ts";

/** How an example is run: what is posted in which order, and how its receiver answers. */
export interface Example {
  readonly about: string;
  /** Flags of the operator that say who is let in. */
  readonly auth: readonly string[];
  /** Files of events/: `.event` is POSTed to the ingest as an event, `.http` is a whole request, in which `{correlationId}` is that of the request before. */
  readonly events: readonly string[];
  readonly answer: Answer;
  /** What of a request is worth seeing beside its body. */
  readonly shown: (arrival: Arrival) => readonly string[];
}

const EVERYBODY = ["--ingest-auth", "none", "--api-auth", "none"];
const TOKEN_HOLDERS = ["--ingest-auth", "static", "--ingest-token-in-query", "true", "--api-auth", "none"];

export const EXAMPLES: Readonly<Record<string, Example>> = {
  pipe: {
    about: "Pipe: six events, as JSON and as a form; one attempt each, one of which fails and is sent again by Retry",
    auth: EVERYBODY,
    events: [
      "video_recorded.event",
      "video_converted.event",
      "video_copied_pipe_s3.event",
      "video_copied_ftp.event",
      "video_copied_s3.event",
      "video_copied_dbox.event",
      "video_recorded-as-posted.event",
    ],
    answer: ({ path, body, attempt }) => (attempt === 1 && path === "/pipe/json" && body.includes('"video_converted"') ? 500 : 200),
    shown: withHeaders("content-type"),
  },
  perculus: {
    about: "Perculus: a fresh token in every body; one message is refused once and sent again with a new one",
    auth: EVERYBODY,
    events: [
      "session-report-ready.event",
      "session-report-failed.event",
      "single-video-ready.event",
      "single-video-failed.event",
      "session-status-started.event",
      "session-status-finished.event",
    ],
    answer: ({ body, attempt }) => (attempt === 1 && body.includes('"started"') ? 503 : 200),
    shown: ({ body }) => [`token: ${String((JSON.parse(body) as { token?: unknown }).token)}`],
  },
  "aioz-stream": {
    about: "AIOZ Stream: five events with flat properties, retried up to three times, 3 s apart; the second one is refused twice",
    auth: EVERYBODY,
    events: ["file.received.event", "encoding.started.event", "partial.finished.event", "encoding.finished.event", "encoding.failed.event"],
    answer: ({ body, attempt }) => (attempt <= 2 && body.includes('"encoding.started"') ? 500 : 200),
    shown: withHeaders("x-aioz-signature", "x-aioz-token"),
  },
  pipeforce: {
    about:
      "PIPEFORCE: callers that cannot be changed, with the token in a header, in a JSON body, in a form and in the query; results at once, by polling and by redirect",
    auth: TOKEN_HOLDERS,
    events: [
      "token-in-header.http",
      "token-in-body.http",
      "token-in-form.http",
      "token-in-query.http",
      "poll-the-result.http",
      "value-at-once.http",
      "redirect-to-the-result.http",
    ],
    answer: () => 200,
    shown: withHeaders("content-type"),
  },
};

function withHeaders(...names: readonly string[]): Example["shown"] {
  return ({ headers }) => names.flatMap((name) => (headers[name] === undefined ? [] : [`${name}: ${String(headers[name])}`]));
}
