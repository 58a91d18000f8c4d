/** Whether promises are tested with their whole counts (`npm run test:full`) instead of at least a tenth of them (`npm test`). */
export const fullRun: boolean = process.env["POSTRIDER_TEST_FULL"] === "1";

/** How often something is tried in this run. */
export function countOf(reduced: number, full: number): number {
  return fullRun ? full : reduced;
}
