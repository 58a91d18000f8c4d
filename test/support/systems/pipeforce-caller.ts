import { readHttpFile } from "../../../scripts/example/http-file.ts";

/** What a caller gets back: the document's result JSON as it came, and the header with the correlation id. */
export interface PipeforceAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly correlationHeader: string | null;
  /** Where a 303 leads to. */
  readonly location: string | null;
}

/** A system outside that knows nothing but the document: sends a request as it is written down, follows no redirect by itself. */
export async function callPipeforce(ingest: string, request: string, correlationId = ""): Promise<PipeforceAnswer> {
  const { method, target, headers, body } = readHttpFile(request, { correlationId });
  const answer = await fetch(`${ingest}${target}`, { method, headers, redirect: "manual", ...(body === undefined ? {} : { body }) });
  return {
    status: answer.status,
    body: Buffer.from(await answer.arrayBuffer()),
    correlationHeader: answer.headers.get("postrider-result-correlationid"),
    location: answer.headers.get("location"),
  };
}

/** The document's answer once the work has ended: the same fields, with what became of it as the value. */
export function okAnswer(correlationId: string, value: string, pollingRedirectEnabled: boolean): Buffer {
  const shown = { statusCode: 200, status: "ok", value: null, pollingRedirectEnabled, correlationId };
  return Buffer.from(JSON.stringify(shown).slice(0, -1).replace("null", value));
}

/** The document's "Processing response" for an id, up to its "...": further fields may follow. Without white space. */
export function processingAnswer(correlationId: string): Buffer {
  const shown = { statusCode: 200, status: "processing", value: null, pollingRedirectEnabled: false, correlationId };
  return Buffer.from(JSON.stringify(shown).slice(0, -1));
}
