/** The one thread that writes. It is told everything through packets and answers in packets; see commit-loop.ts. */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from "node:worker_threads";
import { SystemClock } from "../../lib/clock.ts";
import type { DatabaseSync } from "node:sqlite";
import { parseClock, startingFrame, type KeptClock } from "../../core/clock-frame.ts";
import { CLOCK_KEY, StoreError } from "../store.ts";
import { CommitLoop } from "./commit-loop.ts";
import { assertSynchronous, openDatabase, takeLock } from "./database.ts";
import { DiskRoom } from "./disk-room.ts";
import { prepareDirectory, ReserveFile } from "./disk.ts";
import type { Packet } from "./packet.ts";
import { keepPrivate } from "./private-files.ts";
import { ReadGate } from "./read-gate.ts";
import { highestId, keepHighestId } from "./sequence.ts";
import { Writer } from "./writer.ts";
import type { FromWriter, HelperWork, ToWriter, WriterData } from "./worker-message.ts";

const parent = parentPort as MessagePort;
const data = workerData as WriterData;
const gate = new ReadGate(data.gate);

function send(message: FromWriter, transfer: ArrayBuffer[] = []): void {
  parent.postMessage(message, transfer);
}

function start(): void {
  const { directory } = data;
  const warnings = prepareDirectory(directory, { allowUnsafe: data.allowUnsafeFileSystem });
  keepPrivate(directory);
  const lock = takeLock(directory);
  const db = openDatabase(directory);
  const reserve = new ReserveFile(directory, data.reserveBytes, data.sizeMax);
  reserve.fill();
  if (reserve.bytes < data.reserveBytes)
    warnings.push(`the reserve in ${directory} is ${reserve.bytes} bytes, ${data.reserveBytes} were requested`);
  const writer = new Writer(db, data.idempotencyTtlMs);
  db.exec("BEGIN IMMEDIATE");
  const frame = startingFrame(keptClock(db), data.nowMs);
  const interrupted = writer.interruptClaimed(frame.nowMs);
  writer.flush();
  keepHighestId(db, highestId(db));
  db.exec("COMMIT");
  writer.settle();
  assertSynchronous(db);
  const fatal = (message: string): void => send({ type: "fatal", message });
  const clock = new SystemClock();
  const help = (work: HelperWork): void => send(work);
  const { freeBytesMin, pageCountMax, sizeMax } = data;
  const room = new DiskRoom({ db, reserve, clock, directory, freeBytesMin, sizeMax, pageCountMax, help });
  const reply = (packet: Packet, transfer: ArrayBuffer[]): void => send({ type: "answers", packet }, transfer);
  const loop = new CommitLoop({ db, writer, room, clock, gate, reply, help, fatal });

  function run(): void {
    do {
      for (let next = receiveMessageOnPort(parent); next !== undefined; next = receiveMessageOnPort(parent)) take(next.message as ToWriter);
    } while (loop.step());
  }

  function take(message: ToWriter): void {
    if (message.type === "packet") {
      loop.push(message.packet);
      return;
    }
    if (message.type !== "close") {
      loop.helped(message.type);
      return;
    }
    while (loop.step());
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
  send({ type: "opened", interrupted, pending: writer.pending(), warnings, clock: frame, usage: writer.usage() });
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
  parent.close();
}
