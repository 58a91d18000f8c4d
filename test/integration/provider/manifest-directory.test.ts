import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ManifestDirectory, type DirectoryScan } from "../../../src/provider/manifest-directory.ts";
import { SPEC, subscriptionYaml } from "../../support/manifests.ts";

it("takes a file for deleted only when it is not there, not when it cannot be looked at", async ({ onTestFinished }) => {
  const root = await mkdtemp(join(tmpdir(), "postrider-manifests-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const file = join(root, "a.yaml");
  await writeFile(file, subscriptionYaml("orders", SPEC));
  const directory = new ManifestDirectory(root);
  expect((await directory.scan()).objects.size).toBe(1);

  // What root may not look at either: a link in a circle.
  await rm(file);
  await symlink("a.yaml", file);
  const troubled = await directory.scan();
  expect(troubled.objects.size).toBe(1);
  expect(troubled.problems).toMatchObject([{ file: "a.yaml", reason: "Unreadable" }]);

  await rm(file);
  expect(await directory.scan()).toMatchObject({ objects: new Map(), problems: [] });
});

it("takes what is behind a link, or in a folder, for deleted only when it is not there", async ({ onTestFinished }) => {
  const root = await mkdtemp(join(tmpdir(), "postrider-manifests-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "team"));
  const elsewhere = await mkdtemp(join(tmpdir(), "postrider-manifests-"));
  onTestFinished(() => rm(elsewhere, { recursive: true, force: true }));
  await mkdir(join(elsewhere, "deep"));
  await writeFile(join(elsewhere, "deep", "a.yaml"), subscriptionYaml("orders", SPEC));
  await writeFile(join(root, "b.yaml"), subscriptionYaml("bills", SPEC));
  const link = join(root, "team", "linked");
  await symlink(elsewhere, link);
  const directory = new ManifestDirectory(root);
  expect((await directory.scan()).objects.size).toBe(2);
  expect([...directory.folders.keys()]).toEqual(["", "team", "team/linked", "team/linked/deep"]);

  await rm(link);
  await symlink("linked", link);
  await writeFile(join(root, "b.yaml"), subscriptionYaml("invoices", SPEC));
  const names = (scan: DirectoryScan): string[] => Array.from(scan.objects.values(), ({ ref }) => ref.name).toSorted();
  for (const look of ["first", "second"]) {
    const troubled = await directory.scan();
    expect(names(troubled), look).toEqual(["invoices", "orders"]);
    expect(troubled.problems).toMatchObject([{ file: "team/linked", reason: "Unreadable", message: expect.stringContaining("ELOOP") }]);
  }

  await rm(link);
  await symlink(elsewhere, link);
  expect(await directory.scan()).toMatchObject({ problems: [] });
  await rm(elsewhere, { recursive: true });
  const gone = await directory.scan();
  expect(names(gone)).toEqual(["invoices"]);
  expect(gone.problems).toEqual([]);
});
