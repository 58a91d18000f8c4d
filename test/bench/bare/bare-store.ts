/** Bare figure: a durable group write of whole lifecycles (event, delivery, claim, end, attempt) in groups of 100. argv: folder, seconds. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const [directory = "", seconds = "3"] = process.argv.slice(2);
const database = new DatabaseSync(join(directory, "bare.db"));
database.exec(`PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;
  CREATE TABLE event (id INTEGER PRIMARY KEY, type TEXT, body BLOB);
  CREATE TABLE delivery (id INTEGER PRIMARY KEY, event INTEGER, subscription INTEGER, state INTEGER, attempt INTEGER);
  CREATE TABLE attempt (id INTEGER PRIMARY KEY, delivery INTEGER, outcome TEXT, code INTEGER, at INTEGER);`);
const event = database.prepare("INSERT INTO event (type, body) VALUES (?, ?)");
const delivery = database.prepare("INSERT INTO delivery (event, subscription, state, attempt) VALUES (?, 1, 1, 1)");
const end = database.prepare("UPDATE delivery SET state = 2 WHERE id = ? AND state = 1");
const attempt = database.prepare("INSERT INTO attempt (delivery, outcome, code, at) VALUES (?, 'success', 200, ?)");
const body = Buffer.alloc(1_024, "x");
const begin = performance.now();
const cpuBefore = process.cpuUsage();
let count = 0;
while (performance.now() - begin < Number(seconds) * 1_000) {
  database.exec("BEGIN IMMEDIATE");
  for (let i = 0; i < 100; i++) {
    const { lastInsertRowid } = event.run("bench.event", body);
    const row = delivery.run(lastInsertRowid).lastInsertRowid;
    end.run(row);
    attempt.run(row, count);
  }
  database.exec("COMMIT");
  count += 100;
}
const elapsed = (performance.now() - begin) / 1_000;
const cpu = process.cpuUsage(cpuBefore);
database.close();
console.log(JSON.stringify({ perSecond: count / elapsed, cpuUs: (cpu.user + cpu.system) / count }));
