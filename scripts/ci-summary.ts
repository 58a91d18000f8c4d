import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Adds up the runners' JSON reports and closes with one line; exits 1 when a report is missing, empty or holds a failure. */
const directory = resolve(import.meta.dirname, "../.cache/reports");
const stepFailed = process.argv[2] === "1";

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}

function reports(): Report[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")) as Report);
  } catch {
    return [];
  }
}

const all = reports();
const sum = (pick: (report: Report) => number): number => all.reduce((total, report) => total + pick(report), 0);
const passed = sum((report) => report.numPassedTests);
const failedTests = sum((report) => report.numFailedTests);
const brokenFiles = sum((report) => (report.numFailedTests === 0 ? report.numFailedTestSuites : 0));
const skipped = sum((report) => report.numPendingTests + report.numTodoTests);
const failed = failedTests + brokenFiles + (stepFailed && failedTests + brokenFiles === 0 ? 1 : 0);
if (all.length === 0) console.log("no report of any test runner was found in .cache/reports");
if (stepFailed) console.log("a step failed: see above");
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
