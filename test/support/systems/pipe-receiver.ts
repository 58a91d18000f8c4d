import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Received } from "./system-receiver.ts";

const SAMPLES = join(import.meta.dirname, "pipe-samples");

export const PIPE_EVENTS = [
  "video_recorded",
  "video_converted",
  "video_copied_pipe_s3",
  "video_copied_ftp",
  "video_copied_s3",
  "video_copied_dbox",
] as const;

/** A webhook as Pipe's document has its readers take it. */
export interface PipeWebhook {
  readonly contentType: string;
  readonly version: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Reads a request as the document's PHP samples do: php://input for application/json, $_POST["payload"] for a form. */
export function readPipeWebhook({ headers, body }: Received): PipeWebhook {
  const contentType = headers["content-type"] ?? "";
  const json = contentType === "application/x-www-form-urlencoded" ? formValue(body.toString("latin1"), "payload") : body.toString("utf8");
  if (json === undefined) throw new Error("no payload parameter");
  return { contentType, ...(JSON.parse(json) as Omit<PipeWebhook, "contentType">) };
}

/** A parameter of an application/x-www-form-urlencoded body, as $_POST gives it. */
function formValue(body: string, name: string): string | undefined {
  for (const pair of body.split("&")) {
    const equals = pair.indexOf("=");
    if (equals > 0 && decoded(pair.slice(0, equals)) === name) return decoded(pair.slice(equals + 1));
  }
  return undefined;
}

function decoded(text: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "%") {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(text[at] === "+" ? 0x20 : text.charCodeAt(at));
    }
  }
  return Buffer.from(bytes).toString("utf8");
}

/** The document's sample of an event as a body of application/json: white space as in the POSTed data, none around it. */
export function pipeJsonSample(event: string): Buffer {
  const sample = readFileSync(join(SAMPLES, `${event}.json`), "utf8");
  const head = `{\n"version":"1.0",\n"event":"${event}",\n"data":`;
  const tail = "\n}\n";
  if (!sample.startsWith(head) || !sample.endsWith(tail)) throw new Error(`${event}: not the document's sample`);
  return Buffer.from(`{"version":"1.0","event":"${event}","data":${sample.slice(head.length, -tail.length)}}`);
}

/** The same as a form: what the document's one raw sample leaves as it is (letters, digits and -._~), and all else as %XX. */
export function pipeFormSample(event: string): Buffer {
  const encoded = [...pipeJsonSample(event)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  return Buffer.from(`payload=${encoded.join("")}`);
}

/** The document's "Raw POST data (URL encoded)", its line breaks and the missing `=` mended. */
export function pipeRawFormSample(): Buffer {
  return Buffer.from(readFileSync(join(SAMPLES, "video_recorded.form"), "utf8").trimEnd());
}
