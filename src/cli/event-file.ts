import { readFileSync } from "node:fs";
import { EVENT_BYTES_MAX, REQUEST_BYTES_MAX, type Event } from "../core/event.ts";
import { scanJson } from "../core/json-scan.ts";
import { eventOf } from "../ingest/accepted-event.ts";
import { readJsonRequest } from "../ingest/json-envelope.ts";
import type { Clock } from "../lib/clock.ts";
import { dataFault } from "./json-fault.ts";
import { CommandFailure } from "./program.ts";
import { cannotRead } from "./read-fault.ts";
import { readStdin } from "./stdin.ts";

/** The events of a file as the ingest would take them: short form, a CloudEvent, or an array of CloudEvents. @throws CommandFailure */
export function readEvents(file: string, clock: Clock): (namespace: string) => readonly Event[] {
  const body = readBytes(file);
  const scan = scanJson(body, 1);
  if (!scan.ok) throw new CommandFailure(dataFault(body, file === "-" ? "-" : `@${file}`) ?? scan.error.message);
  const isBatch = scan.root.kind === "array";
  const bytesMax = isBatch ? REQUEST_BYTES_MAX : EVENT_BYTES_MAX;
  if (body.length > bytesMax) {
    const code = isBatch ? "request_too_large" : "event_too_large";
    throw new CommandFailure(`${file}: the ingest would refuse it (${code}): it has ${body.length} bytes; at most ${bytesMax} are allowed`);
  }
  const isEnvelope = scan.root.members.some(({ key }) => key === "specversion");
  const read = readJsonRequest(body, isBatch ? "batch" : isEnvelope ? "structured" : "short");
  const drafts = read.ok ? read.value.drafts(false) : read;
  if (!drafts.ok) {
    const { code, detail, pointer } = drafts.refusal;
    throw new CommandFailure(`${file}: the ingest would refuse it (${code}${pointer === undefined ? "" : ` at ${pointer}`}): ${detail}`);
  }
  return (namespace) => drafts.value.map((draft) => eventOf(namespace, draft, clock));
}

function readBytes(file: string): Buffer {
  try {
    return file === "-" ? readStdin() : readFileSync(file);
  } catch (error) {
    throw cannotRead(file, error);
  }
}
