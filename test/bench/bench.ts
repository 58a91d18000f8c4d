import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { benchAgainst } from "./against.ts";
import { gateLine, gates, isMet } from "./gates.ts";
import { Load } from "./load.ts";
import { CAN_PIN } from "./machine.ts";
import type { BenchContext, Row } from "./row.ts";
import { backlogRows } from "./rows/backlog.ts";
import { expressionRows } from "./rows/expressions.ts";
import { fanOutRows } from "./rows/fan-out.ts";
import { isolationRows } from "./rows/isolation.ts";
import { latencyRows } from "./rows/latency.ts";
import { manyRows } from "./rows/many.ts";
import { memoryRows } from "./rows/memory.ts";
import { quietRows } from "./rows/quiet.ts";
import { throughputRows } from "./rows/throughput.ts";
import { tlsRows } from "./rows/tls.ts";

const ROWS: Readonly<Record<string, (context: BenchContext) => Promise<Row[]>>> = {
  throughput: throughputRows,
  latency: latencyRows,
  backlog: backlogRows,
  isolation: isolationRows,
  "fan-out": fanOutRows,
  expressions: expressionRows,
  many: manyRows,
  quiet: quietRows,
  tls: tlsRows,
  memory: memoryRows,
};

const { values } = parseArgs({
  options: {
    rows: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    against: { type: "string" },
    gates: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(
    `npm run bench -- [--rows ${Object.keys(ROWS).join(",")}] [--quick] [--json FILE]\nnpm run bench -- --against REVISION [--quick]\nnpm run bench -- --gates\n\nEvery figure comes from real runs, bare figures measured beside them, median of 3 rounds (--quick: one short round). --against runs another revision beside this one, and pairs them window by window. --gates fails when CPU or memory has got worse against what is measured beside it.`,
  );
} else if (values.gates) {
  const all = await gates((text) => console.error(`  ${text}`));
  console.log(all.map(gateLine).join("\n"));
  process.exitCode = all.every(isMet) ? 0 : 1;
} else if (values.against !== undefined) {
  const lines = await benchAgainst(values.against, values.quick ? 6 : 20, (text) => console.error(`  ${text}`));
  console.log(lines.join("\n"));
} else {
  process.exitCode = await bench(values.rows?.split(",") ?? Object.keys(ROWS));
}

async function bench(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !(name in ROWS));
  if (unknown.length > 0) {
    console.error(`there is no row ${unknown.join(", ")}; there are ${Object.keys(ROWS).join(", ")}`);
    return 2;
  }
  if (!CAN_PIN) console.error("processes cannot be pinned here: figures are for two shared cores, not one");
  const rows: Row[] = [];
  for (const name of names) {
    const load = await Load.start("/hang");
    const context: BenchContext = {
      load,
      rounds: values.quick ? 1 : 3,
      seconds: values.quick ? 2 : 4,
      progress: (text) => console.error(`  ${name}: ${text}`),
    };
    try {
      rows.push(...((await ROWS[name]?.(context)) ?? []));
    } finally {
      load.stop();
    }
  }
  print(rows);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ cores: availableParallelism(), pinned: CAN_PIN, rows }, null, 2)}\n`);
  return 0;
}

function print(rows: readonly Row[]): void {
  const show = (row: Row, value: number | undefined): string =>
    value === undefined
      ? "-"
      : row.unit === "ratio"
        ? row.better === ">="
          ? `${(value * 100).toFixed(0)} %`
          : `${value.toFixed(2)}×`
        : `${value.toFixed(1)} ${row.unit}`;
  const width = Math.max(...rows.map((row) => row.name.length), 6);
  console.log(`${"FIGURE".padEnd(width)}  ${"MEASURED".padStart(10)}  ${"FLOOR".padStart(9)}  ${"GOAL".padStart(9)}`);
  for (const row of rows) {
    const cells = `${show(row, row.figure).padStart(10)}  ${show(row, row.floor).padStart(9)}  ${show(row, row.goal).padStart(9)}`;
    console.log(`${row.name.padEnd(width)}  ${cells}  ${row.floor === undefined ? "shown" : row.met ? "met" : "NOT MET"}`);
    console.log(
      `${" ".repeat(width)}  ${Object.entries(row.parts)
        .map(([name, value]) => `${name} ${Math.round(value * 100) / 100}`)
        .join(", ")}`,
    );
  }
}
