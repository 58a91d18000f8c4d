/**
 * The thread that copies the log into the database, and fills the reserve again: both wait for the disk, and nobody may wait for them. Started when
 * the log is long for the first time. It opens nothing for reading, so that no read waits behind an fsync.
 */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { openBeside } from "./database.ts";
import { ReserveFile } from "./disk.ts";
import { ReadGate } from "./read-gate.ts";
import type { CheckpointData, FromCheckpointer, ToCheckpointer } from "./worker-message.ts";

/** How long the reads under way are waited for: pages look at a bounded number of rows. */
const GATE_WAIT_MS = 50;

const parent = parentPort as MessagePort;
const { directory, gate, reserveBytes, sizeMax } = workerData as CheckpointData;
const db = openBeside(directory, { readOnly: false });
const reserve = new ReserveFile(directory, reserveBytes, sizeMax);
const reads = new ReadGate(gate);

function send(message: FromCheckpointer): void {
  parent.postMessage(message);
}

function checkpoint(): void {
  try {
    db.exec("PRAGMA wal_checkpoint(PASSIVE)");
  } catch {
    // The writer makes its own once the log is long; it is the one to judge an I/O error.
  }
  // What was written meanwhile is left to the writer's own pass, which ends with the log whole in the database if nobody reads.
  reads.close(GATE_WAIT_MS);
  send({ type: "checkpointed" });
}

parent.on("message", (message: ToCheckpointer) => {
  switch (message.type) {
    case "checkpoint":
      checkpoint();
      return;
    case "fillReserve":
      reserve.fill();
      send({ type: "reserveFilled" });
      return;
    default:
      db.close();
      send({ type: "closed" });
      parent.close();
  }
});
