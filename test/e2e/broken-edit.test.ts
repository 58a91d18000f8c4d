import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const GOOD = subscription({
  name: "orders",
  types: ["order.paid"],
  url: "https://example.com/hooks",
  signing: "{}",
  more: ["suspend: true"],
});

it("a broken edit of a running folder is told by API, metric, readyz and log, and mended by the next", async () => {
  const home = mkdtempSync(join(tmpdir(), "postrider-edit-"));
  const manifests = join(home, "manifests");
  mkdirSync(manifests);
  const write = (text: string): void => writeFileSync(join(manifests, "a.yaml"), text);
  write(GOOD);
  const operator = await OperatorProcess.start({ manifests, store: `sqlite:${join(home, "store")}` });
  try {
    const { api, metrics } = operator.ready;
    const page = async (url: string): Promise<string> => (await fetch(url)).text();
    const shown = (): Promise<string> => page(`${api}/v1/namespaces/shop/subscriptions/orders`);
    await expect.poll(() => page(`${metrics}/metrics`), { timeout: 20_000 }).toContain("postrider_manifests_refused 0");

    write(GOOD.replace("endpoint:", "endpont:"));
    await expect.poll(shown, { timeout: 20_000 }).toContain("did you mean endpoint?");
    expect(await shown()).toContain("stays in force until this is fixed");
    expect(await page(`${metrics}/metrics`)).toContain("postrider_manifests_refused 1");
    const ready = await fetch(`${metrics}/readyz?verbose`);
    expect([ready.status, await ready.text()]).toEqual([
      200,
      expect.stringMatching(/\[\+\] manifests ok: 1 manifest is rejected.*a\.yaml:4: /),
    ]);
    await expect.poll(() => operator.stderr(), { timeout: 20_000 }).toContain('"event":"manifest.refused"');

    write(GOOD);
    await expect.poll(() => page(`${metrics}/metrics`), { timeout: 20_000 }).toContain("postrider_manifests_refused 0");
    await expect.poll(shown, { timeout: 20_000 }).not.toContain("did you mean");

    // The whole folder is away for a moment, as a volume that is not mounted: nothing is deleted, and it is told once.
    renameSync(manifests, `${manifests}-away`);
    await expect.poll(() => page(`${metrics}/metrics`), { timeout: 20_000 }).toContain("postrider_manifests_refused 1");
    expect(await page(`${metrics}/readyz?verbose`)).toContain(`the folder ${manifests} cannot be read (it does not exist)`);
    expect(await shown()).toContain('"name":"orders"');
    renameSync(`${manifests}-away`, manifests);
    await expect.poll(() => page(`${metrics}/metrics`), { timeout: 20_000 }).toContain("postrider_manifests_refused 0");
    expect(operator.stderr().split('"event":"manifests.unreadable"')).toHaveLength(2);
    expect(operator.stderr()).not.toContain("ENOENT");
  } finally {
    await operator.kill();
    rmSync(home, { recursive: true });
  }
});

it("a manifest that is rejected at the first start is found with its reason, and by its name once it is fixed", async () => {
  const home = mkdtempSync(join(tmpdir(), "postrider-edit-"));
  const manifests = join(home, "manifests");
  mkdirSync(manifests);
  const write = (text: string): void => writeFileSync(join(manifests, "a.yaml"), text);
  write(GOOD.replace("endpoint:", "endpont:"));
  const operator = await OperatorProcess.start({ manifests, store: `sqlite:${join(home, "store")}` });
  try {
    const answer = async (name: string): Promise<{ status: number; detail: string }> => {
      const response = await fetch(`${operator.ready.api}/v1/namespaces/shop/subscriptions/${name}`);
      return { status: response.status, detail: ((await response.json()) as { detail?: string }).detail ?? "" };
    };
    await expect
      .poll(() => answer("orders"), { timeout: 20_000 })
      .toEqual({
        status: 404,
        detail: expect.stringMatching(/because its manifest was rejected: a\.yaml:4: .*did you mean endpoint\?/) as string,
      });
    expect((await answer("other")).detail).not.toContain("rejected");
    write(GOOD);
    await expect.poll(async () => (await answer("orders")).status, { timeout: 20_000 }).toBe(200);
  } finally {
    await operator.kill();
    rmSync(home, { recursive: true });
  }
});
