/**
 * The tables' columns, described once. Schema, statements and the threads' messages follow from it: the texts of SQL through the functions below, the
 * code that moves rows (generated/rows.ts) through `npm run generate`. That code is written out because a loop over columns cost 0.4 µs for each row.
 *
 * A new column goes last in its table here, and into a migration in schema.ts for the tables that are there already.
 */
export interface Column {
  readonly name: string;
  /** Its type in the file and what bounds it. */
  readonly sql: string;
  /** The property of a row that holds it, and its type. */
  readonly field: string;
  readonly type: string;
  readonly isReadonly: boolean;
  /** Known only where the row is stored; the rest is told by whoever stores it. */
  readonly isOwn: boolean;
  /** `text`: JSON that nobody looks into on its way; whoever sends it gives the text. `value`: parsed in the row. */
  readonly json: "text" | "value" | undefined;
}

export interface Table {
  readonly name: string;
  /** The interface of its rows; with columns that are `own` it is made of two, `…Own` and `…Told`. */
  readonly row: string;
  readonly columns: readonly Column[];
  /** Behind the columns, as WITHOUT ROWID. */
  readonly options?: string;
  /** What is told goes from thread to thread; these properties go before it and stand in no column. */
  readonly message?: readonly string[];
}

/** `inFile` is a column as CREATE TABLE has it; `inRow` a property as an interface has it: `| undefined` is NULL in the file, a boolean is 0 or 1. */
function column(inFile: string, inRow: string, how: { readonly isOwn?: boolean; readonly json?: "text" | "value" } = {}): Column {
  const [, name = "", sql = ""] = /^(\S+) (.+)$/u.exec(inFile) ?? [];
  const [, fixed, field = "", type = ""] = /^(readonly )?(\w+\??): (.+)$/u.exec(inRow) ?? [];
  return { name, sql, field, type, isReadonly: fixed !== undefined, isOwn: how.isOwn === true, json: how.json };
}

const OWN = { isOwn: true } as const;
const JSON_TEXT = { json: "text" } as const;

/** Deliveries that are owed. */
export const DELIVERY: Table = {
  name: "delivery",
  row: "Hot",
  columns: [
    column("id INTEGER PRIMARY KEY", "readonly id: number"),
    column("queue INTEGER NOT NULL", "readonly queue: number"),
    column("state INTEGER NOT NULL", "state: number"),
    column("due INTEGER NOT NULL", "due: number"),
    column("attempt INTEGER NOT NULL", "attempt: number"),
    column("crashes INTEGER NOT NULL", "crashes: number"),
    column("lone_crashes INTEGER NOT NULL", "loneCrashes: number"),
    column("lone INTEGER NOT NULL", "lone: number"),
    column("resent INTEGER NOT NULL", "resent: number"),
    column("epoch INTEGER NOT NULL", "epoch: number"),
    column("event INTEGER NOT NULL", "readonly event: number"),
    column("event_day INTEGER NOT NULL", "readonly eventDay: number"),
    column("event_id BLOB NOT NULL", "readonly eventId: Uint8Array | string"),
    column("type TEXT NOT NULL", "readonly type: string"),
    column("order_key TEXT", "readonly orderKey: string | null"),
    column("accepted INTEGER NOT NULL", "readonly accepted: number"),
    column("history_ms INTEGER NOT NULL", "readonly historyMs: number"),
    // Of a dead letter: its DeadLetterNote as JSON.
    column("note TEXT", "readonly note: string | null"),
    // Attempts that the end of a process cut off.
    column("cut INTEGER NOT NULL DEFAULT 0", "cut: number"),
    // As the delivery was accepted with; rows of older versions have it in their attempts only.
    column("record_id TEXT", "readonly recordId: string | null"),
  ],
};

/** Deliveries that have ended, by the day on which they are forgotten. What is told of one is its row in `delivery`. */
export const OUTCOME: Table = {
  name: "outcome",
  row: "OutcomeRow",
  columns: [
    column("id INTEGER PRIMARY KEY", "readonly id: number"),
    column("queue INTEGER NOT NULL", "readonly queue: number"),
    column("state TEXT NOT NULL", "readonly state: TerminalState", OWN),
    column("reason TEXT NOT NULL", "readonly reason: EndReason", OWN),
    column("attempts INTEGER NOT NULL", "readonly attempt: number"),
    column("crashes INTEGER NOT NULL", "readonly crashes: number"),
    column("lone_crashes INTEGER NOT NULL", "readonly loneCrashes: number"),
    column("accepted INTEGER NOT NULL", "readonly accepted: number"),
    column("ended INTEGER NOT NULL", "readonly endedAtMs: number", OWN),
    column("expires INTEGER NOT NULL", "readonly expiresAtMs: number", OWN),
    column("event INTEGER NOT NULL", "readonly event: number"),
    column("event_day INTEGER NOT NULL", "readonly eventDay: number"),
    column("event_id BLOB NOT NULL", "readonly eventId: Uint8Array | string"),
    column("type TEXT NOT NULL", "readonly type: string"),
    column("order_key TEXT", "readonly orderKey: string | null"),
    column("history_ms INTEGER NOT NULL", "readonly historyMs: number"),
    column("record_id TEXT", "readonly recordId: string | null"),
  ],
};

/** The attempt log, by the day on which it is forgotten. */
export const ATTEMPT: Table = {
  name: "attempt",
  row: "AttemptRow",
  message: [],
  columns: [
    // Delivery * 256 + number of the attempt: a delivery's attempts lie together without a second index.
    column("place INTEGER PRIMARY KEY", "readonly place: number", OWN),
    column("attempt INTEGER NOT NULL", "readonly attempt: number"),
    column("started INTEGER NOT NULL", "readonly startedAtMs: number"),
    column("duration REAL NOT NULL", "readonly durationMs: number"),
    column("outcome TEXT NOT NULL", 'readonly outcome: AttemptRecord["outcome"]'),
    column("status INTEGER", "readonly statusCode: number | undefined"),
    column("connection TEXT NOT NULL", "readonly connectionStatus: string"),
    column("tls TEXT NOT NULL", "readonly tlsStatus: string"),
    column("message TEXT NOT NULL", "readonly message: string"),
    column("url TEXT NOT NULL", "readonly url: string"),
    // Only where the delivery's row has none.
    column("record_id TEXT", "readonly recordId: string | undefined"),
    column("request_headers TEXT NOT NULL", "readonly requestHeadersText: string", JSON_TEXT),
    column("request_body BLOB", "readonly requestBody: Uint8Array | undefined"),
    column("response_headers TEXT NOT NULL", "readonly responseHeadersText: string", JSON_TEXT),
    column("response_body BLOB", "readonly responseBody: Uint8Array | undefined"),
    column("expires INTEGER NOT NULL", "readonly expiresAtMs: number", OWN),
    column("payload TEXT", "readonly payloadKey?: string | undefined"),
    // When its bodies go, where that is before the attempt.
    column("bodies INTEGER", "readonly bodiesUntilMs: number | undefined", OWN),
  ],
};

/** Events as they were accepted, by the day on which their bodies go; `event_kept` has the same columns in the same order. */
export const EVENT: Table = {
  name: "event",
  row: "EventRow",
  message: ["readonly id: string"],
  columns: [
    column("event INTEGER PRIMARY KEY", "readonly event: number", OWN),
    column("event_id BLOB NOT NULL", "readonly eventId: Uint8Array | string", OWN),
    column("deliveries INTEGER NOT NULL", "readonly deliveries: number", OWN),
    column("namespace TEXT NOT NULL", "readonly namespace: string"),
    column("source_id TEXT NOT NULL", "readonly sourceId: string"),
    column("source TEXT NOT NULL", "readonly source: string"),
    column("type TEXT NOT NULL", "readonly type: string"),
    column("subject TEXT", "readonly subject: string | undefined"),
    column("time TEXT", "readonly time: string | undefined"),
    column("content_type TEXT", "readonly dataContentType: string | undefined"),
    column("kind TEXT NOT NULL", "readonly dataKind: DataKind"),
    column("extensions TEXT NOT NULL", "readonly extensionsText: string", JSON_TEXT),
    column("received INTEGER NOT NULL", "readonly receivedAtMs: number"),
    column("expires INTEGER NOT NULL", "readonly expiresAtMs: number", OWN),
    column("data BLOB NOT NULL", "readonly data: Uint8Array"),
  ],
};

/** The subscriptions' queues. */
export const QUEUE: Table = {
  name: "subscription_queue",
  row: "QueueRow",
  columns: [
    column("queue INTEGER PRIMARY KEY", "readonly queue: number"),
    column("subscription TEXT NOT NULL UNIQUE", "readonly subscription: string"),
    column("namespace TEXT NOT NULL", "namespace: string"),
    column("forgotten INTEGER NOT NULL", "forgotten: boolean"),
    column("epoch INTEGER NOT NULL", "readonly epoch: number"),
    // For several replicas: nobody writes it yet.
    column("owner TEXT", "readonly owner: string | undefined"),
    column("pauses TEXT NOT NULL", "pauses: Partial<Record<PauseReason, number>>", { json: "value" }),
    column("pending INTEGER NOT NULL", "pending: number"),
    column("since INTEGER NOT NULL", "sinceMs: number"),
    column("accepted INTEGER NOT NULL", "accepted: number"),
    column("delivered INTEGER NOT NULL", "delivered: number"),
    column("retried INTEGER NOT NULL", "retried: number"),
    column("failed INTEGER NOT NULL", "failed: number"),
    column("discarded INTEGER NOT NULL", "discarded: number"),
    column("forwards INTEGER NOT NULL DEFAULT 0", "forwards: boolean"),
  ],
};

/** What an event's id alone leads to, by the day on which its tombstone goes. */
export const RESULT: Table = {
  name: "result",
  row: "ResultRow",
  options: "WITHOUT ROWID",
  columns: [
    column("event_id BLOB PRIMARY KEY", "readonly eventId: Uint8Array | string"),
    column("namespace TEXT NOT NULL", "readonly namespace: string"),
    column("event INTEGER NOT NULL", "readonly event: number"),
    column("deliveries INTEGER NOT NULL", "readonly deliveries: number"),
    column("kept INTEGER NOT NULL", "readonly keptUntilMs: number"),
  ],
};

export const TABLES: readonly Table[] = [DELIVERY, OUTCOME, ATTEMPT, EVENT, QUEUE, RESULT];

/** The columns' names, in the order of a row's values. */
export function columnNames({ columns }: Table): string {
  return columns.map(({ name }) => name).join(", ");
}

/** INSERT of one row into this table, or into one of its days; a row of the same key is in the way unless `or` says what becomes of it. */
export function insertSql(table: Table, name = table.name, or?: "IGNORE" | "REPLACE"): string {
  const verb = or === undefined ? "INSERT" : `INSERT OR ${or}`;
  return `${verb} INTO ${name} (${columnNames(table)}) VALUES (${table.columns.map(() => "?").join(", ")})`;
}

/** CREATE TABLE of one of its days. */
export function createSql({ columns, options }: Table, name: string): string {
  const declared = columns.map((each) => `${each.name} ${each.sql}`).join(", ");
  return `CREATE TABLE IF NOT EXISTS ${name} (${declared})${options === undefined ? "" : ` ${options}`};`;
}
