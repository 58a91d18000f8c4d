import { readFileSync, readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";

/**
 * Adds up the runners' JSON reports and closes with one line; exits 1 when a report is missing, empty or holds a failure.
 * Before that line it names each part with its counts, and each test that failed with the beginning of its error:
 * whoever reads only the end of a long output knows what broke.
 */
const project = resolve(import.meta.dirname, "..");
const directory = join(project, ".cache/reports");
const stepFailed = process.argv[2] === "1";
const ERROR_CHARACTERS_MAX = 1_500;

interface Report {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

function reports(): { part: string; report: Report }[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => ({
        part: name.slice(0, -".json".length),
        report: JSON.parse(readFileSync(join(directory, name), "utf8")) as Report,
      }));
  } catch {
    return [];
  }
}

function tellFailures({ part, report }: { part: string; report: Report }): void {
  const skipped = report.numPendingTests + report.numTodoTests;
  console.log(`${part}: ${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped`);
  for (const file of report.testResults.filter(({ status }) => status === "failed")) {
    const failed = file.assertionResults.filter(({ status }) => status === "failed");
    const where = relative(project, file.name);
    if (failed.length === 0) console.log(`FAILED ${where}: ${(file.message ?? "").slice(0, ERROR_CHARACTERS_MAX)}`);
    for (const test of failed)
      console.log(`FAILED ${where}: ${test.fullName}\n${(test.failureMessages ?? []).join("\n").slice(0, ERROR_CHARACTERS_MAX)}`);
  }
  if (!report.success && report.numFailedTests + report.numFailedTestSuites === 0)
    console.log(`${part}: the runner met an error outside every test: look for "Unhandled" in its output`);
}

const all = reports();
all.forEach(tellFailures);
const sum = (pick: (report: Report) => number): number => all.reduce((total, { report }) => total + pick(report), 0);
const passed = sum((report) => report.numPassedTests);
const failedTests = sum((report) => report.numFailedTests);
const brokenFiles = sum((report) => (report.numFailedTests === 0 ? report.numFailedTestSuites : 0));
const skipped = sum((report) => report.numPendingTests + report.numTodoTests);
const failed = failedTests + brokenFiles + (stepFailed && failedTests + brokenFiles === 0 ? 1 : 0);
if (all.length === 0) console.log("no report of any test runner was found in .cache/reports");
if (stepFailed) console.log("a step failed: see above");
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
