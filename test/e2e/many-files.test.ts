import { describe, it } from "vitest";
import { FileOperator } from "../support/controller/file-operator.ts";
import { manifestFile, subscription } from "../support/manifests.ts";

/** Here because it measures: nothing else runs beside these tests. */
describe("many subscriptions from files", () => {
  it(
    "reconciles 10,000 subscriptions into the table within 10 s, and one edit among them within 1 s",
    { timeout: 60_000 },
    async ({ expect, onTestFinished }) => {
      const one = (index: number): string =>
        subscription({
          name: `s${index}`,
          namespace: `n${index % 100}`,
          types: ["a.b"],
          filter: `event.data.size > ${index}`,
          url: `https://r${index}.example.com/`,
        });
      const files = Object.fromEntries(
        Array.from({ length: 100 }, (_, file) => [
          `f${file}.yaml`,
          manifestFile(...Array.from({ length: 100 }, (_, index) => one(file * 100 + index))),
        ]),
      );
      const operator = new FileOperator(await FileOperator.prepare(files));
      onTestFinished(() => operator.end());
      await operator.provider.rescan();
      const startedMs = performance.now();
      operator.run();
      await operator.until(() => operator.controller.ready && operator.table.size === 10_000, 30_000);
      const tookMs = performance.now() - startedMs;
      expect(tookMs).toBeLessThan(10_000);

      await operator.write(
        "f0.yaml",
        manifestFile(one(0).replace("a.b", "c.d"), ...Array.from({ length: 99 }, (_, index) => one(index + 1))),
      );
      const editedMs = performance.now();
      await operator.until(() => operator.route("s0", "n0")?.subscription.spec.types[0] === "c.d");
      expect(performance.now() - editedMs).toBeLessThan(1_000);
    },
  );
});
