import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ManifestDirectory } from "../../../src/provider/manifest-directory.ts";
import { SPEC, subscriptionYaml } from "../../support/controller/file-operator.ts";

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
