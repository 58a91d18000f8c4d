/** The one thread that writes. It is told everything through packets and answers in packets; see commit-loop.ts. */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from "node:worker_threads";
import { SystemClock } from "../../lib/clock.ts";
import type { DatabaseSync } from "node:sqlite";
import { parseClock, startingFrame, type KeptClock } from "../../core/clock-frame.ts";
import { CLOCK_KEY, StoreError } from "../store.ts";
import { CommitLoop } from "./commit-loop.ts";
import { assertSynchronous, openDatabase, takeLock } from "./database.ts";
import { prepareDirectory, ReserveFile } from "./disk.ts";
import { highestId, keepHighestId } from "./sequence.ts";
import { Writer } from "./writer.ts";
import type { FromWriter, ToWriter, WriterData } from "./worker-message.ts";

const parent = parentPort as MessagePort;
const data = workerData as WriterData;
const { helper } = data;

function send(message: FromWriter, transfer: ArrayBuffer[] = []): void {
  parent.postMessage(message, transfer);
}

function start(): void {
  const { directory } = data;
  const warnings = prepareDirectory(directory, { allowUnsafe: data.allowUnsafeFileSystem });
  const lock = takeLock(directory);
  const db = openDatabase(directory);
  const reserve = new ReserveFile(directory, data.reserveBytes);
  reserve.fill();
  if (reserve.bytes < data.reserveBytes)
    warnings.push(`the reserve in ${directory} is ${reserve.bytes} bytes, ${data.reserveBytes} were wanted`);
  const writer = new Writer(db, data.idempotencyTtlMs);
  db.exec("BEGIN IMMEDIATE");
  const clock = startingFrame(keptClock(db), data.nowMs);
  const interrupted = writer.interruptClaimed(clock.nowMs);
  writer.flush();
  keepHighestId(db, highestId(db));
  db.exec("COMMIT");
  assertSynchronous(db);
  const fatal = (message: string): void => send({ type: "fatal", message });
  const loop = new CommitLoop({
    db,
    writer,
    reserve,
    clock: new SystemClock(),
    directory,
    freeBytesMin: data.freeBytesMin,
    pageCountMax: data.pageCountMax,
    reply: (packet, transfer) => send({ type: "answers", packet }, transfer),
    askCheckpoint: () => helper.postMessage("checkpoint"),
    fatal,
  });

  function run(): void {
    do {
      for (let next = receiveMessageOnPort(parent); next !== undefined; next = receiveMessageOnPort(parent)) take(next.message as ToWriter);
      if (receiveMessageOnPort(helper) !== undefined) loop.checkpointed();
    } while (loop.step());
  }

  function take(message: ToWriter): void {
    if (message.type === "packet") {
      loop.push(message.packet);
      return;
    }
    while (loop.step());
    helper.close();
    try {
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } finally {
      db.close();
      lock.close();
      send({ type: "closed" });
      parent.close();
    }
  }

  parent.on("message", (message: ToWriter) => {
    take(message);
    if (message.type === "packet") run();
  });
  helper.on("message", () => loop.checkpointed());
  send({ type: "opened", interrupted, pending: writer.pending(), warnings, clock });
}

/** What the last process wrote of its clock; of a store that no process has kept a clock in, the time of the newest delivery. */
function keptClock(db: DatabaseSync): KeptClock | undefined {
  const kept = db.prepare("SELECT value FROM state WHERE kind = 'meta' AND key = ?").get(CLOCK_KEY);
  const newest = db.prepare("SELECT accepted FROM delivery ORDER BY id DESC LIMIT 1").get();
  const clock = parseClock(kept === undefined ? undefined : String(kept["value"]));
  return clock ?? (newest === undefined ? undefined : { nowMs: Number(newest["accepted"]), offsetMs: 0 });
}

try {
  start();
} catch (error) {
  const code = error instanceof StoreError ? error.code : "refused";
  send({ type: "refused", code, message: error instanceof Error ? error.message : String(error) });
  helper.close();
  parent.close();
}
