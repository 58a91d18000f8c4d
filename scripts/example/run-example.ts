import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Example } from "./example-list.ts";
import { ExampleReceiver } from "./example-receiver.ts";
import type { Arrival } from "./example-receiver.ts";
import { History } from "./history.ts";
import { readHttpFile } from "./http-file.ts";
import type { HttpRequest } from "./http-file.ts";
import { writeLocalManifests } from "./local-manifests.ts";
import { startOperatorChild } from "./operator-child.ts";
import { LINE_CHARS_MAX, shortened, textTable } from "./text-table.ts";

const FOLDER = resolve(import.meta.dirname, "../../examples");
/** An example is over within seconds; after this something is wrong. */
const WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 100;

export type Print = (line: string) => void;

/** Runs an example from its manifests and samples: posts, prints what the receiver gets, sums up. Answers whether all was delivered. */
export async function runExample(name: string, example: Example, print: Print): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), `postrider-example-${name}-`));
  const receiver = new ExampleReceiver(example.answer, (arrival) => print(arrivalLine(arrival, example.shown(arrival))));
  try {
    writeLocalManifests({ from: join(FOLDER, name), to: join(directory, "manifests"), receiver: await receiver.start() });
    const operator = await startOperatorChild(directory, example.auth);
    print(`${example.about}\n`);
    const events = new Map<string, string>();
    let expected = 0;
    let correlationId = "";
    for (const event of example.events) {
      const answered = await send(operator.ingest, { name, event, correlationId });
      print(`→ events/${event}  ${answered.text}`);
      correlationId = answered.id;
      if (!answered.isNew) continue;
      events.set(answered.id, event);
      expected += answered.matched;
    }
    const history = new History(operator.api, name);
    const all = await holds(async () => {
      for (const retried of await history.retryFailed()) print(`↻ Retry: ${retried}`);
      return receiver.taken === expected && (await history.settled());
    });
    print(`\n${deliveryTable(receiver.arrivals, events)}`);
    print(`\nSchedule\n${await history.schedule()}\n\nLog\n${await history.log()}\n`);
    print(`${receiver.taken} of ${expected} deliveries accepted, in ${receiver.arrivals.length} attempts.`);
    return (await operator.stop()) === 0 && all;
  } finally {
    receiver.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Answered {
  readonly id: string;
  readonly matched: number;
  /** It made an event; else it asked for what became of one. */
  readonly isNew: boolean;
  readonly text: string;
}

interface Sample {
  readonly name: string;
  readonly event: string;
  /** Of the request before. */
  readonly correlationId: string;
}

/** Sends a file of events/; a redirect to the result is followed. */
async function send(ingest: string, { name, event, correlationId }: Sample): Promise<Answered> {
  const file = readFileSync(join(FOLDER, name, "events", event), "utf8");
  const { method, target, headers, body } = event.endsWith(".http") ? readHttpFile(file, { correlationId }) : shortForm(name, file);
  const answer = await fetch(`${ingest}${target}`, { method, headers, ...(body === undefined ? {} : { body }) });
  if (!answer.ok) throw new Error(`${event}: ${answer.status} ${await answer.text()}`);
  const { id, matched, status, value } = (await answer.json()) as { id: string; matched: number; status: string; value: unknown };
  const hops = answer.redirected ? ", redirected" : "";
  const became = value === null ? "" : `\n      value: ${shortened(JSON.stringify(value), LINE_CHARS_MAX - 13)}`;
  const text = `${answer.status} ${status}${hops}, ${matched} ${matched === 1 ? "webhook" : "webhooks"}${became}`;
  return { id, matched, isNew: method === "POST", text };
}

function shortForm(name: string, body: string): HttpRequest {
  return { method: "POST", target: `/v1/namespaces/${name}/events`, headers: { "content-type": "application/json" }, body };
}

/** Whether it came to hold in time. */
async function holds(condition: () => Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + WITHIN_MS;
  while (!(await condition())) {
    if (performance.now() > endMs) return false;
    await delay(LOOK_EVERY_MS);
  }
  return true;
}

function arrivalLine({ path, body, attempt, statusCode }: Arrival, shown: readonly string[]): string {
  const again = attempt > 1 ? ` (attempt ${attempt})` : "";
  return `  ← ${[`${path}${again}`, ...shown.map((one) => shortened(one, 30))].join("  ")}  answered ${statusCode}\n      ${shortened(body, LINE_CHARS_MAX - 6)}`;
}

/** A row for each webhook of each event, as its last attempt left it. */
function deliveryTable(arrivals: readonly Arrival[], events: ReadonlyMap<string, string>): string {
  const last = new Map(arrivals.map((one) => [`${one.path} ${String(one.headers["webhook-id"])}`, one]));
  const rows = [...last.values()].map(({ path, headers, body, attempt, statusCode }) => [
    events.get(String(headers["webhook-id"])) ?? "?",
    path,
    String(headers["content-type"]),
    String(Buffer.byteLength(body)),
    String(attempt),
    String(statusCode),
  ]);
  return textTable(["event", "webhook", "content type", "bytes", "attempts", "last status"], rows);
}
