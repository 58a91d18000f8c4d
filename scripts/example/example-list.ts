import type { Answer, Arrival } from "./example-receiver.ts";

/** How an example is run: what is posted in which order, and how its receiver answers. */
export interface Example {
  readonly about: string;
  /** Files of events/, without `.event`. */
  readonly events: readonly string[];
  readonly answer: Answer;
  /** What of a request is worth seeing beside its body. */
  readonly shown: (arrival: Arrival) => readonly string[];
}

export const EXAMPLES: Readonly<Record<string, Example>> = {
  pipe: {
    about: "Pipe: six events, as JSON and as a form; one attempt each",
    events: [
      "video_recorded",
      "video_converted",
      "video_copied_pipe_s3",
      "video_copied_ftp",
      "video_copied_s3",
      "video_copied_dbox",
      "video_recorded-as-posted",
    ],
    answer: () => 200,
    shown: withHeaders("content-type"),
  },
  perculus: {
    about: "Perculus: a token of its own second in every body; one message is refused once and comes again with a fresh one",
    events: [
      "session-report-ready",
      "session-report-failed",
      "single-video-ready",
      "single-video-failed",
      "session-status-started",
      "session-status-finished",
    ],
    answer: ({ body, attempt }) => (attempt === 1 && body.includes('"started"') ? 503 : 200),
    shown: ({ body }) => [`token: ${String((JSON.parse(body) as { token?: unknown }).token)}`],
  },
  "aioz-stream": {
    about: "AIOZ Stream: five events with flat properties, retried up to three times, 3 s apart; the second one is refused twice",
    events: ["file.received", "encoding.started", "partial.finished", "encoding.finished", "encoding.failed"],
    answer: ({ body, attempt }) => (attempt <= 2 && body.includes('"encoding.started"') ? 500 : 200),
    shown: withHeaders("x-aioz-signature", "x-aioz-token"),
  },
};

function withHeaders(...names: readonly string[]): Example["shown"] {
  return ({ headers }) => names.flatMap((name) => (headers[name] === undefined ? [] : [`${name}: ${String(headers[name])}`]));
}
