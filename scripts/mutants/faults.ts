/** A fault that could have been made by mistake, and the suite that must find it. */
export interface Fault {
  readonly number: number;
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The test file; those under test/sim/ run with up to 500 seeds. */
  readonly suite: string;
}

const BREAKER = "test/unit/core/breaker-model.test.ts";
const FAIR = "test/unit/core/fair-queue-model.test.ts";
const SLOTS = "test/sim/slots.sim.test.ts";
const BUDGET = "test/unit/core/retry-budget.test.ts";
const ENGINE = "test/sim/engine.sim.test.ts";
const UNKIND = "test/sim/unkind.sim.test.ts";
const TIME = "test/sim/time.sim.test.ts";
const CONTROLLED = "test/sim/controlled.sim.test.ts";
const ORDER = "test/sim/order.sim.test.ts";
const SQLITE = "test/conformance/store/sqlite.test.ts";

type Planted = Omit<Fault, "number">;

const BREAKER_FAULTS: readonly Planted[] = [
  {
    name: "a late probe of an earlier half-open counts",
    file: "src/core/breaker.ts",
    find: `if (typeof probe === "number") return this.#underWay.delete(probe);`,
    replace: `if (typeof probe === "number") return this.#underWay.delete(probe) || (probe > 0 && this.#owed > 0);`,
    suite: BREAKER,
  },
  {
    name: "half-open lets one probe too many through",
    file: "src/core/breaker.ts",
    find: `return this.#underWay.size < this.#owed ?`,
    replace: `return this.#underWay.size <= this.#owed ?`,
    suite: BREAKER,
  },
];

const SHARE_FAULTS: readonly Planted[] = [
  {
    name: "one that is healthy again stays among the failing ones",
    file: "src/core/fairness/fair-queue.ts",
    find: `if (this.#limits.judge(share, lane) && share !== undefined) this.#lines.place(share, lane);`,
    replace: `this.#limits.judge(share, lane);`,
    suite: FAIR,
  },
  {
    name: "no slots are left for those who hold none",
    file: "src/core/fairness/slot-pool.ts",
    find: `return this.size - used > this.#keptFrom(tier, empty);`,
    replace: `return this.size > used;`,
    suite: FAIR,
  },
  {
    name: "a storm of retries uses up what is kept for the others",
    file: "src/core/retry-budget.ts",
    find: `this.#tokensInMs(KEPT_FOR_RIGHTS + 1)`,
    replace: `this.#tokensInMs(1)`,
    suite: BUDGET,
  },
];

/** What memory, clocks, starts and crowds may get wrong. */
const ENGINE_FAULTS: readonly Planted[] = [
  {
    name: "what earlier versions stored of the spec is restored over the spec in force",
    file: "src/delivery/lane-state/pause-keeper.ts",
    find: `if (reason === "BySpec" || reason === "RefsUnresolved") this.#note(lane, reason, null);`,
    replace: `if (reason === "BySpec" || reason === "RefsUnresolved") lane.gate.pause(reason as "RetryAfter", untilMs);`,
    suite: TIME,
  },
  {
    name: "engine time follows a wall clock that was put back while no process ran",
    file: "src/core/clock-frame.ts",
    find: `Math.min(Math.max(0, wallMs - kept.offsetMs - kept.nowMs), AWAY_MAX_MS)`,
    replace: `Math.min(wallMs - kept.offsetMs - kept.nowMs, AWAY_MAX_MS)`,
    suite: TIME,
  },
  {
    name: "an age that was over before the start ends a delivery untried",
    file: "src/core/delivery-state.ts",
    find: `return nowMs > atMs && atMs >= livedSinceMs;`,
    replace: `return nowMs > atMs || livedSinceMs < 0;`,
    suite: TIME,
  },
  {
    name: "time in which no process ran counts as failing",
    file: "src/delivery/queue/lane-standing.ts",
    find: `if (this.#record.failingSinceMs !== undefined) this.#record.failingSinceMs += awayMs;`,
    replace: ``,
    suite: TIME,
  },
  {
    name: "a late clock judges deadlines before the sockets are read",
    file: "src/lib/timer-wheel.ts",
    find: `if (lateMs < POLL_FIRST_MS) this.#judge(false);`,
    replace: `if (lateMs < Number.POSITIVE_INFINITY) this.#judge(lateMs >= STOOD_MIN_MS);`,
    suite: TIME,
  },
  {
    name: "an attempt that a crash cut off uses up one of those there are",
    file: "src/delivery/queue/lane-backlog.ts",
    find: `made: row.attempt - row.cutOff,`,
    replace: `made: row.attempt,`,
    suite: TIME,
  },
  {
    name: "after a crash everything that was in flight goes one by one",
    file: "src/delivery/queue/bounds.ts",
    find: `suspectGroups: [64, 8, 1],`,
    replace: `suspectGroups: [1, 1, 1],`,
    suite: TIME,
  },
  {
    name: "receivers that are dead keep the memory of fresh deliveries",
    file: "src/delivery/queue/scheduler.ts",
    find: `        if (lane.backlog.freshCount > 0) this.#shelf.shelve(lane);\n`,
    replace: ``,
    suite: TIME,
  },
  {
    name: "the rows in memory have one bound for all, and no shares",
    file: "src/delivery/queue/due-loader.ts",
    find: `    return Math.max(rowsFloor, Math.min(Math.floor(free * SHARE_OF_FREE), 2 * windowMax)) - lane.backlog.windowRows;`,
    replace: `    return Math.min(rowsMax - this.#held.size, free + rowsFloor) - lane.backlog.windowRows;`,
    suite: UNKIND,
  },
  {
    name: "what is noted as due while a window is read is forgotten",
    file: "src/delivery/queue/due-loader.ts",
    find: `      this.#take(lane, await store.due(lane.uid, Number.MAX_SAFE_INTEGER, limit), { horizonMs, limit });`,
    replace: `      const rows = await store.due(lane.uid, Number.MAX_SAFE_INTEGER, limit);\n      lane.backlog.forgetDue();\n      this.#take(lane, rows, { horizonMs, limit });`,
    suite: UNKIND,
  },
  {
    name: "a row that was released stays held",
    file: "src/delivery/queue/due-loader.ts",
    find: `    if (!this.#held.delete(id)) return;\n`,
    replace: `    if (!this.#held.has(id)) return;\n`,
    suite: UNKIND,
  },
  {
    name: "what is being sent is not known to be",
    file: "src/delivery/flight/flight-desk.ts",
    find: `    this.#underWay.add(turn.waiting.id);\n`,
    replace: ``,
    suite: UNKIND,
  },
  {
    name: "results that the store refused are dropped",
    file: "src/delivery/flight/completion-writer.ts",
    find: `      this.#queue = [...this.#waiting, ...this.#queue];\n`,
    replace: ``,
    suite: UNKIND,
  },
  {
    name: "a delivery whose claim was refused is forgotten",
    file: "src/delivery/flight/claim-loop.ts",
    find: `      turn.lane.backlog.putBack(turn.waiting);\n`,
    replace: ``,
    suite: UNKIND,
  },
  {
    name: "one attempt too few",
    file: "src/core/delivery-state.ts",
    find: `if (delivery.resent || delivery.attempt >= retry.maxAttempts)`,
    replace: `if (delivery.resent || delivery.attempt + 1 >= retry.maxAttempts)`,
    suite: UNKIND,
  },
  {
    name: "a claim that was refused is sent all the same",
    file: "src/delivery/flight/claim-loop.ts",
    find: `      this.#claimFailed(turns, error);\n      return;`,
    replace: `      void error;\n      claimed = turns.map(({ waiting }) => ({ id: waiting.id, attempt: waiting.made + 1, event: waiting.event })) as Claimed[];`,
    suite: ENGINE,
  },
  {
    name: "a due time wakes nothing",
    file: "src/delivery/queue/scheduler.ts",
    find: `    this.#setWake(lane, lane.backlog.nextRowAtMs(nowMs));\n`,
    replace: ``,
    suite: UNKIND,
  },
  {
    name: "a slot is not given back",
    file: "src/delivery/queue/scheduler.ts",
    find: `    this.#queue.release(hold, nowMs, ended.tookMs);\n`,
    replace: ``,
    suite: UNKIND,
  },
  {
    name: "a commit that did not say whether it happened is not looked for",
    file: "src/delivery/engine.ts",
    find: `    if (isDoubtful) this.#all.doubt.doubt();\n`,
    replace: ``,
    suite: UNKIND,
  },
  {
    name: "a subscription is judged before everything it depends on has been listed",
    file: "src/controller/subscription/subscription-reconciler.ts",
    find: `    if (!resources.isListed(namespace)) return false;\n`,
    replace: ``,
    suite: CONTROLLED,
  },
  {
    name: "within a key none waits for the one before",
    file: "src/store/memory/order-book.ts",
    find: `for (const lowest of ids) return lowest !== row.id;`,
    replace: ``,
    suite: ORDER,
  },
];

const STORE_FAULTS: readonly Planted[] = [
  {
    name: "a claim is not counted as an attempt",
    file: "src/store/sqlite/delivery-table.ts",
    find: `    row.attempt += 1;\n`,
    replace: ``,
    suite: SQLITE,
  },
  {
    name: "a result of an older epoch is taken",
    file: "src/store/sqlite/writer.ts",
    find: `row.state === CLAIMED ? row.epoch === completion.epoch :`,
    replace: `row.state === CLAIMED ? true :`,
    suite: SQLITE,
  },
  {
    name: "a key does not continue after its head has ended",
    file: "src/store/sqlite/delivery-table.ts",
    find: `    if (row.orderKey !== null && row.resent === 0) this.#promote.run(row.queue, row.orderKey);\n`,
    replace: ``,
    suite: SQLITE,
  },
  {
    name: "a row that a crash interrupted stays claimed",
    file: "src/store/sqlite/writer.ts",
    find: `    } else {\n      this.#deliveries.ready(row, nowMs);\n    }`,
    replace: `    }`,
    suite: SQLITE,
  },
];

const SLOT_FAULTS: readonly Planted[] = [
  {
    name: "slots that are held for long count as quick ones",
    file: "src/core/fairness/fair-queue.ts",
    find: `      fair.long += 1;\n`,
    replace: ``,
    suite: FAIR,
  },
  {
    name: "holding slots for long costs no more",
    file: "src/core/fairness/fair-queue.ts",
    find: `costOf(nowMs - hold.startedAtMs) - hold.chargedMs);`,
    replace: `costOf(0) - hold.chargedMs);`,
    suite: SLOTS,
  },
];

/** Each is planted alone; its number is its place. */
export const FAULTS: readonly Fault[] = [...BREAKER_FAULTS, ...SHARE_FAULTS, ...ENGINE_FAULTS, ...STORE_FAULTS, ...SLOT_FAULTS].map(
  (fault, n) => numbered(fault, n + 1),
);

function numbered(fault: Planted, number: number): Fault {
  return { number, ...fault };
}
