import { tmpdir } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { CommitLoop } from "../../../src/store/sqlite/commit-loop.ts";
import { DiskRoom } from "../../../src/store/sqlite/disk-room.ts";
import { ReserveFile } from "../../../src/store/sqlite/disk.ts";
import type { Call, WriteCalls } from "../../../src/store/sqlite/calls.ts";
import { ANSWER, writeCall } from "../../../src/store/sqlite/message.ts";
import { PacketReader, PacketWriter, type Packet } from "../../../src/store/sqlite/packet.ts";
import { ReadGate } from "../../../src/store/sqlite/read-gate.ts";
import type { Writer } from "../../../src/store/sqlite/writer.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const SQLITE_ERROR = 1;
const SQLITE_NOMEM = 7;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
const DEFECT_ID = 1;
const FATAL_ID = 2;
const LAST_ID = 3;
/** One commit's worth. */
const BATCH = 400;

/** A loop over a database in memory whose writer inserts the call's id, or fails as told. */
function loopOf(failures: ReadonlyMap<number, number>): {
  readonly db: DatabaseSync;
  readonly clock: ManualClock;
  readonly tried: () => { readonly transactions: number; readonly operations: number };
  readonly loop: CommitLoop;
  readonly replies: Packet[];
  readonly fatal: string[];
} {
  const db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE written (id INTEGER)");
  let [transactions, operations] = [0, 0];
  const exec = db.exec.bind(db);
  db.exec = (sql: string) => {
    if (sql.startsWith("BEGIN")) transactions += 1;
    exec(sql);
  };
  const writer = {
    apply: ({ callId }: { readonly callId: number }) => {
      operations += 1;
      const errcode = failures.get(callId);
      if (errcode === SQLITE_IOERR || errcode === SQLITE_NOMEM) db.exec("ROLLBACK");
      if (errcode !== undefined) throw Object.assign(new Error(`SQLite says ${errcode}`), { errcode });
      db.prepare("INSERT INTO written VALUES (?)").run(callId);
      return (out: PacketWriter) => {
        out.number(ANSWER.called);
        out.number(callId);
      };
    },
    flush: () => undefined,
    mark: () => undefined,
    undo: () => undefined,
    settle: () => undefined,
    tellUsage: () => undefined,
  } as unknown as Writer;
  const replies: Packet[] = [];
  const fatal: string[] = [];
  const clock = new ManualClock();
  const help = (): void => undefined;
  const disk = { directory: tmpdir(), freeBytesMin: 0, pageCountMax: undefined, reserve: new ReserveFile(tmpdir(), 0) };
  const loop = new CommitLoop({
    db,
    writer,
    clock,
    help,
    room: new DiskRoom({ db, clock, help, ...disk }),
    gate: new ReadGate(),
    reply: (packet) => replies.push(packet),
    fatal: (message) => fatal.push(message),
  });
  return { db, clock, tried: () => ({ transactions, operations }), loop, replies, fatal };
}

const FORGET: Call<WriteCalls> = { method: "forgetQueue", args: ["", 0] };
const RESEND: Call<WriteCalls> = { method: "resend", args: [0, 0] };

function push(loop: CommitLoop, ids: readonly number[], call: Call<WriteCalls> = FORGET): void {
  const out = new PacketWriter();
  for (const id of ids) writeCall(out, id, call);
  loop.push(out.take().packet);
}

test("a defect in one operation takes no other with it", () => {
  const { db, loop, fatal } = loopOf(new Map([[DEFECT_ID, SQLITE_ERROR]]));
  push(loop, [DEFECT_ID, FATAL_ID, LAST_ID]);
  loop.step();
  expect(db.prepare("SELECT id FROM written").all()).toEqual([{ id: FATAL_ID }, { id: LAST_ID }]);
  expect(fatal).toEqual([]);
});

test("a write that always fails costs the others of its batch one more try, and one transaction", () => {
  const { db, loop, tried, replies } = loopOf(new Map([[DEFECT_ID, SQLITE_ERROR]]));
  push(
    loop,
    Array.from({ length: BATCH }, (_, id) => id),
  );
  loop.step();
  expect(db.prepare("SELECT count(*) AS n FROM written").get()).toEqual({ n: BATCH - 1 });
  expect(answersOf(replies[0])).toContainEqual([DEFECT_ID, "unavailable"]);
  expect(tried().transactions).toBe(2);
  expect(tried().operations).toBeLessThanOrEqual(2 * BATCH);
});

test("a write that ends the transaction takes no other with it", () => {
  const { db, loop, replies } = loopOf(new Map([[DEFECT_ID, SQLITE_NOMEM]]));
  push(loop, [0, DEFECT_ID, FATAL_ID, LAST_ID]);
  loop.step();
  expect(db.prepare("SELECT id FROM written").all()).toEqual([{ id: 0 }, { id: FATAL_ID }, { id: LAST_ID }]);
  expect(answersOf(replies[0])).toContainEqual([DEFECT_ID, "unavailable"]);
});

test("on a disk that is full to the end few writes are tried in vain, and what grows is not tried for a second", async () => {
  const everything = Array.from({ length: BATCH }, (_, id) => id);
  const { clock, loop, tried, replies } = loopOf(new Map(everything.map((id) => [id, SQLITE_FULL])));
  push(loop, everything);
  loop.step();
  const { transactions } = tried();
  expect(transactions).toBeLessThanOrEqual(10);
  expect(answersOf(replies[0])).toHaveLength(BATCH);
  expect(answersOf(replies[0]).every(([, code]) => code === "disk_full")).toBe(true);
  push(loop, [DEFECT_ID], RESEND);
  loop.step();
  expect(tried().transactions).toBe(transactions);
  expect(answersOf(replies[1])).toEqual([[DEFECT_ID, "disk_full"]]);
  await clock.advance(1_000);
  push(loop, [DEFECT_ID], RESEND);
  loop.step();
  expect(tried().transactions).toBe(transactions + 1);
});

test("nothing is written behind an operation that was fatal, though the file would take it", () => {
  const { db, loop, replies, fatal } = loopOf(
    new Map([
      [DEFECT_ID, SQLITE_ERROR],
      [FATAL_ID, SQLITE_IOERR],
    ]),
  );
  push(loop, [DEFECT_ID, FATAL_ID, LAST_ID]);
  loop.step();
  expect(fatal).toHaveLength(1);
  expect(db.prepare("SELECT id FROM written").all()).toEqual([]);
  expect(answersOf(replies[0])).toEqual([
    [DEFECT_ID, "unavailable"],
    [FATAL_ID, "unknown"],
    [LAST_ID, "unavailable"],
  ]);
  push(loop, [LAST_ID]);
  loop.step();
  expect(answersOf(replies[1])).toEqual([[LAST_ID, "unavailable"]]);
  expect(fatal).toHaveLength(1);
});

function answersOf(packet: Packet | undefined): [number, string][] {
  if (packet === undefined) return [];
  const from = new PacketReader(packet);
  from.number();
  const answers: [number, string][] = [];
  for (let left = from.number(); left > 0; left--) {
    const kind = from.number();
    const callId = from.number();
    if (kind === ANSWER.called) continue;
    expect(kind).toBe(ANSWER.failed);
    answers.push([callId, from.string()]);
    from.string();
  }
  return answers;
}
