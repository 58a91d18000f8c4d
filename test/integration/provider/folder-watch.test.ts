import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SystemClock } from "../../../src/lib/clock.ts";
import { FileProvider, RESCAN_MS } from "../../../src/provider/file.ts";
import { SPEC, subscriptionYaml } from "../../support/manifests.ts";
import { silentLog } from "../../support/silent-log.ts";

/** Never comes to the look that is taken although nothing was heard. */
class DeafClock extends SystemClock {
  override after(delayMs: number, fn: () => void): () => void {
    return delayMs >= RESCAN_MS ? () => undefined : super.after(delayMs, fn);
  }
}

it("hears of files that editors put in place of others, in folders that are new and behind links too", async ({ onTestFinished }) => {
  const root = await mkdtemp(join(tmpdir(), "postrider-watched-"));
  const elsewhere = await mkdtemp(join(tmpdir(), "postrider-linked-"));
  const abort = new AbortController();
  const keys = join(root, ".keys");
  const provider = new FileProvider({
    directory: root,
    secretsDirectory: keys,
    clock: new DeafClock(),
    log: silentLog,
  });
  await mkdir(join(root, "team", "deep"), { recursive: true });
  await symlink(elsewhere, join(root, "linked"));
  const running = provider.run(abort.signal);
  onTestFinished(async () => {
    abort.abort();
    await running;
    for (const folder of [root, elsewhere]) await rm(folder, { recursive: true, force: true });
  });
  let heard = (): void => undefined;
  provider.onChange(() => heard());

  /** As editors save: a new file beside the old one, then its name. Resolves when the provider has told of it. */
  async function saved(folder: string, host: string): Promise<void> {
    const spec = SPEC.replace("example.com", host);
    const name = folder.replaceAll("/", "-");
    const hostNow = (): boolean => JSON.stringify(provider.get("WebhookSubscription", "shop", name)?.spec ?? "").includes(host);
    const told = new Promise<void>((resolve) => {
      heard = () => {
        if (hostNow()) resolve();
      };
    });
    await writeFile(join(root, folder, ".saving"), subscriptionYaml(name, spec));
    await rename(join(root, folder, ".saving"), join(root, folder, "a.yaml"));
    await told;
    expect(hostNow()).toBe(true);
  }

  for (const host of ["one.test", "two.test", "three.test"]) {
    await saved("team/deep", host);
    await saved("linked", host);
  }
  await mkdir(join(root, "team", "new"));
  for (const host of ["one.test", "two.test"]) await saved("team/new", host);

  // The whole folder is replaced.
  await mkdir(join(root, "team", "other"));
  await writeFile(join(root, "team", "other", "a.yaml"), subscriptionYaml("team-new", SPEC.replace("example.com", "other.test")));
  await rename(join(root, "team", "new"), join(root, "team", ".old"));
  await rename(join(root, "team", "other"), join(root, "team", "new"));
  await saved("team/new", "four.test");
  await saved("team/new", "five.test");
});
