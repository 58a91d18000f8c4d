import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { VerifyingReceiver } from "../support/operator/verifying-receiver.ts";
import { apiList } from "../support/systems/api-reader.ts";
import { CLOSED_AT_MS, manifestsOf010, signingKeyOf010, storeOf010 } from "../support/upgrade-fixture.ts";

const HOUR_MS = 3_600_000;
const WITHIN_MS = 15_000;
/** The address that the manifests of the fixture name. */
const OLD_RECEIVER = "http://127.0.0.1:45871";

interface Row {
  readonly state: string;
  readonly subscription: string;
  readonly recordID: string | null;
  readonly eventID: string;
  readonly attempts: number;
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** This version on a copy of the store that 0.1.0 left, so long after it was closed. */
async function upgraded(manifests: string, laterMs: number): Promise<OperatorProcess> {
  const store = storeOf010();
  const directory = mkdtempSync(join(tmpdir(), "postrider-upgrade-manifests-"));
  writeFileSync(join(directory, "all.yaml"), manifests);
  const operator = await OperatorProcess.start({
    manifests: directory,
    store: `sqlite:${store}`,
    laterMs: CLOSED_AT_MS + laterMs - Date.now(),
  });
  cleanups.push(
    () => rmSync(store, { recursive: true }),
    () => rmSync(directory, { recursive: true }),
    () => operator.kill(),
  );
  return operator;
}

async function receiver(): Promise<{ readonly receiver: VerifyingReceiver; readonly url: string }> {
  const made = new VerifyingReceiver(signingKeyOf010("waiting"));
  const port = await made.start();
  cleanups.push(() => made.stop());
  // The receiver checks timestamps by the fixture's clock, an hour or so after it was closed.
  made.clockOffsetMs = CLOSED_AT_MS + HOUR_MS - Date.now();
  return { receiver: made, url: `http://127.0.0.1:${port}` };
}

const rows = (operator: OperatorProcess, query = ""): Promise<readonly Row[]> =>
  apiList<Row>(operator.ready.api, `/v1/namespaces/shop/deliveries${query}`);

describe("the store of 0.1.0", () => {
  it("is read by this version: history, what failed, what waits", async () => {
    const operator = await upgraded(renamed(manifestsOf010()), 60_000);
    expect((await rows(operator)).map(({ state, subscription }) => `${subscription} ${state}`).toSorted()).toEqual([
      ...Array<string>(5).fill("delivered Delivered"),
      ...Array<string>(5).fill("failing Failed"),
      ...Array<string>(5).fill("waiting Ready"),
    ]);
    expect(await rows(operator, "?recordID=d3")).toMatchObject([{ subscription: "delivered", recordID: "d3", attempts: 1 }]);
  });

  it("delivers what waited, signed with the key that 0.1.0 generated", async () => {
    const { receiver: seen, url } = await receiver();
    const operator = await upgraded(renamed(manifestsOf010()).replaceAll(OLD_RECEIVER, url), HOUR_MS + 60_000);
    await expect.poll(() => seen.arrivals.size, { timeout: WITHIN_MS }).toBe(5);
    expect(seen.refused).toBe(0);
    await expect.poll(async () => (await rows(operator, "?state=Delivered")).length, { timeout: WITHIN_MS }).toBe(10);
  });

  it("keeps the routes of manifests that still have the old names, and says which name is wrong", async () => {
    const operator = await upgraded(manifestsOf010(), 60_000);
    const posted = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ type: "order.waiting", data: { id: "new" } }),
    });
    expect(await posted.json()).toMatchObject({ matched: 1 });
    expect((await rows(operator, "?state=Pending")).map(({ subscription }) => subscription)).toEqual(Array<string>(6).fill("waiting"));
    const ready = await (await fetch(`${operator.ready.metrics}/readyz?verbose`)).text();
    expect(ready).toContain("3 manifests are rejected, and the last good state stays in force");
    expect(ready).toContain('unknown field "spec.history.recordIdField": did you mean recordIDField?');
  });
});

/** The manifests as docs/upgrading.md says to change them. */
function renamed(manifests: string): string {
  return manifests.replaceAll("recordIdField", "recordIDField");
}
