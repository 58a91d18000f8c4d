import { FAULTS, type Fault } from "./mutants/faults.ts";
import { Workshop, type Trial } from "./mutants/workshop.ts";

/** Seeds of one run after the other: most faults show within the first few. */
const SEED_BATCHES = [8, 32, 60, 100, 150, 150];
/** A fault has so long to be found. */
const PER_FAULT_MS = 240_000;

/** npm run test:mutants [-- NUMBER…]: plants each fault in a copy of the sources and asks whether its suite finds it. */
async function main(numbers: readonly string[]): Promise<void> {
  const faults = numbers.length === 0 ? FAULTS : FAULTS.filter((fault) => numbers.includes(String(fault.number)));
  const unknown = numbers.filter((number) => !faults.some((fault) => String(fault.number) === number));
  if (unknown.length > 0) throw new Error(`no fault has the number ${unknown.join(", ")}; there are 1 to ${FAULTS.length}`);
  const workshop = await Workshop.open(new URL("..", import.meta.url));
  let missed = 0;
  try {
    // A suite that fails without any fault finds nothing.
    for (const suite of new Set(faults.map((fault) => fault.suite))) {
      const trial = await workshop.run(suite, seeds(1, SEED_BATCHES[0] ?? 0), PER_FAULT_MS);
      if (trial.result !== "passed") throw new Error(`${suite} ${trial.result} without a fault: ${trial.what}; fix it first`);
    }
    console.log("| # | fault | found by | seeds | seconds |");
    console.log("| --- | --- | --- | --- | --- |");
    for (const fault of faults) {
      const { line, isFound } = await tryFault(workshop, fault);
      console.log(line);
      if (!isFound) missed += 1;
    }
  } finally {
    await workshop.close();
  }
  console.log(`\n${faults.length - missed} of ${faults.length} planted faults found`);
  process.exitCode = missed === 0 ? 0 : 1;
}

async function tryFault(workshop: Workshop, fault: Fault): Promise<{ readonly line: string; readonly isFound: boolean }> {
  const startedAt = performance.now();
  const secondsSoFar = (): string => ((performance.now() - startedAt) / 1_000).toFixed(1);
  const told = (found: string, tried: number): string => {
    const seedCount = fault.suite.startsWith("test/sim/") ? String(tried) : "-";
    return `| ${fault.number} | ${fault.name} | ${found} | ${seedCount} | ${secondsSoFar()} |`;
  };
  const problem = await workshop.plant(fault);
  if (problem !== undefined) return { line: told(`**cannot be planted**: ${problem}`, 0), isFound: false };
  let tried = 0;
  let trial: Trial | undefined;
  try {
    for (const count of fault.suite.startsWith("test/sim/") ? SEED_BATCHES : [1]) {
      const leftMs = PER_FAULT_MS - (performance.now() - startedAt);
      if (leftMs <= 0) break;
      trial = await workshop.run(fault.suite, seeds(tried + 1, count), leftMs);
      tried += count;
      if (trial.result !== "passed") break;
    }
  } finally {
    await workshop.restore(fault);
  }
  const found =
    trial?.result === "failed" ? `${fault.suite}: ${trial.what}` : `**not found** by ${fault.suite} (${trial?.result ?? "no run"})`;
  return { line: told(found.replaceAll("|", "/"), tried), isFound: trial?.result === "failed" };
}

function seeds(from: number, count: number): string {
  return Array.from({ length: count }, (_, n) => from + n).join(",");
}

await main(process.argv.slice(2));
