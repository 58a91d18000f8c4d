/**
 * A thread that reads: write-ahead logging lets it read while the writer commits. One answers the engine; another, started with the first question,
 * answers people, and passes a gate with each of its reads (see read-gate.ts).
 */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { lowerThreadPriority } from "../../lib/thread-priority.ts";
import { answerCall, type ReadCalls } from "./calls.ts";
import { openBeside } from "./database.ts";
import { ReadGate } from "./read-gate.ts";
import { Reader } from "./reader.ts";
import type { FromReader, ReaderData, ToReader } from "./worker-message.ts";

/** Where processors are short people wait, not deliveries: a tenth of the share of a thread of usual priority. */
const PEOPLES_NICE = 10;

const parent = parentPort as MessagePort;
const { directory, gate: shared } = workerData as ReaderData;
const db = openBeside(directory, { readOnly: true });
const reader = new Reader(db);
const gate = shared === undefined ? undefined : new ReadGate(shared);
if (gate !== undefined) lowerThreadPriority(PEOPLES_NICE);

function send(message: FromReader): void {
  parent.postMessage(message);
}

function answer({ callId, call }: Extract<ToReader, { readonly type: "read" }>): FromReader {
  gate?.enter();
  try {
    return { type: "value", callId, value: answerCall<ReadCalls, keyof ReadCalls>(reader, call) };
  } catch (error) {
    return { type: "failed", callId, message: error instanceof Error ? error.message : String(error) };
  } finally {
    gate?.leave();
  }
}

parent.on("message", (message: ToReader) => {
  if (message.type === "read") {
    send(answer(message));
    return;
  }
  db.close();
  send({ type: "closed" });
  parent.close();
});
send({ type: "opened" });
