import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, expect, it } from "vitest";
import { KEY_ROW_BYTES, pagedBytesSql } from "../../../src/core/stored-bytes.ts";
import type { Call, WriteCalls } from "../../../src/store/sqlite/calls.ts";
import { CommitLoop } from "../../../src/store/sqlite/commit-loop.ts";
import { openDatabase } from "../../../src/store/sqlite/database.ts";
import { DiskRoom } from "../../../src/store/sqlite/disk-room.ts";
import { ReserveFile } from "../../../src/store/sqlite/disk.ts";
import { writeAccept, writeCall, writeClaims, writeCompletions } from "../../../src/store/sqlite/message.ts";
import { PacketWriter, type Packet } from "../../../src/store/sqlite/packet.ts";
import { ReadGate } from "../../../src/store/sqlite/read-gate.ts";
import { dayTableName, dayTables } from "../../../src/store/sqlite/schema.ts";
import { ATTEMPT_ROW_SQL, countedAnew } from "../../../src/store/sqlite/usage-sql.ts";
import { UsageTable } from "../../../src/store/sqlite/usage-table.ts";
import { Writer } from "../../../src/store/sqlite/writer.ts";
import { seededRandom } from "../../support/sim/seeded-random.ts";
import { attempt, delivery, event, HOUR_MS, item, START_MS } from "../../conformance/store/fixture.ts";
import { countOf } from "../../support/full-run.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { FailingDatabase } from "../../support/failing-database.ts";

const GENERATION = 16;
const SUBSCRIPTIONS = ["sub-a", "sub-b", "sub-c", "sub-d"];
const SQLITE_CODES = [1, 13, 18, 19];

let folder = "";
const opened: DatabaseSync[] = [];
afterEach(() => {
  for (const db of opened.splice(0)) db.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Side {
  readonly db: DatabaseSync;
  readonly loop: CommitLoop;
  readonly writer: Writer;
  readonly clock: ManualClock;
  readonly replies: Packet[];
}

/** A writer that knows what the file says and nothing else. */
function sideOf(db: DatabaseSync): Side {
  const clock = new ManualClock();
  const replies: Packet[] = [];
  const help = (): void => undefined;
  const room = new DiskRoom({
    db,
    clock,
    help,
    directory: folder,
    freeBytesMin: 0,
    pageCountMax: undefined,
    reserve: new ReserveFile(folder, 0),
  });
  const fatal = (message: string): void => expect.fail(message);
  const reply = (packet: Packet): void => void replies.push(packet);
  const writer = new Writer(db, HOUR_MS, GENERATION, clock);
  return { db, writer, clock, replies, loop: new CommitLoop({ db, writer, room, clock, gate: new ReadGate(), help, reply, fatal }) };
}

/** A write that fails without any statement having failed. */
const NO_SUCH_CALL = { method: "no such method", args: [] } as unknown as Call<WriteCalls>;

/** Anything that may be asked, at random, about ids up to `ids`. */
class Asking {
  readonly #random: { below(limit: number): number };
  nowMs = START_MS;
  ids = 4;
  #calls = 0;
  #events = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }

  /** Some operations in one packet; the same for whoever is asked. */
  packets(sides: number, drops: boolean): Packet[] {
    if (this.below(6) === 0) this.nowMs += this.below(30) * HOUR_MS;
    const out = Array.from({ length: sides }, () => new PacketWriter());
    for (let left = 1 + this.below(6); left > 0; left--) {
      const write = this.#operation(drops);
      this.#calls += 1;
      for (const each of out) write(each, this.#calls);
    }
    return out.map((each) => each.take().packet);
  }

  #operation(drops: boolean): (out: PacketWriter, callId: number) => void {
    const kind = this.below(drops ? 13 : 12);
    if (kind < 5) return this.#accept();
    if (kind < 7) return this.#claims();
    if (kind < 9) return this.#completions();
    return this.#call(kind);
  }

  #accept(): (out: PacketWriter, callId: number) => void {
    const items = Array.from({ length: 1 + this.below(3) }, () => {
      this.ids += 3;
      const deliveries = Array.from({ length: this.below(3) }, () =>
        delivery({
          subscription: this.#subscription(),
          as: (["claimed", "fresh", "indexed"] as const)[this.below(3)] ?? "fresh",
          orderKey: this.below(3) === 0 ? `k${this.below(2)}` : undefined,
          dueAtMs: this.nowMs,
        }),
      );
      const idempotencyKey = this.below(4) === 0 ? undefined : `key ${this.below(60)}`;
      const bodyRetentionMs = HOUR_MS * (1 + this.below(60));
      return item({
        event: event({ id: this.#eventId(), receivedAtMs: this.nowMs }),
        idempotencyKey,
        deliveries,
        bodyRetentionMs,
        historyRetentionMs: HOUR_MS * 40,
      });
    });
    const request = { namespace: ["shop", "depot"][this.below(2)] ?? "shop", items, nowMs: this.nowMs };
    return (out, callId) => writeAccept(out, callId, request);
  }

  #claims(): (out: PacketWriter, callId: number) => void {
    const claims = Array.from({ length: 1 + this.below(4) }, () => ({
      id: this.#id(),
      epoch: 1,
      lone: this.below(2) === 0,
      withEvent: true,
    }));
    return (out, callId) => writeClaims(out, callId, claims);
  }

  #completions(): (out: PacketWriter, callId: number) => void {
    const completions = Array.from({ length: 1 + this.below(4) }, () => {
      const id = this.#id();
      const nexts = [
        { state: "delivered", reason: "Delivered" },
        { state: "failed", reason: "AttemptsExhausted" },
        { state: "ready", dueAtMs: this.nowMs, uncounted: true },
        { state: "ready", dueAtMs: this.nowMs, parked: `mark ${this.below(2)}` },
      ] as const;
      const next = nexts[this.below(4)] ?? nexts[0];
      return { id, epoch: 1, attempt: attempt(id), next, nowMs: this.nowMs, historyRetentionMs: HOUR_MS * (1 + this.below(60)) };
    });
    return (out, callId) => writeCompletions(out, callId, completions);
  }

  #call(kind: number): (out: PacketWriter, callId: number) => void {
    const subscription = this.#subscription();
    const { nowMs } = this;
    const ended = { subscription, state: "failed", reason: "SubscriptionDeleted", nowMs, historyRetentionMs: HOUR_MS, limit: 3 } as const;
    const calls: Call<WriteCalls>[] = [
      { method: "setPause", args: [subscription, "CircuitOpen", this.below(2) === 0 ? null : nowMs, nowMs] },
      { method: "endAll", args: [ended] },
      { method: "forgetQueue", args: [subscription, nowMs] },
      { method: "resend", args: [this.#id(), nowMs] },
      { method: "setForwarding", args: [subscription, this.below(2) === 0, nowMs] },
      { method: "unpark", args: [{ subscription, mark: "mark 0", nowMs, limit: 2 }] },
      { method: "putState", args: [[{ kind: "meta", key: "k", value: `"${this.below(9)}"` }]] },
      NO_SUCH_CALL,
    ];
    const drop: Call<WriteCalls> = { method: "dropExpired", args: [nowMs] };
    const call = kind === 12 ? drop : (calls[this.below(calls.length)] ?? NO_SUCH_CALL);
    return (out, callId) => writeCall(out, callId, call);
  }

  #subscription(): string {
    return SUBSCRIPTIONS[this.below(SUBSCRIPTIONS.length)] ?? "";
  }

  /** As `uuidv7` makes them, in order within a millisecond, but of the seed: what fails once fails again. */
  #eventId(): string {
    this.#events += 1;
    const digits = Array.from({ length: 15 }, () => this.below(16).toString(16)).join("");
    const [time, order] = [this.nowMs.toString(16).padStart(12, "0"), this.#events.toString(16).padStart(4, "0").slice(-3)];
    return `${time.slice(0, 8)}-${time.slice(8)}-7${order}-8${digits.slice(0, 3)}-${digits.slice(3)}`;
  }

  #id(): number {
    return Math.max(1, this.ids - this.below(40));
  }
}

/** All rows of all tables; keys lie where the moves of their generations have brought them. */
function contents(db: DatabaseSync): unknown {
  const names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
  const tables = names.map(({ name }) => String(name)).filter((name) => !/^(recent_key|idempotency|sqlite)_/.test(name));
  return tables.map((name) => [name, db.prepare(`SELECT * FROM ${name} ORDER BY 1, 2`).all()]);
}

async function stepAll({ loop, clock }: Side, packet: Packet): Promise<void> {
  loop.push(packet);
  while (loop.step());
  // A second in which what grows is refused is over before the next.
  await clock.stall(2_000);
}

/** What holds whatever failed: counts and marks are of rows that are there. */
function breaches(db: DatabaseSync): unknown[] {
  const counts = "SELECT count(*) FROM delivery WHERE delivery.queue = subscription_queue.queue";
  const wrong = db.prepare(`SELECT subscription, pending, (${counts}) AS owed FROM subscription_queue WHERE pending <> (${counts})`).all();
  return [...wrong, ...db.prepare("SELECT delivery FROM parked WHERE delivery NOT IN (SELECT id FROM delivery)").all()];
}

/** What namespaces hold beside idempotency keys, looked for in all rows. */
function countedIn(db: DatabaseSync): ReturnType<UsageTable["all"]> {
  db.exec("SAVEPOINT counted; DROP TABLE namespace_bytes");
  db.exec(countedAnew((kind) => dayTables(db, kind).map((day) => ({ day, name: dayTableName(kind, day) }))));
  const counted = new UsageTable(db).all();
  db.exec("ROLLBACK TO counted; RELEASE counted");
  return counted;
}

/**
 * Attempts whose delivery is gone: kept for longer than its end was, because the retention changed between the two. They go with their day, but no row
 * says whose they are, so they are looked for in all namespaces together.
 */
function ownerlessBytes(db: DatabaseSync): number {
  const owners = ["delivery", ...dayTables(db, "outcome").map((day) => dayTableName("outcome", day))];
  const gone = owners.map((table) => `NOT EXISTS (SELECT 1 FROM ${table} WHERE id = place / 256)`).join(" AND ");
  return dayTables(db, "attempt")
    .map(
      (day) =>
        `SELECT ${pagedBytesSql("row")} AS bytes FROM (SELECT ${ATTEMPT_ROW_SQL} AS row FROM ${dayTableName("attempt", day)} WHERE ${gone})`,
    )
    .reduce((total, sql) => total + Number(db.prepare(`SELECT ifnull(sum(bytes), 0) AS bytes FROM (${sql})`).get()?.["bytes"]), 0);
}

/** Usage says what the rows come to: more only by keys, which name no namespace in the file, and by attempts whose delivery is gone. */
function usageBreaches({ db, writer }: Side): unknown[] {
  const [kept, held, counted] = [new UsageTable(db).all(), writer.usage(), countedIn(db)].map((all) => new Map(all));
  const ownerless = ownerlessBytes(db);
  let unnamed = 0;
  const breaches = [...new Set([...(kept?.keys() ?? []), ...(held?.keys() ?? []), ...(counted?.keys() ?? [])])].flatMap((namespace) => {
    const [inFile, inMemory, inRows] = [kept, held, counted].map((book) => book?.get(namespace) ?? { bytes: 0, owed: 0 });
    const more = (inMemory?.bytes ?? 0) - (inRows?.bytes ?? 0);
    unnamed += more;
    const isSame = inFile?.bytes === inMemory?.bytes && inFile?.owed === inMemory?.owed && inMemory?.owed === inRows?.owed;
    const isKeys = more >= 0 && (ownerless > 0 || more % KEY_ROW_BYTES === 0);
    return isSame && isKeys ? [] : [{ namespace, inFile, inMemory, inRows }];
  });
  const ofKeys = unnamed - ownerless;
  return ofKeys >= 0 && ofKeys % KEY_ROW_BYTES === 0 ? breaches : [...breaches, { unnamed, ownerless }];
}

async function failAtRandom(failing: FailingDatabase, side: Side, asking: Asking): Promise<void> {
  for (let batch = 0; batch < 10; batch++) {
    const [packet] = asking.packets(1, true);
    if (packet === undefined) continue;
    const errcode = SQLITE_CODES[asking.below(SQLITE_CODES.length)] ?? 1;
    failing.failAt(2 + asking.below(30), { errcode, losesTransaction: asking.below(2) === 0 });
    await stepAll(side, packet);
    failing.heal();
  }
  side.replies.length = 0;
}

async function sameAnswers(sides: readonly [Side, Side], asking: Asking): Promise<void> {
  for (let batch = 0; batch < 12; batch++) {
    const packets = asking.packets(2, false);
    for (const [at, side] of sides.entries()) await stepAll(side, packets[at] ?? expect.fail());
    const [one, other] = sides.map(({ replies }) => replies.splice(0).map(told));
    expect(one, `batch ${batch}`).toEqual(other);
  }
}

it(
  "after writes that failed at any statement, memory says what a fresh start reads from the file",
  { timeout: countOf(120_000, 1_200_000) },
  async () => {
    let failures = 0;
    for (let seed = 1; seed <= countOf(5, 300); seed++) {
      folder = mkdtempSync(join(tmpdir(), "postrider-undo-"));
      const real = openDatabase(folder);
      opened.push(real);
      const failing = new FailingDatabase(real);
      const one = sideOf(failing.db);
      const asking = new Asking(seed);
      for (let cycle = 0; cycle < 8; cycle++) {
        await failAtRandom(failing, one, asking);
        const copy = join(folder, `copy-${cycle}`);
        mkdirSync(copy);
        real.exec(`VACUUM INTO '${join(copy, "postrider.db")}'`);
        const fresh = sideOf(openDatabase(copy));
        opened.push(fresh.db);
        await sameAnswers([one, fresh], asking);
        expect(contents(one.db), `seed ${seed}`).toEqual(contents(fresh.db));
        expect(breaches(one.db), `seed ${seed}`).toEqual([]);
        expect(usageBreaches({ ...one, db: real }), `seed ${seed}`).toEqual([]);
      }
      failures += failing.failed;
      for (const db of opened.splice(0)) db.close();
      rmSync(folder, { recursive: true });
    }
    expect(failures).toBeGreaterThan(countOf(160, 10_000));
  },
);

function told({ buffer, text }: Packet): string {
  return `${Buffer.from(buffer).toString("base64")} ${text}`;
}
