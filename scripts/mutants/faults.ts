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
const BUDGET = "test/unit/core/retry-budget.test.ts";
const WAKES = "test/unit/delivery/wake-heap.test.ts";
const STATE = "test/unit/core/delivery-state.test.ts";
const ENGINE = "test/sim/engine.sim.test.ts";
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
    name: "a probe that was never sent keeps its place",
    file: "src/core/breaker.ts",
    find: `  abandoned(probe: Probe): void {\n    this.#ended(probe);`,
    replace: `  abandoned(_probe: Probe): void {`,
    suite: BREAKER,
  },
  {
    name: "attempts from before the opening count after the recovery",
    file: "src/core/breaker.ts",
    find: `return probe === false || probe === 0 || probe === this.begun;`,
    replace: `return Number(probe) <= 0;`,
    suite: BREAKER,
  },
  {
    name: "a circuit stays open for as long as an older policy said",
    file: "src/core/breaker.ts",
    find: `this.#openUntilMs = Math.min(this.#openUntilMs, nowMs + policy.openForMs);`,
    replace: ``,
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
    file: "src/core/fair-queue.ts",
    find: `    share.failing += moved;\n    this.#place(share, lane);`,
    replace: `    share.failing += moved;`,
    suite: FAIR,
  },
  {
    name: "no slots are left for those who hold none",
    file: "src/core/slot-pool.ts",
    find: `return this.size - used > this.#kept[tier];`,
    replace: `return this.size > used;`,
    suite: FAIR,
  },
  {
    name: "a subscription that is gone counts on in its namespace",
    file: "src/core/fair-queue.ts",
    find: `    share.known -= 1;\n`,
    replace: ``,
    suite: FAIR,
  },
  {
    name: "retries that are allowed again are not looked at",
    file: "src/core/fair-queue.ts",
    find: `    share.retriesHeld = false;\n    this.#placeShare(share, "retry");`,
    replace: `    share.retriesHeld = false;`,
    suite: FAIR,
  },
  {
    name: "a cap that has shrunk is not seen",
    file: "src/core/fair-queue.ts",
    find: `lane !== undefined && lane.fair.inFlight < this.#capOf(lane)`,
    replace: `lane !== undefined`,
    suite: FAIR,
  },
  {
    name: "whoever had its turn is first again",
    file: "src/core/fair-queue.ts",
    find: `for (const ticket of [lane.fair.tickets[turnOf], share.tickets[turnOf]]) ticket.heap?.remove(ticket);`,
    replace: `lane.fair.tickets[turnOf].heap?.remove(lane.fair.tickets[turnOf]);`,
    suite: FAIR,
  },
  {
    name: "a storm of retries uses up what is kept for the others",
    file: "src/core/retry-budget.ts",
    find: `this.#tokensInMs(KEPT_FOR_RIGHTS + 1)`,
    replace: `this.#tokensInMs(1)`,
    suite: BUDGET,
  },
  {
    name: "a retry takes nothing of the budget of all",
    file: "src/core/retry-budget.ts",
    find: `    this.#tokens -= 1;\n`,
    replace: ``,
    suite: BUDGET,
  },
  {
    name: "the right to a retry is not used up by it",
    file: "src/core/retry-budget.ts",
    find: `if (this.#rightsOf(account) >= ONE) account.rights -= 1;`,
    replace: `this.#rightsOf(account);`,
    suite: BUDGET,
  },
  {
    name: "a wake that is put off keeps its place in the heap",
    file: "src/delivery/wake-heap.ts",
    find: `    else this.#down(item);\n`,
    replace: ``,
    suite: WAKES,
  },
];

const ENGINE_FAULTS: readonly Planted[] = [
  {
    name: "one attempt too many",
    file: "src/core/delivery-state.ts",
    find: `if (delivery.resent || delivery.attempt >= retry.maxAttempts)`,
    replace: `if (delivery.resent || delivery.attempt > retry.maxAttempts)`,
    suite: STATE,
  },
  {
    name: "results that the store refused are dropped",
    file: "src/delivery/completion-writer.ts",
    find: `      this.#queue = [...this.#waiting, ...this.#queue];\n`,
    replace: ``,
    suite: ENGINE,
  },
  {
    name: "a delivery whose claim was refused is forgotten",
    file: "src/delivery/claim-loop.ts",
    find: `      turn.lane.putBack(turn.waiting);\n`,
    replace: ``,
    suite: ENGINE,
  },
  {
    name: "a claim that was refused is sent all the same",
    file: "src/delivery/claim-loop.ts",
    find: `      this.#claimFailed(turns, error);\n      return;`,
    replace: `      void error;\n      claimed = turns.map(({ waiting }) => ({ attempt: waiting.made + 1, event: waiting.event })) as Claimed[];`,
    suite: ENGINE,
  },
  {
    name: "a due time wakes nobody",
    file: "src/delivery/scheduler.ts",
    find: `    this.#setWake(lane, lane.nextRowAtMs(nowMs));\n`,
    replace: ``,
    suite: ENGINE,
  },
  {
    name: "a slot is not given back",
    file: "src/delivery/scheduler.ts",
    find: `    if (!flight.sent) lane.breaker.abandoned(flight.probe);\n    this.#queue.release(lane);`,
    replace: `    if (!flight.sent) lane.breaker.abandoned(flight.probe);`,
    suite: ENGINE,
  },
  {
    name: "a row that was let go stays held",
    file: "src/delivery/due-loader.ts",
    find: `if (this.#held.delete(id) && lane.loading) lane.letGo.add(id);`,
    replace: `if (lane.loading) lane.letGo.add(id);`,
    suite: ENGINE,
  },
  {
    name: "within a key nobody waits for the one before",
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
    name: "a key does not go on after its head has ended",
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
  {
    name: "a key twice in one request is stored twice",
    file: "src/store/sqlite/writer.ts",
    find: `inRequest.get(item.idempotencyKey) ?? this.#idempotency.find(key, request.nowMs)`,
    replace: `this.#idempotency.find(key, request.nowMs)`,
    suite: SQLITE,
  },
  {
    name: "what has ended stays counted as pending",
    file: "src/store/sqlite/writer.ts",
    find: `this.#countOn(row, end.state, -1);`,
    replace: `this.#countOn(row, end.state, 0);`,
    suite: SQLITE,
  },
  {
    name: "a row that was tried again meanwhile is woken once more",
    file: "src/store/sqlite/writer.ts",
    find: `if (row?.state === INDEXED && row.attempt === attempt)`,
    replace: `if (row?.state === INDEXED)`,
    suite: SQLITE,
  },
];

/** Each is planted alone; its number is its place. */
export const FAULTS: readonly Fault[] = [...BREAKER_FAULTS, ...SHARE_FAULTS, ...ENGINE_FAULTS, ...STORE_FAULTS].map((fault, n) =>
  numbered(fault, n + 1),
);

function numbered(fault: Planted, number: number): Fault {
  return { number, ...fault };
}
