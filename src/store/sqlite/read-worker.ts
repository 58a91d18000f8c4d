/** The thread that reads (write-ahead logging lets it read while the writer commits) and copies the log into the database. */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { openBeside } from "./database.ts";
import { Reader } from "./reader.ts";
import type { FromReader, ReaderData, ToReader } from "./worker-message.ts";

const parent = parentPort as MessagePort;
const { directory, helper } = workerData as ReaderData;
const db = openBeside(directory, { readOnly: true });
const checkpointer = openBeside(directory, { readOnly: false });
const reader = new Reader(db);

function send(message: FromReader): void {
  parent.postMessage(message);
}

helper.on("message", () => {
  try {
    checkpointer.exec("PRAGMA wal_checkpoint(PASSIVE)");
  } catch {
    // The writer makes its own once the log is long; it is the one to judge an I/O error.
  }
  helper.postMessage("checkpointed");
});

parent.on("message", (message: ToReader) => {
  if (message.type === "close") {
    db.close();
    checkpointer.close();
    helper.close();
    send({ type: "closed" });
    parent.close();
    return;
  }
  const { callId } = message;
  try {
    send({ type: "value", callId, value: reader.read(message.method, message.args) });
  } catch (error) {
    send({ type: "failed", callId, message: error instanceof Error ? error.message : String(error) });
  }
});
send({ type: "opened" });
